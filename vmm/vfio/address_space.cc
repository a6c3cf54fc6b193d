#include "vmm/vfio/address_space.h"

#include <cerrno>

#include "vmm/vfio/container_space.h"
#include "vmm/vfio/iommufd_space.h"

namespace hull::vfio {

std::string DeviceFile(const std::string& address, const std::string& name) {
  return fmt::format("/sys/bus/pci/devices/{}/{}", address, name);
}

Status CheckPresent(Host& host, const std::string& address) {
  if (host.FindEntry("/sys/bus/pci/devices", address)) return {};
  return Fail(MakeError(ErrorCode::kNotFound, "this host has no PCI device {}", address)
                  .WithHint("`hull device ls` shows those it has; one that was pulled out, or a "
                            "virtual function that was taken back, is gone"));
}

Error NotBound(Host& host, const std::string& address) {
  const auto link = host.ReadLink(DeviceFile(address, "driver"));
  const std::string driver =
      link ? fmt::format("has the driver {}", link->substr(link->rfind('/') + 1)) : "has no driver";
  return MakeError(ErrorCode::kUnavailable, "{} {}, and not vfio-pci", address, driver)
      .WithHint(fmt::format("bind the device to vfio-pci: hull device bind {}", address));
}

Error CannotPin(int error_number, const GuestRange& range) {
  Error error = Error::FromErrno(
      error_number,
      fmt::format("pin {} MiB at {:#x}", range.size_bytes() >> 20U, range.start().value()));
  if (error_number != ENOMEM) return error;
  return std::move(error).WithHint(
      "all of a VM's memory is pinned when it has a device, or its pool for DMA if it has one: "
      "raise the locked-memory limit (ulimit -l, LimitMEMLOCK=) above it, free memory on the host, "
      "or give the VM less");
}

Result<std::unique_ptr<AddressSpace>> AddressSpace::Create(Host& host, const std::string& address) {
  HULL_TRY(CheckPresent(host, address));
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
