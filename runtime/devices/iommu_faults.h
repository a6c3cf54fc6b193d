// Transactions of devices that the host's IOMMU refused, as the host's kernel tells them: VFIO has
// no event for it, the kernel's log (/dev/kmsg) is the only place. The kernel limits these lines
// (with Intel's IOMMU to ten in five seconds for all devices together; some transactions have
// several), so a number is what was told, and there may have been more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/devices/host_tree.h"
#include "runtime/devices/pci_address.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::devices {

// Whether `line`, the first of a record of /dev/kmsg ("<level>,<number>,<time>,...;<text>"; what
// follows in it begins with a space), says that a memory or interrupt transaction of `device` was
// refused. Only the kernel's own words count, not what somebody wrote into its log. Intel's lines
// have no PCI domain: there `device` may be of any.
bool IsFaultOf(std::string_view line, const PciAddress& device);

// Reads the log from when it was opened on. One owner, one thread.
class IommuFaultLog {
 public:
  // An error where the log cannot be read: not by root, with kernel.dmesg_restrict.
  static Result<IommuFaultLog> Open(const HostTree& host);

  // Readable when there is something new, not only faults.
  int fd() const { return fd_.get(); }

  // How many of each of `devices` were told since the last call, in their order. Does not wait, and
  // reads at most kMaxRecords: what is behind them is for the next call.
  std::vector<uint64_t> Take(const std::vector<PciAddress>& devices);

  static constexpr int kMaxRecords = 10'000;

 private:
  explicit IommuFaultLog(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace hull::devices
