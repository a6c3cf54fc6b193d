#include "vmm/vfio/container_space.h"

#include <cerrno>
#include <cstring>

#include "vmm/vfio/vfio_header.h"

namespace hull::vfio {
namespace {

constexpr const char kModuleHint[] = "load the modules vfio-pci and vfio_iommu_type1";
constexpr const char kIommuHint[] =
    "switch the IOMMU on: VT-d or AMD-Vi in the firmware, and intel_iommu=on on Intel's kernel "
    "command line (`hull check` says more)";
constexpr const char kPermissionHint[] = "run as root, or give this user the group's node";
constexpr const char kBusyHint[] = "another VM or program has a device of this group";
constexpr const char kGroupHint[] =
    "bind the group's other devices to vfio-pci, too, or unbind them from their drivers";
constexpr const char kRemappingHint[] =
    "the IOMMU has to remap interrupts, too: without that a device can forge them";

}  // namespace

Result<std::unique_ptr<ContainerSpace>> ContainerSpace::Create(Host& host) {
  auto container = host.Open("/dev/vfio/vfio");
  if (!container) return Fail(std::move(container).error().WithHint(kModuleHint));
  const int version = host.Ioctl(container->get(), VFIO_GET_API_VERSION, 0UL);
  if (version != VFIO_API_VERSION) {
    return Fail(ErrorCode::kUnsupported, "/dev/vfio/vfio speaks version {} of VFIO, not {}",
                version, VFIO_API_VERSION);
  }
  if (host.Ioctl(container->get(), VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0) {
    Error error = MakeError(ErrorCode::kUnsupported, "VFIO has no type 1 IOMMU on this host");
    return Fail(std::move(error).WithHint(kModuleHint));
  }
  return std::unique_ptr<ContainerSpace>(new ContainerSpace(host, std::move(*container)));
}

Result<OpenedDevice> ContainerSpace::Open(const std::string& address) {
  HULL_TRY(CheckPresent(host_, address));
  auto link = host_.ReadLink(DeviceFile(address, "iommu_group"));
  if (!link) {
    Error error = MakeError(ErrorCode::kUnsupported, "{} is in no IOMMU group", address);
    return Fail(std::move(error).WithHint(kIommuHint));
  }
  const std::string number = link->substr(link->rfind('/') + 1);
  auto known = groups_.find(number);
  const bool is_new = known == groups_.end();
  if (is_new) {
    HULL_ASSIGN(UniqueFd group, OpenGroup(number, address));
    known = groups_.emplace(number, std::move(group)).first;
  }
  std::string name = address;
  // SAFETY: the kernel reads a string through it.
  UniqueFd device(
      host_.Ioctl(known->second.get(), VFIO_GROUP_GET_DEVICE_FD, static_cast<void*>(name.data())));
  if (!device.valid()) {
    if (errno == ENODEV) return Fail(NotBound(host_, address));
    return FailErrno("open {} in IOMMU group {}", address, number);
  }
  return OpenedDevice{std::move(device), is_new ? known->second.get() : -1};
}

Result<UniqueFd> ContainerSpace::OpenGroup(const std::string& number, const std::string& address) {
  auto group = host_.Open("/dev/vfio/" + number);
  if (!group) {
    switch (group.error().error_number()) {
      case ENOENT:
        return Fail(NotBound(host_, address));
      case EBUSY:
        return Fail(std::move(group).error().WithHint(kBusyHint));
      case EACCES:
      case EPERM:
        return Fail(std::move(group).error().WithHint(kPermissionHint));
      default:
        return Fail(std::move(group).error());
    }
  }
  vfio_group_status status = {};
  status.argsz = sizeof(status);
  if (host_.Ioctl(group->get(), VFIO_GROUP_GET_STATUS, &status) != 0) {
    return FailErrno("VFIO_GROUP_GET_STATUS");
  }
  if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0) {
    Error error =
        MakeError(ErrorCode::kUnavailable,
                  "{} shares IOMMU group {} with a device that the host uses", address, number);
    return Fail(std::move(error).WithHint(kGroupHint));
  }
  int container = container_.get();
  if (host_.Ioctl(group->get(), VFIO_GROUP_SET_CONTAINER, &container) != 0) {
    return FailErrno("put IOMMU group {} into a container", number);
  }
  if (!has_iommu_) {
    if (host_.Ioctl(container_.get(), VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0) {
      Error error = Error::FromErrno(errno, fmt::format("VFIO_SET_IOMMU for group {}", number));
      if (error.error_number() == EPERM) error = std::move(error).WithHint(kRemappingHint);
      return Fail(std::move(error));
    }
    has_iommu_ = true;
  }
  return group;
}

Status ContainerSpace::Map(const GuestRange& range, uint64_t host_address, DmaAccess access) {
  vfio_iommu_type1_dma_map map = {};
  map.argsz = sizeof(map);
  map.flags = VFIO_DMA_MAP_FLAG_READ |
              (access == DmaAccess::kReadWrite ? uint32_t{VFIO_DMA_MAP_FLAG_WRITE} : 0U);
  map.vaddr = host_address;
  map.iova = range.start().value();
  map.size = range.size_bytes();
  if (host_.Ioctl(container_.get(), VFIO_IOMMU_MAP_DMA, &map) == 0) return {};
  return Fail(CannotPin(errno, range));
}

}  // namespace hull::vfio
