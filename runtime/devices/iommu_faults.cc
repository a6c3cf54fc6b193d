#include "runtime/devices/iommu_faults.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "vmm/base/file.h"

namespace hull::devices {
namespace {

constexpr char kLog[] = "/dev/kmsg";
// Linux, include/linux/printk.h: PRINTKRB_RECORD_MAX and a prefix; a larger record does not exist.
constexpr size_t kMaxRecordBytes = 8192;
// Linux, Documentation/ABI/testing/dev-kmsg: the level is in the low three bits, the facility
// above; the kernel's is 0, and nobody else can write with it.
constexpr unsigned kFirstForeignPriority = 8;

bool IsKernels(std::string_view line) {
  unsigned priority = kFirstForeignPriority;
  std::from_chars(line.data(), line.data() + line.size(), priority);
  return priority < kFirstForeignPriority;
}

bool Has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

bool IsFaultOf(std::string_view line, const PciAddress& device) {
  if (!IsKernels(line)) return false;
  // Linux, drivers/iommu/intel/dmar.c, dmar_fault_do_one: of memory and of interrupts.
  if (Has(line, "DMAR: [")) {
    return Has(line, fmt::format("] Request device [{:02x}:{:02x}.{}] fault ", device.bus,
                                 device.device, device.function));
  }
  // drivers/iommu/amd/iommu.c: the device stands before the message, or in it when the IOMMU does
  // not know it well.
  if (!Has(line, "AMD-Vi: Event logged [IO_PAGE_FAULT ") &&
      !Has(line, "AMD-Vi: Event logged [INVALID_DEVICE_REQUEST ")) {
    return false;
  }
  const std::string address = device.ToString();
  return Has(line, fmt::format(" {}: AMD-Vi: ", address)) ||
         Has(line, fmt::format(" device={} ", address));
}

Result<IommuFaultLog> IommuFaultLog::Open(const HostTree& host) {
  const std::string path = host.Real(kLog);
  HULL_ASSIGN(UniqueFd fd, OpenFile(path, O_RDONLY | O_NONBLOCK));
  if (lseek(fd.get(), 0, SEEK_END) < 0) return FailErrno("seek in {}", path);
  return IommuFaultLog(std::move(fd));
}

std::vector<uint64_t> IommuFaultLog::Take(const std::vector<PciAddress>& devices) {
  std::vector<uint64_t> counts(devices.size());
  std::array<char, kMaxRecordBytes> buffer;
  for (int records = 0; records < kMaxRecords; ++records) {
    // One record a call; where a file stands in for the log, several.
    const ssize_t got = read(fd_.get(), buffer.data(), buffer.size());
    // EPIPE: records were overwritten before they were read; what follows is there.
    if (got < 0 && (errno == EPIPE || errno == EINTR)) continue;
    if (got <= 0) break;
    std::string_view rest(buffer.data(), static_cast<size_t>(got));
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      for (size_t i = 0; i < devices.size(); ++i) {
        if (IsFaultOf(line, devices[i])) ++counts[i];
      }
    }
  }
  return counts;
}

}  // namespace hull::devices
