// What a hostile guest can do to a passed-through device: configuration accesses through the ports,
// and accesses to its trapped region. The device is a fake one; what reaches it is checked.
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include <array>
#include <memory>
#include <utility>

#include "tests/fakes/fake_interrupts.h"
#include "tests/fakes/fake_vfio.h"
#include "tests/fuzz/fuzz_input.h"
#include "vmm/base/check.h"
#include "vmm/pci/config_ports.h"
#include "vmm/vfio/address_space.h"
#include "vmm/vfio/passthrough.h"

namespace hull {
namespace {

constexpr const char kAddress[] = "0000:01:00.0";
constexpr uint64_t kBar = 0x10'0000'0000;
constexpr uint32_t kSlot = 1;

class NoReset final : public BusDevice {
 public:
  void Read(uint64_t /*offset*/, std::span<std::byte> /*data*/) override {}
  void Write(uint64_t /*offset*/, std::span<const std::byte> /*data*/) override {}
};

class Run {
 public:
  explicit Run(FuzzInput& input) : input_(input) {
    FakeVfioDevice shape = FakeVfio::Nvme(1 + input.Below(16));
    shape.msix_can_grow = input.Below(2) == 0;
    // A device may be strange, too: some of its capabilities' bytes.
    for (uint32_t i = input.Below(8); i > 0; --i) {
      shape.config[0x40 + input.Below(192)] = input.Take<uint8_t>();
    }
    host_.Add(kAddress, std::move(shape));
    space_ = std::move(vfio::AddressSpace::Create(host_, kAddress)).value();
    vfio::OpenedDevice opened = std::move(space_->Open(kAddress)).value();
    function_ =
        std::move(
            vfio::Passthrough::Create(
                std::move(vfio::Device::Create(host_, std::move(opened.device), kAddress)).value()))
            .value();
    for (pci::Bar& bar : function_->bars()) bar.address = kBar;
    HULL_CHECK(function_->Activate(interrupts_, true, nullptr).has_value());
    ports_.Insert(kSlot, *function_);
    identity_ = function_->ReadConfig(PCI_VENDOR_ID, 4);
  }

  void Go() {
    while (!input_.empty()) {
      switch (input_.Below(4)) {
        case 0:
          Port();
          break;
        case 1:
          Config();
          break;
        default:
          Region();
          break;
      }
      Check();
    }
    function_->Stop();
    HULL_CHECK(interrupts_.connected.empty() && interrupts_.line < 0);
    HULL_CHECK((host_.device(kAddress).Get(PCI_COMMAND, 2) & PCI_COMMAND_MASTER) == 0);
  }

 private:
  std::span<std::byte> Data(uint32_t most) {
    for (std::byte& byte : data_) byte = std::byte{input_.Take<uint8_t>()};
    return std::span(data_).first(1 + input_.Below(most));
  }
  // Any access to the ports.
  void Port() {
    const uint64_t offset = input_.Below(8);
    const auto data = Data(static_cast<uint32_t>(pci::ConfigPorts::kPorts - offset));
    if (input_.Below(2) == 0) {
      ports_.Read(offset, data);
    } else {
      ports_.Write(offset, data);
    }
  }
  // A well-formed one.
  void Config() {
    const std::array<size_t, 3> sizes = {1, 2, 4};
    const size_t size_bytes = sizes[input_.Below(3)];
    const auto offset =
        static_cast<uint32_t>(input_.Below(256) & ~static_cast<uint32_t>(size_bytes - 1));
    if (input_.Below(3) == 0) {
      function_->ReadConfig(offset, size_bytes);
    } else {
      function_->WriteConfig(offset, size_bytes, input_.Take<uint32_t>());
    }
  }
  void Region() {
    const auto traps = function_->Traps();
    if (traps.empty()) return;
    const auto& trap = traps[input_.Below(static_cast<uint32_t>(traps.size()))];
    const uint64_t offset = input_.Below(512);
    const auto data = Data(8);
    if (input_.Below(2) == 0) {
      trap.device->Read(offset, data);
    } else {
      trap.device->Write(offset, data);
    }
  }
  void Check() {
    HULL_CHECK(function_->ReadConfig(PCI_VENDOR_ID, 4) == identity_);
    // The region is where it was, or its size is being asked for.
    const uint32_t low = function_->ReadConfig(PCI_BASE_ADDRESS_0, 4);
    const uint32_t high = function_->ReadConfig(PCI_BASE_ADDRESS_1, 4);
    HULL_CHECK(low == 0x4 || low == 0xffff'c004);
    HULL_CHECK(high == 0x10 || high == 0xffff'ffff);
    FakeVfioDevice& device = host_.device(kAddress);
    constexpr uint32_t kDecoding = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
    HULL_CHECK((device.Get(PCI_COMMAND, 2) & kDecoding) == kDecoding);
    // No more ways for interrupts than it has vectors, of MSI and MSI-X together.
    HULL_CHECK(interrupts_.next_route - 24 <= device.msi + device.msix);
    int kinds = 0;
    for (const uint32_t kind : {0U, 1U, 2U}) kinds += device.signals[kind].empty() ? 0 : 1;
    HULL_CHECK(kinds <= 1);
  }

  FuzzInput& input_;
  FakeVfio host_;
  FakeInterrupts interrupts_;
  NoReset reset_;
  pci::ConfigPorts ports_{reset_};
  std::unique_ptr<vfio::AddressSpace> space_;
  std::unique_ptr<vfio::Passthrough> function_;
  std::array<std::byte, 8> data_ = {};
  uint32_t identity_ = 0;
};

}  // namespace
}  // namespace hull

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hull::SilenceLog();
  hull::FuzzInput input(data, size);
  hull::Run(input).Go();
  return 0;
}
