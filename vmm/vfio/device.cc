#include "vmm/vfio/device.h"

#include <algorithm>
#include <cstring>

#include "vmm/base/check.h"
#include "vmm/vfio/vfio_header.h"

namespace hull::vfio {
namespace {

constexpr uint64_t kPageBytes = 4096;
// More than any region's information with its capabilities.
constexpr size_t kMaxInfoBytes = 4096;

// What a region of ours may be at most: 46 bits of address are all there is.
constexpr uint64_t kMaxRegionBytes = 1ULL << 46U;

uint64_t PageUp(uint64_t bytes) {
  return (bytes + kPageBytes - 1) & ~(kPageBytes - 1);
}

// The chain of capabilities behind a vfio_region_info: the stretches that may be mapped, or all.
std::vector<Device::Piece> MappablePieces(std::span<const std::byte> info,
                                          const vfio_region_info& region) {
  if ((region.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0) return {};
  std::vector<Device::Piece> pieces;
  uint32_t at = (region.flags & VFIO_REGION_INFO_FLAG_CAPS) != 0 ? region.cap_offset : 0;
  for (size_t hops = 0; at != 0 && hops < 16; ++hops) {
    vfio_info_cap_header header = {};
    if (at > info.size() || info.size() - at < sizeof(vfio_region_info_cap_sparse_mmap)) break;
    std::memcpy(&header, info.data() + at, sizeof(header));
    if (header.id == VFIO_REGION_INFO_CAP_SPARSE_MMAP) {
      uint32_t count = 0;
      std::memcpy(&count, info.data() + at + sizeof(header), sizeof(count));
      size_t area_at = at + sizeof(vfio_region_info_cap_sparse_mmap);
      for (uint32_t i = 0;
           i < count && info.size() - area_at >= sizeof(vfio_region_sparse_mmap_area); ++i) {
        vfio_region_sparse_mmap_area area = {};
        std::memcpy(&area, info.data() + area_at, sizeof(area));
        area_at += sizeof(area);
        pieces.push_back({.offset_bytes = area.offset, .size_bytes = area.size});
      }
      return pieces;
    }
    at = header.next;
  }
  return {{.offset_bytes = 0, .size_bytes = PageUp(region.size)}};
}

}  // namespace

Result<Device> Device::Create(Host& host, UniqueFd fd, std::string name) {
  Device device(host, std::move(fd), std::move(name));
  HULL_TRY(device.ReadInfo());
  return device;
}

Status Device::ReadInfo() {
  vfio_device_info info = {};
  info.argsz = sizeof(info);
  if (host_->Ioctl(fd_.get(), VFIO_DEVICE_GET_INFO, &info) != 0) {
    return FailErrno("VFIO_DEVICE_GET_INFO");
  }
  if ((info.flags & VFIO_DEVICE_FLAGS_PCI) == 0 ||
      info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX) {
    return Fail(ErrorCode::kUnsupported, "not a PCI device");
  }
  can_reset_ = (info.flags & VFIO_DEVICE_FLAGS_RESET) != 0;
  HULL_ASSIGN(config_, ReadRegion(VFIO_PCI_CONFIG_REGION_INDEX));
  for (uint32_t i = 0; i < kBarRegions; ++i) {
    HULL_ASSIGN(bars_[i], ReadRegion(VFIO_PCI_BAR0_REGION_INDEX + i));
  }
  return {};
}

Result<Device::Region> Device::ReadRegion(uint32_t index) const {
  alignas(uint64_t) std::array<std::byte, kMaxInfoBytes> buffer = {};
  vfio_region_info info = {};
  info.argsz = buffer.size();
  info.index = index;
  std::memcpy(buffer.data(), &info, sizeof(info));
  if (host_->Ioctl(fd_.get(), VFIO_DEVICE_GET_REGION_INFO, static_cast<void*>(buffer.data())) !=
      0) {
    return FailErrno("VFIO_DEVICE_GET_REGION_INFO {}", index);
  }
  std::memcpy(&info, buffer.data(), sizeof(info));
  if (info.size > kMaxRegionBytes) {
    return Fail(ErrorCode::kUnsupported, "region {} has {} bytes", index, info.size);
  }
  return Region{.size_bytes = info.size,
                .file_offset = info.offset,
                .mappable = MappablePieces(buffer, info)};
}

Device::Interrupts Device::InterruptsOf(InterruptKind kind) const {
  vfio_irq_info info = {};
  info.argsz = sizeof(info);
  info.index = kind.index;
  // Refused for kinds that the device cannot have.
  if (host_->Ioctl(fd_.get(), VFIO_DEVICE_GET_IRQ_INFO, &info) != 0) return {};
  if ((info.flags & VFIO_IRQ_INFO_EVENTFD) == 0) return {};
  return {.count = info.count, .can_grow = (info.flags & VFIO_IRQ_INFO_NORESIZE) == 0};
}

uint32_t Device::ReadConfig(uint32_t offset, size_t size_bytes) const {
  uint32_t value = ~uint32_t{0};
  HULL_CHECK(size_bytes <= sizeof(value));
  const auto bytes = std::as_writable_bytes(std::span(&value, 1)).first(size_bytes);
  if (host_->Read(fd_.get(), bytes, config_.file_offset + offset) !=
      static_cast<ssize_t>(size_bytes)) {
    value = ~uint32_t{0};
  }
  return size_bytes >= sizeof(value) ? value : value & ((uint32_t{1} << (8 * size_bytes)) - 1);
}

void Device::WriteConfig(uint32_t offset, size_t size_bytes, uint32_t value) const {
  HULL_CHECK(size_bytes <= sizeof(value));
  // A device that does not take it has gone: that is told in another way.
  static_cast<void>(host_->Write(fd_.get(), std::as_bytes(std::span(&value, 1)).first(size_bytes),
                                 config_.file_offset + offset));
}

void Device::ReadBar(uint32_t index, uint64_t offset, std::span<std::byte> data) const {
  if (host_->Read(fd_.get(), data, bars_[index].file_offset + offset) !=
      static_cast<ssize_t>(data.size())) {
    std::ranges::fill(data, std::byte{0xff});
  }
}

void Device::WriteBar(uint32_t index, uint64_t offset, std::span<const std::byte> data) const {
  static_cast<void>(host_->Write(fd_.get(), data, bars_[index].file_offset + offset));
}

Status Device::SetInterrupts(InterruptKind kind, uint32_t number, uint32_t flags,
                             const int* fd) const {
  alignas(vfio_irq_set) std::array<std::byte, sizeof(vfio_irq_set) + sizeof(int32_t)> buffer = {};
  vfio_irq_set set = {};
  set.argsz = static_cast<uint32_t>(sizeof(vfio_irq_set) + (fd != nullptr ? sizeof(int32_t) : 0));
  set.flags = flags;
  set.index = kind.index;
  set.start = number;
  set.count = fd != nullptr ? 1 : 0;
  std::memcpy(buffer.data(), &set, sizeof(set));
  if (fd != nullptr) std::memcpy(buffer.data() + sizeof(set), fd, sizeof(int32_t));
  const int result =
      host_->Ioctl(fd_.get(), VFIO_DEVICE_SET_IRQS, static_cast<void*>(buffer.data()));
  if (result > 0) {
    return Fail(ErrorCode::kExhausted, "the host has only {} interrupt vectors for it", result);
  }
  if (result != 0) {
    return FailErrno("VFIO_DEVICE_SET_IRQS for interrupt {} of kind {}", number, kind.index);
  }
  return {};
}

Status Device::Signal(InterruptKind kind, uint32_t number, int event_fd) const {
  return SetInterrupts(kind, number, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                       &event_fd);
}

Status Device::UnmaskBy(InterruptKind kind, int event_fd) const {
  return SetInterrupts(kind, 0, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK, &event_fd);
}

void Device::Silence(InterruptKind kind) const {
  // Fails only when the kind is not on.
  static_cast<void>(
      SetInterrupts(kind, 0, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, nullptr));
}

Status Device::Reset() const {
  if (host_->Ioctl(fd_.get(), VFIO_DEVICE_RESET, 0UL) != 0) return FailErrno("VFIO_DEVICE_RESET");
  return {};
}

}  // namespace hull::vfio
