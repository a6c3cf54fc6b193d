#include "tests/fakes/fake_vfio.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "vmm/base/check.h"
#include "vmm/vfio/vfio_header.h"

namespace hull {
namespace {

constexpr uint32_t kOffsetShift = 40;
constexpr std::array<const char*, 5> kKinds = {"intx", "msi", "msix", "errors", "requests"};

template <typename T>
T Take(const void* argument) {
  T value;
  std::memcpy(&value, argument, sizeof(value));
  return value;
}
template <typename T>
void Give(void* argument, const T& value) {
  std::memcpy(argument, &value, sizeof(value));
}
int Refuse(int error) {
  errno = error;
  return -1;
}

uint32_t CountOf(const FakeVfioDevice& device, uint32_t kind) {
  switch (kind) {
    case VFIO_PCI_INTX_IRQ_INDEX:
      return device.intx;
    case VFIO_PCI_MSI_IRQ_INDEX:
      return device.msi;
    case VFIO_PCI_MSIX_IRQ_INDEX:
      return device.msix;
    default:
      return 1;
  }
}

}  // namespace

FakeVfioDevice FakeVfio::Nvme(uint32_t vectors) {
  FakeVfioDevice device;
  device.Set(PCI_VENDOR_ID, 0x00101b36, 4);
  device.Set(PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
  device.Set(PCI_CLASS_REVISION, 0x01080202, 4);
  device.Set(PCI_BASE_ADDRESS_0, 0xfebf0000 | PCI_BASE_ADDRESS_MEM_TYPE_64, 4);
  device.Set(PCI_CAPABILITY_LIST, 0x40, 1);
  device.Set(PCI_INTERRUPT_PIN, 1, 1);
  device.Set(0x40, PCI_CAP_ID_MSIX | (0x50U << 8U) | ((vectors - 1) << 16U), 4);
  device.Set(0x44, 0x1000, 4);
  device.Set(0x48, 0x2000, 4);
  device.Set(0x50, PCI_CAP_ID_SLOTID | (0x60U << 8U), 4);  // one that no guest is shown
  device.Set(0x60, PCI_CAP_ID_PM | (0x70U << 8U) | (0xc803U << 16U), 4);
  device.Set(0x70, PCI_CAP_ID_EXP | (0xc0U << 8U) | (0x0002U << 16U), 4);
  device.Set(0x74, 0x10008fc0, 4);
  device.Set(0x7c, 0x00042c11, 4);                         // link capabilities
  device.Set(0xc0, PCI_CAP_ID_MSI | (0x0184U << 16U), 4);  // 64 bits, masks, four vectors
  device.bar_bytes[0] = 16384;
  device.intx = 1;
  device.msi = 4;
  device.msix = vectors;
  return device;
}

FakeVfioDevice& FakeVfio::Add(const std::string& address, FakeVfioDevice device) {
  return devices_.insert_or_assign(address, std::move(device)).first->second;
}

Result<UniqueFd> FakeVfio::MakeFd(const std::string& path) {
  UniqueFd fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  HULL_CHECK(fd.valid());
  files_[fd.get()] = path;
  opened.push_back(path);
  return fd;
}

Result<UniqueFd> FakeVfio::Open(const std::string& path) {
  constexpr std::string_view kGroups = "/dev/vfio/";
  const std::string name = path.starts_with(kGroups) ? path.substr(kGroups.size()) : "";
  if ((path == "/dev/vfio/vfio" && !has_vfio) || (path == "/dev/iommu" && !has_iommufd)) {
    return Fail(Error::FromErrno(ENOENT, "open " + path));
  }
  // A group's node is there while a device of it is vfio-pci's.
  for (const auto& [address, device] : devices_) {
    if (!name.empty() && device.group == name && device.driver != "vfio-pci") {
      return Fail(Error::FromErrno(ENOENT, "open " + path));
    }
  }
  if (busy_groups.contains(name)) return Fail(Error::FromErrno(EBUSY, "open " + path));
  return MakeFd(path);
}

Result<std::string> FakeVfio::ReadLink(const std::string& path) {
  for (const auto& [address, device] : devices_) {
    if (path == "/sys/bus/pci/devices/" + address + "/iommu_group" && !device.group.empty()) {
      return "../../../kernel/iommu_groups/" + device.group;
    }
    if (path == "/sys/bus/pci/devices/" + address + "/driver" && !device.driver.empty()) {
      return "../../../bus/pci/drivers/" + device.driver;
    }
  }
  return Fail(Error::FromErrno(ENOENT, "readlink " + path));
}

Result<std::string> FakeVfio::FindEntry(const std::string& directory, const std::string& prefix) {
  if (directory == "/sys/bus/pci/devices" && devices_.contains(prefix)) return prefix;
  size_t number = 0;
  for (const auto& [address, device] : devices_) {
    if (has_iommufd && directory == "/sys/bus/pci/devices/" + address + "/vfio-dev") {
      return prefix + std::to_string(number);
    }
    ++number;
  }
  return Fail(ErrorCode::kNotFound, "no {}", directory);
}

FakeVfioDevice* FakeVfio::DeviceOf(int fd) {
  const auto file = files_.find(fd);
  if (file == files_.end()) return nullptr;
  const auto device = devices_.find(file->second);
  if (device != devices_.end()) return &device->second;
  constexpr std::string_view kNodes = "/dev/vfio/devices/vfio";
  if (!file->second.starts_with(kNodes)) return nullptr;
  return &std::next(devices_.begin(), std::stoi(file->second.substr(kNodes.size())))->second;
}

int FakeVfio::Ioctl(int fd, unsigned long request, unsigned long argument) {
  switch (request) {
    case VFIO_GET_API_VERSION:
      return VFIO_API_VERSION;
    case VFIO_CHECK_EXTENSION:
      return argument == VFIO_TYPE1v2_IOMMU ? 1 : 0;
    case VFIO_SET_IOMMU:
      return set_iommu_error == 0 ? 0 : Refuse(set_iommu_error);
    case VFIO_DEVICE_RESET:
      DeviceOf(fd)->events.emplace_back("reset");
      return 0;
    default:
      return Refuse(ENOTTY);
  }
}

int FakeVfio::Ioctl(int fd, unsigned long request, void* argument) {
  if (FakeVfioDevice* const device = DeviceOf(fd)) return DeviceIoctl(*device, request, argument);
  const std::string& path = files_.at(fd);
  if (request == VFIO_GROUP_GET_STATUS) {
    auto status = Take<vfio_group_status>(argument);
    status.flags =
        unviable_groups.contains(path.substr(path.rfind('/') + 1)) ? 0 : VFIO_GROUP_FLAGS_VIABLE;
    Give(argument, status);
    return 0;
  }
  if (request == VFIO_GROUP_SET_CONTAINER) return 0;
  if (request == VFIO_GROUP_GET_DEVICE_FD) {
    const std::string address = static_cast<const char*>(argument);
    if (!devices_.contains(address)) return Refuse(ENODEV);
    return MakeFd(address)->Release();
  }
  if (request == VFIO_IOMMU_MAP_DMA) {
    if (map_error != 0) return Refuse(map_error);
    const auto map = Take<vfio_iommu_type1_dma_map>(argument);
    mappings.push_back({map.iova, map.size, (map.flags & VFIO_DMA_MAP_FLAG_WRITE) != 0});
    return 0;
  }
  if (request == vfio::kIoasAlloc) {
    auto alloc = Take<vfio::IoasAlloc>(argument);
    alloc.out_ioas_id = 42;
    Give(argument, alloc);
    return 0;
  }
  if (request == vfio::kIoasMap) {
    const auto map = Take<vfio::IoasMap>(argument);
    if (map_error != 0 || map.ioas_id != 42) return Refuse(map_error != 0 ? map_error : ENOENT);
    mappings.push_back({map.iova, map.length, (map.flags & vfio::kIoasMapWriteable) != 0});
    return 0;
  }
  return Refuse(ENOTTY);
}

int FakeVfio::DeviceIoctl(FakeVfioDevice& device, unsigned long request, void* argument) {
  if (request == vfio::kBindIommufd) {
    device.events.emplace_back("bind");
    return bind_error == 0 ? 0 : Refuse(bind_error);
  }
  if (request == vfio::kAttachIommufd) {
    device.events.push_back("attach " + std::to_string(Take<vfio::AttachIommufd>(argument).pt_id));
    return 0;
  }
  if (request == VFIO_DEVICE_GET_INFO) {
    auto info = Take<vfio_device_info>(argument);
    info.flags =
        VFIO_DEVICE_FLAGS_PCI | (device.can_reset ? uint32_t{VFIO_DEVICE_FLAGS_RESET} : 0U);
    info.num_regions = VFIO_PCI_NUM_REGIONS;
    info.num_irqs = VFIO_PCI_NUM_IRQS;
    Give(argument, info);
    return 0;
  }
  if (request == VFIO_DEVICE_GET_REGION_INFO) return RegionInfo(device, argument);
  if (request == VFIO_DEVICE_GET_IRQ_INFO) {
    auto info = Take<vfio_irq_info>(argument);
    info.flags = VFIO_IRQ_INFO_EVENTFD;
    if (info.index != VFIO_PCI_MSIX_IRQ_INDEX || !device.msix_can_grow) {
      info.flags |= VFIO_IRQ_INFO_NORESIZE;
    }
    info.count = CountOf(device, info.index);
    Give(argument, info);
    return 0;
  }
  if (request == VFIO_DEVICE_SET_IRQS) return SetInterrupts(device, argument);
  return Refuse(ENOTTY);
}

int FakeVfio::RegionInfo(const FakeVfioDevice& device, void* argument) const {
  auto info = Take<vfio_region_info>(argument);
  info.offset = uint64_t{info.index} << kOffsetShift;
  info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
  if (info.index == VFIO_PCI_CONFIG_REGION_INDEX) {
    info.size = device.config.size();
  } else if (info.index < device.bar_bytes.size()) {
    info.size = device.bar_bytes[info.index];
    if (device.bar_mappable[info.index] && info.size > 0) info.flags |= VFIO_REGION_INFO_FLAG_MMAP;
    if (info.index == 0 && !device.sparse.empty()) {
      info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
      info.cap_offset = sizeof(info);
      auto* const at = static_cast<std::byte*>(argument) + sizeof(info);
      Give(at, vfio_info_cap_header{VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1, 0});
      Give(at + 8, static_cast<uint32_t>(device.sparse.size()));
      for (size_t i = 0; i < device.sparse.size(); ++i) {
        Give(at + 16 + 16 * i,
             vfio_region_sparse_mmap_area{device.sparse[i].first, device.sparse[i].second});
      }
    }
  } else {
    info.size = 0;
  }
  Give(argument, info);
  return 0;
}

int FakeVfio::SetInterrupts(FakeVfioDevice& device, const void* argument) {
  const auto set = Take<vfio_irq_set>(argument);
  const std::string kind = kKinds.at(set.index);
  auto& signals = device.signals[set.index];
  if ((set.flags & VFIO_IRQ_SET_ACTION_UNMASK) != 0) return signals.empty() ? Refuse(EINVAL) : 0;
  if (set.count == 0) {
    if (signals.empty()) return Refuse(EINVAL);
    signals.clear();
    device.events.push_back(kind + " off");
    return 0;
  }
  int fd = -1;
  std::memcpy(&fd, static_cast<const std::byte*>(argument) + sizeof(set), sizeof(fd));
  if (set.start >= CountOf(device, set.index)) return Refuse(EINVAL);
  // INTx, MSI and MSI-X exclude each other.
  for (const uint32_t other : {0U, 1U, 2U}) {
    if (set.index <= 2 && other != set.index && !device.signals[other].empty()) {
      return Refuse(EINVAL);
    }
  }
  if (signals.empty()) {
    device.events.push_back(kind + " on");
    for (uint32_t i = 0; i <= set.start; ++i) signals[i] = -1;
  } else if (!signals.contains(set.start) &&
             (set.index != VFIO_PCI_MSIX_IRQ_INDEX || !device.msix_can_grow)) {
    return Refuse(EINVAL);
  }
  signals[set.start] = fd;
  return 0;
}

ssize_t FakeVfio::Read(int fd, std::span<std::byte> data, uint64_t offset) {
  const FakeVfioDevice& device = *DeviceOf(fd);
  const uint64_t region = offset >> kOffsetShift;
  const uint64_t at = offset & ((1ULL << kOffsetShift) - 1);
  if (region == VFIO_PCI_CONFIG_REGION_INDEX) {
    HULL_CHECK(at + data.size() <= device.config.size());
    std::memcpy(data.data(), device.config.data() + at, data.size());
  } else {
    HULL_CHECK(region < 6 && at + data.size() <= device.bar_bytes[region]);
    std::ranges::fill(data, std::byte{0xd0});
  }
  return static_cast<ssize_t>(data.size());
}

ssize_t FakeVfio::Write(int fd, std::span<const std::byte> data, uint64_t offset) {
  FakeVfioDevice& device = *DeviceOf(fd);
  const uint64_t region = offset >> kOffsetShift;
  const uint64_t at = offset & ((1ULL << kOffsetShift) - 1);
  if (region != VFIO_PCI_CONFIG_REGION_INDEX) {
    HULL_CHECK(region < 6 && at + data.size() <= device.bar_bytes[region]);
    device.region_writes.emplace_back(at, data.size());
    return static_cast<ssize_t>(data.size());
  }
  HULL_CHECK(at + data.size() <= device.config.size());
  std::memcpy(device.config.data() + at, data.data(), data.size());
  if (at == PCI_COMMAND) {
    device.events.push_back(fmt::format("command {:#x}", device.Get(PCI_COMMAND, 2)));
  }
  return static_cast<ssize_t>(data.size());
}

Result<void*> FakeVfio::Map(int fd, uint64_t offset, uint64_t size_bytes, int protection) {
  HULL_CHECK(DeviceOf(fd) != nullptr && offset % 4096 == 0);
  void* const mapped =
      ::mmap(nullptr, size_bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return FailErrno("mmap");
  ++mapped_regions;
  return mapped;
}

void FakeVfio::Unmap(void* address, uint64_t size_bytes) {
  --mapped_regions;
  ::munmap(address, size_bytes);
}

}  // namespace hull
