// A passed-through device over a fake host, for the tests of it.
#pragma once

#include <gtest/gtest.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/fakes/fake_interrupts.h"
#include "tests/fakes/fake_vfio.h"
#include "vmm/vfio/address_space.h"
#include "vmm/vfio/passthrough.h"

namespace hull::vfio {

class PassthroughTest : public testing::Test {
 protected:
  static constexpr const char* kAddress = "0000:01:00.0";
  static constexpr uint64_t kBar = 0x10'0000'0000;
  static constexpr uint32_t kMsix = 0x40;  // capabilities of FakeVfio::Nvme
  static constexpr uint32_t kPower = 0x60;
  static constexpr uint32_t kExpress = 0x70;
  static constexpr uint32_t kMsi = 0xc0;
  static constexpr uint64_t kTable = kBar + 0x1000;

  void Make(FakeVfioDevice device = FakeVfio::Nvme(), bool use_line = true) {
    ASSERT_TRUE(TryMake(std::move(device), use_line));
  }
  Status TryMake(FakeVfioDevice shape, bool use_line = true) {
    host_.Add(kAddress, std::move(shape));
    HULL_ASSIGN(space_, AddressSpace::Create(host_, kAddress));
    HULL_ASSIGN(OpenedDevice opened, space_->Open(kAddress));
    HULL_ASSIGN(Device made, Device::Create(host_, std::move(opened.device), kAddress));
    HULL_ASSIGN(function_, Passthrough::Create(std::move(made)));
    uint64_t next = kBar;
    for (pci::Bar& bar : function_->bars()) {
      bar.address = bar.kind == pci::BarKind::kPorts ? 0x1000 : next;
      next += std::max<uint64_t>(bar.size_bytes, 0x1000);
    }
    return function_->Activate(interrupts_, use_line, [this](const Error& error) {
      failures_.push_back(error.ToString());
    });
  }

  FakeVfioDevice& device() { return host_.device(kAddress); }
  uint32_t Read(uint32_t offset, size_t size_bytes) {
    return function_->ReadConfig(offset, size_bytes);
  }
  void Write(uint32_t offset, size_t size_bytes, uint32_t value) {
    function_->WriteConfig(offset, size_bytes, value);
  }

  // The trap that holds an address of the guest's, or null.
  std::pair<BusDevice*, uint64_t> TrapAt(uint64_t address) {
    for (const Passthrough::Trap& trap : function_->Traps()) {
      if (address >= trap.address && address - trap.address < trap.size_bytes) {
        return {trap.device, address - trap.address};
      }
    }
    return {nullptr, 0};
  }
  template <typename T>
  void Store(uint64_t address, T value) {
    const auto [trap, offset] = TrapAt(address);
    ASSERT_NE(trap, nullptr);
    trap->Write(offset, std::as_bytes(std::span(&value, 1)));
  }
  template <typename T>
  T Load(uint64_t address) {
    T value = {};
    const auto [trap, offset] = TrapAt(address);
    if (trap != nullptr) trap->Read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  // As Linux does it.
  void SetUpVector(uint32_t index, uint64_t address, uint32_t data) {
    const uint64_t entry = kTable + index * uint64_t{16};
    Store<uint32_t>(entry, static_cast<uint32_t>(address));
    Store<uint32_t>(entry + 4, static_cast<uint32_t>(address >> 32U));
    Store<uint32_t>(entry + 8, data);
    Store<uint32_t>(entry + 12, 0);
  }
  void EnableMsix() { Write(kMsix + 2, 2, 0x8000); }

  // What the guest gets when the device raises vector `number`: null when nothing.
  const MsiMessage* Raised(uint32_t kind, uint32_t number) {
    const auto& signals = device().signals[kind];
    const auto signal = signals.find(number);
    if (signal == signals.end()) return nullptr;
    const auto route = interrupts_.connected.find(signal->second);
    if (route == interrupts_.connected.end()) return nullptr;
    const auto message = interrupts_.routes.find(route->second);
    return message == interrupts_.routes.end() ? nullptr : &message->second;
  }
  bool LineIsOn() {
    const auto& signals = device().signals[VFIO_PCI_INTX_IRQ_INDEX];
    return !signals.empty() && interrupts_.line >= 0 && signals.at(0) == interrupts_.line;
  }

  FakeVfio host_;
  FakeInterrupts interrupts_;
  std::unique_ptr<AddressSpace> space_;
  std::unique_ptr<Passthrough> function_;
  std::vector<std::string> failures_;
};

}  // namespace hull::vfio
