// FakeVfio: a host with PCI devices behind VFIO, both ways in: groups in a container, and iommufd.
// It does what the kernel's interface promises and notes what it was asked to do.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "vmm/vfio/host.h"

namespace hull {

struct FakeVfioDevice {
  std::array<uint8_t, 256> config = {};
  std::array<uint64_t, 6> bar_bytes = {};
  std::array<bool, 6> bar_mappable = {true, true, true, true, true, true};
  std::vector<std::pair<uint64_t, uint64_t>> sparse = {};  // of region 0, when not empty
  uint32_t intx = 0;
  uint32_t msi = 0;
  uint32_t msix = 0;
  bool msix_can_grow = true;
  bool can_reset = true;
  std::string group = "7";
  std::string driver = "vfio-pci";  // "": none

  void Set(uint32_t offset, uint32_t value, size_t size_bytes) {
    for (size_t i = 0; i < size_bytes; ++i) {
      config[offset + i] = static_cast<uint8_t>(value >> (8 * i));
    }
  }
  uint32_t Get(uint32_t offset, size_t size_bytes) const {
    uint32_t value = 0;
    for (size_t i = 0; i < size_bytes; ++i) value |= uint32_t{config[offset + i]} << (8 * i);
    return value;
  }

  // What became of it.
  std::map<uint32_t, std::map<uint32_t, int>> signals = {};  // by kind and number; -1: none yet
  std::vector<std::string> events = {};  // "command 0x6", "reset", "intx on", "msix off", ...
  std::vector<std::pair<uint64_t, size_t>> region_writes = {};  // offset in the region, size
};

class FakeVfio final : public vfio::Host {
 public:
  struct Mapping {
    uint64_t address;
    uint64_t size_bytes;
    bool writable;
    bool operator==(const Mapping&) const = default;
  };

  // A device with an NVMe disk's shape: one 64-bit region of 16 KiB with the MSI-X table of
  // `vectors` in its second page, INTx, MSI (four vectors), power management, PCI Express.
  static FakeVfioDevice Nvme(uint32_t vectors = 8);

  FakeVfioDevice& Add(const std::string& address, FakeVfioDevice device);
  FakeVfioDevice& device(const std::string& address) { return devices_.at(address); }

  // How the host is.
  bool has_iommufd = false;
  bool has_vfio = true;
  std::set<std::string> busy_groups = {};
  std::set<std::string> unviable_groups = {};
  int set_iommu_error = 0;
  int map_error = 0;
  int bind_error = 0;

  std::vector<Mapping> mappings = {};
  std::vector<std::string> opened = {};
  int mapped_regions = 0;  // now

  Result<UniqueFd> Open(const std::string& path) override;
  Result<std::string> ReadLink(const std::string& path) override;
  Result<std::string> FindEntry(const std::string& directory, const std::string& prefix) override;
  int Ioctl(int fd, unsigned long request, void* argument) override;
  int Ioctl(int fd, unsigned long request, unsigned long argument) override;
  ssize_t Read(int fd, std::span<std::byte> data, uint64_t offset) override;
  ssize_t Write(int fd, std::span<const std::byte> data, uint64_t offset) override;
  Result<void*> Map(int fd, uint64_t offset, uint64_t size_bytes, int protection) override;
  void Unmap(void* address, uint64_t size_bytes) override;

 private:
  Result<UniqueFd> MakeFd(const std::string& path);
  FakeVfioDevice* DeviceOf(int fd);
  int DeviceIoctl(FakeVfioDevice& device, unsigned long request, void* argument);
  int RegionInfo(const FakeVfioDevice& device, void* argument) const;
  int SetInterrupts(FakeVfioDevice& device, const void* argument);

  std::map<std::string, FakeVfioDevice> devices_;
  std::map<int, std::string> files_;  // what a descriptor was opened as
};

}  // namespace hull
