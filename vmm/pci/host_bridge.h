// HostBridge: device 0 of the bus. It does nothing; Linux takes its presence for a sign that the
// configuration ports work.
#pragma once

#include "vmm/pci/config_space.h"
#include "vmm/pci/function.h"

namespace hull::pci {

class HostBridge final : public Function {
 public:
  // "PCIe host bridge" of the generic virtual machine's ids.
  static constexpr uint16_t kVendor = 0x1b36;
  static constexpr uint16_t kDevice = 0x0008;

  HostBridge();

  uint32_t ReadConfig(uint32_t offset, size_t size_bytes) override;
  // Nothing in it can be changed.
  void WriteConfig(uint32_t offset, size_t size_bytes, uint32_t value) override;

 private:
  ConfigSpace space_;
};

}  // namespace hull::pci
