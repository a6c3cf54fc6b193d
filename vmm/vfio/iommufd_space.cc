#include "vmm/vfio/iommufd_space.h"

#include <cerrno>

#include "vmm/vfio/vfio_header.h"

namespace hull::vfio {
namespace {

constexpr const char kBusyHint[] = "another VM or program has this device or one of its group";
constexpr const char kGroupHint[] =
    "another device of its IOMMU group may be in use by the host: bind that to vfio-pci, too";

}  // namespace

Result<std::unique_ptr<IommufdSpace>> IommufdSpace::Create(Host& host) {
  HULL_ASSIGN(UniqueFd iommufd, host.Open("/dev/iommu"));
  IoasAlloc alloc = {.size = sizeof(alloc), .flags = 0, .out_ioas_id = 0};
  if (host.Ioctl(iommufd.get(), kIoasAlloc, &alloc) != 0) return FailErrno("IOMMU_IOAS_ALLOC");
  return std::unique_ptr<IommufdSpace>(
      new IommufdSpace(host, std::move(iommufd), alloc.out_ioas_id));
}

Result<OpenedDevice> IommufdSpace::Open(const std::string& address) {
  HULL_TRY(CheckPresent(host_, address));
  auto node = host_.FindEntry(DeviceFile(address, "vfio-dev"), "vfio");
  if (!node) return Fail(NotBound(host_, address));
  HULL_ASSIGN(UniqueFd device, host_.Open("/dev/vfio/devices/" + *node));
  BindIommufd bind = {.argsz = sizeof(bind), .flags = 0, .iommufd = iommufd_.get(), .out_devid = 0};
  if (host_.Ioctl(device.get(), kBindIommufd, &bind) != 0) {
    Error error = Error::FromErrno(errno, fmt::format("bind {} to iommufd", address));
    if (error.error_number() == EBUSY) error = std::move(error).WithHint(kBusyHint);
    if (error.error_number() == EINVAL) error = std::move(error).WithHint(kGroupHint);
    return Fail(std::move(error));
  }
  AttachIommufd attach = {.argsz = sizeof(attach), .flags = 0, .pt_id = ioas_};
  if (host_.Ioctl(device.get(), kAttachIommufd, &attach) != 0) {
    return FailErrno("attach {} to its address space", address);
  }
  const int kvm_file = device.get();
  return OpenedDevice{std::move(device), kvm_file};
}

Status IommufdSpace::Map(const GuestRange& range, uint64_t host_address, DmaAccess access) {
  IoasMap map = {.size = sizeof(map),
                 .flags = kIoasMapFixedIova | kIoasMapReadable |
                          (access == DmaAccess::kReadWrite ? kIoasMapWriteable : 0U),
                 .ioas_id = ioas_,
                 .reserved = 0,
                 .user_va = host_address,
                 .length = range.size_bytes(),
                 .iova = range.start().value()};
  if (host_.Ioctl(iommufd_.get(), kIoasMap, &map) == 0) return {};
  return Fail(CannotPin(errno, range));
}

}  // namespace hull::vfio
