// VisibleConfig: which part of a passed-through device's configuration space the guest sees, and
// who answers for each register: hull (a register of its own, with a mask of what may be changed)
// or the device (through vfio-pci, which has a filter, too).
//
// What is not listed here, the guest does not see. In particular: regions' addresses are hull's
// (vmm/pci/bar.h), memory and port decoding stay on in the device whatever the guest says, so does
// its power (state D0), there is no expansion ROM, and of the capabilities there are MSI, MSI-X,
// power management (in name), PCI Express (as an endpoint of the root complex, without the link
// that the guest has no other end of), vital product data, the vendor's own, and advanced features
// (function reset).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/pci/bar.h"
#include "vmm/pci/config_space.h"
#include "vmm/pci/msi.h"
#include "vmm/vfio/device.h"

namespace hull::vfio {

class VisibleConfig {
 public:
  // Reads what the device has. kUnsupported for a bridge.
  static Result<VisibleConfig> Read(const Device& device);

  std::vector<pci::Bar>& bars() { return bars_; }
  const std::vector<pci::Bar>& bars() const { return bars_; }
  bool has_line() const { return has_line_; }
  const std::optional<pci::MsiCapability::Shape>& msi() const { return msi_; }
  const std::optional<pci::MsixCapability::Shape>& msix() const { return msix_; }
  // Where the register is that says what errors a PCI Express device reports (and more); nullopt
  // when it is none.
  std::optional<uint32_t> express_control() const { return express_control_; }
  // hull's registers.
  pci::ConfigSpace& space() { return space_; }

  // What the device answers for, of an access.
  uint32_t DeviceBytes(uint32_t offset, size_t size_bytes) const;

 private:
  void ReadHeader(const Device& device);
  void ReadBars(const Device& device);
  void ReadCapabilities(const Device& device);
  // Adds one capability; its size, 0 to hide it.
  uint32_t AddCapability(const Device& device, uint32_t offset, uint8_t id);
  uint32_t AddPowerManagement(const Device& device, uint32_t offset);
  uint32_t AddExpress(const Device& device, uint32_t offset);
  uint32_t AddMsi(const Device& device, uint32_t offset);
  uint32_t AddMsix(const Device& device, uint32_t offset);
  // The device answers for these bytes.
  uint32_t Pass(uint32_t offset, uint32_t size_bytes);
  const pci::Bar* FindBar(uint32_t index) const;

  pci::ConfigSpace space_;
  std::array<bool, pci::kConfigBytes> passed_ = {};
  std::vector<pci::Bar> bars_;
  bool has_line_ = false;
  std::optional<pci::MsiCapability::Shape> msi_;
  std::optional<pci::MsixCapability::Shape> msix_;
  std::optional<uint32_t> express_control_;
};

}  // namespace hull::vfio
