// AddressSpace: what passed-through devices can reach: one I/O address space behind the host's
// IOMMU, in which guest-physical addresses are the devices' addresses, and the devices in it.
//
// Two kinds, by what the host has: iommufd and a device's own node (Linux 6.6 and later, where it
// is switched on), or groups in a container. Control loop; the devices' descriptors outlive
// neither.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/memory/guest_range.h"
#include "vmm/vfio/host.h"

namespace hull::vfio {

enum class DmaAccess { kReadWrite, kReadOnly };

// What opening a device gives.
struct OpenedDevice {
  UniqueFd device;
  // For KVM_DEV_VFIO_FILE_ADD: a group's or the device's; -1 when KVM has been told of it already.
  int kvm_file;
};

class AddressSpace {
 public:
  virtual ~AddressSpace() = default;

  // Opens the device at `address` ("0000:01:00.0") and puts it into this space. From now on it can
  // reach what is mapped, as soon as it is made bus master. Errors say which step failed and what
  // to do.
  virtual Result<OpenedDevice> Open(const std::string& address) = 0;

  // Lets the devices reach `range` as their own addresses: it is this process's memory at
  // `host_address`, which the host pins. After the first device was opened.
  virtual Status Map(const GuestRange& range, uint64_t host_address, DmaAccess access) = 0;

  // The kind that fits the device at `address`. `host` outlives it.
  static Result<std::unique_ptr<AddressSpace>> Create(Host& host, const std::string& address);
};

// "/sys/bus/pci/devices/ADDRESS/NAME".
std::string DeviceFile(const std::string& address, const std::string& name);

// What kinds of address space say alike. Each has what to do as its hint.
Status CheckPresent(Host& host, const std::string& address);
Error NotBound(Host& host, const std::string& address);
// `error_number` is what the kernel answered to a mapping of `range`.
Error CannotPin(int error_number, const GuestRange& range);

}  // namespace hull::vfio
