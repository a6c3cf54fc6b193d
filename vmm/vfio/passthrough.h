// Passthrough: a device of the host's as a function on the guest's PCI bus.
//
// Made and placed before the guest runs; Activate then gives it its regions and interrupts. The
// guest reaches it through configuration accesses and through the regions' parts that are not
// mapped (the MSI-X table's pages), on vCPU threads; for everything else it has the device itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/bus/bus_device.h"
#include "vmm/memory/host_mappings.h"
#include "vmm/pci/function.h"
#include "vmm/pci/msi.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio/interrupts.h"
#include "vmm/vfio/visible_config.h"

namespace hull::vfio {

class Passthrough final : public pci::Function {
 public:
  // A part of a region in which accesses come here.
  struct Trap {
    bool is_ports;
    uint64_t address;  // in the guest
    uint64_t size_bytes;
    BusDevice* device;  // lives as long as the function
  };

  // `guest` outlives it. `has_line` is told by WantsLine before.
  static Result<std::unique_ptr<Passthrough>> Create(Device device);
  // Stops it first.
  ~Passthrough() override;

  const std::string& name() const { return device_.name(); }
  std::vector<pci::Bar>& bars() { return config_.bars(); }
  // Whether it has an interrupt line that the guest could use.
  bool has_line() const { return config_.has_line(); }
  bool has_messages() const { return config_.msi() || config_.msix(); }

  // With all regions placed: maps them and starts the device's interrupts. `use_line` is false when
  // the guest has no line for it (then the device shows none).
  Status Activate(GuestInterrupts& guest, bool use_line, Interrupts::OnFailure on_failure);
  // After Activate: what the guest reaches directly.
  const std::vector<HostMappings::Mapping>& mappings() const { return mappings_; }
  std::vector<Trap> Traps();

  // Descriptors that become readable when the device reports an error, or when the host wants it
  // back; -1 when the device cannot tell.
  int error_fd() const { return error_fd_.get(); }
  int request_fd() const { return request_fd_.get(); }

  // The device stops: no memory transaction and no interrupt comes from it any more. With all vCPUs
  // stopped.
  void Stop();

  uint32_t ReadConfig(uint32_t offset, size_t size_bytes) override;
  void WriteConfig(uint32_t offset, size_t size_bytes, uint32_t value) override;

  // Names and values.
  std::vector<std::pair<std::string, uint64_t>> Counters() const;

 private:
  class RegionTrap;

  Passthrough(Device device, VisibleConfig config);

  Status MapBar(const pci::Bar& bar);
  Status MapPiece(const pci::Bar& bar, const Device::Piece& piece);
  void AddTrap(const pci::Bar& bar, uint64_t offset, uint64_t size_bytes);
  Status WatchEvents();
  void AfterWrite(uint32_t offset, size_t size_bytes);
  void ReadRegion(const pci::Bar& bar, uint64_t offset, std::span<std::byte> data);
  void WriteRegion(const pci::Bar& bar, uint64_t offset, std::span<const std::byte> data);
  // Whether an access to `bar` is one to the MSI-X table: all of it, a part, or none.
  enum class TableAccess { kNone, kWhole, kPart };
  TableAccess ClassifyAccess(const pci::Bar& bar, uint64_t offset, size_t size_bytes) const;

  Device device_;
  std::mutex mutex_;
  VisibleConfig config_;                       // under mutex_ once active
  std::unique_ptr<Interrupts> interrupts_;     // under mutex_ once active
  std::unique_ptr<pci::MsiCapability> msi_;    // the same; null: none
  std::unique_ptr<pci::MsixCapability> msix_;  // the same; null: none
  std::vector<std::pair<void*, uint64_t>> mapped_;
  std::vector<HostMappings::Mapping> mappings_;
  std::vector<std::unique_ptr<RegionTrap>> traps_;
  UniqueFd error_fd_;
  UniqueFd request_fd_;
  uint32_t forced_command_ = 0;  // of its command register, whatever the guest sets
  uint32_t kept_control_ = 0;    // the same of its PCI Express device control
  bool stopped_ = false;
  std::atomic<uint64_t> config_accesses_ = 0;
  std::atomic<uint64_t> region_accesses_ = 0;
};

}  // namespace hull::vfio
