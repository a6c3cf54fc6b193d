#include "vmm/pci/host_bridge.h"

#include <linux/pci_regs.h>

namespace hull::pci {
namespace {

constexpr uint16_t kClassHostBridge = 0x0600;

}  // namespace

HostBridge::HostBridge() {
  space_.Set(PCI_VENDOR_ID, 2, kVendor);
  space_.Set(PCI_DEVICE_ID, 2, kDevice);
  space_.Set(PCI_CLASS_DEVICE, 2, kClassHostBridge);
}

uint32_t HostBridge::ReadConfig(uint32_t offset, size_t size_bytes) {
  return space_.Read(offset, size_bytes);
}

void HostBridge::WriteConfig(uint32_t offset, size_t size_bytes, uint32_t value) {
  space_.Write(offset, size_bytes, value);
}

}  // namespace hull::pci
