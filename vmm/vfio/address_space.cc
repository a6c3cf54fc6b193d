#include "vmm/vfio/address_space.h"

#include "vmm/vfio/container_space.h"
#include "vmm/vfio/iommufd_space.h"

namespace hull::vfio {

std::string DeviceFile(const std::string& address, const std::string& name) {
  return fmt::format("/sys/bus/pci/devices/{}/{}", address, name);
}

Result<std::unique_ptr<AddressSpace>> AddressSpace::Create(Host& host, const std::string& address) {
  if (host.FindEntry(DeviceFile(address, "vfio-dev"), "vfio")) {
    // The device has a node of its own; the rest of iommufd may still be missing.
    if (auto space = IommufdSpace::Create(host)) {
      return std::unique_ptr<AddressSpace>(std::move(*space));
    }
  }
  HULL_ASSIGN(auto space, ContainerSpace::Create(host));
  return std::unique_ptr<AddressSpace>(std::move(space));
}

}  // namespace hull::vfio
