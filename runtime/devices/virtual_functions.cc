#include "runtime/devices/virtual_functions.h"

#include <unistd.h>

#include "runtime/devices/host_uses.h"

namespace hull::devices {
namespace {

Status CheckRequest(const HostTree& host, const PciDevice& device, uint32_t count) {
  const std::string address = device.address.ToString();
  if (host.is_this_host() && ::geteuid() != 0) {
    return Fail(Error(ErrorCode::kPermissionDenied, "making virtual functions needs root")
                    .WithHint("run it with sudo"));
  }
  if (device.physical_function) {
    return Fail(ErrorCode::kInvalidArgument, "device {} is a virtual function itself, of {}",
                address, device.physical_function->ToString());
  }
  if (device.total_vfs == 0) {
    return Fail(ErrorCode::kUnsupported, "device {} has no SR-IOV", address);
  }
  if (count > device.total_vfs) {
    return Fail(ErrorCode::kInvalidArgument, "device {} can have {} virtual functions, not {}",
                address, device.total_vfs, count);
  }
  if (device.active_vfs == 0) return {};
  const HostUses uses = HostUses::Look(host);
  for (const PciAddress& function : device.virtual_functions) {
    const Result<PciDevice> one = ReadPciDevice(host, function);
    if (!one) continue;
    const std::vector<HostUse> found = uses.Of(*one);
    if (found.empty()) continue;
    return Fail(Error(ErrorCode::kUnavailable, fmt::format("virtual function {} is in use: {}",
                                                           function.ToString(), found.front().text))
                    .WithHint("end that first"));
  }
  return {};
}

}  // namespace

Result<std::vector<PciAddress>> SetVirtualFunctions(const HostTree& host, const PciAddress& address,
                                                    uint32_t count) {
  HULL_ASSIGN(const PciDevice device, ReadPciDevice(host, address));
  HULL_TRY(CheckRequest(host, device, count));
  const std::string attempt = fmt::format("device {}", address.ToString());
  if (device.active_vfs == count) return device.virtual_functions;
  const std::string number = device.Path() + "/sriov_numvfs";
  // The kernel goes from one number to another by way of none.
  if (device.active_vfs != 0) HULL_TRY_WITHIN(attempt, host.Write(number, "0"));
  if (count != 0) {
    const std::string automatic = device.Path() + "/sriov_drivers_autoprobe";
    const std::string before = host.Read(automatic);
    if (before == "1") HULL_TRY_WITHIN(attempt, host.Write(automatic, "0"));
    const Status made = host.Write(number, fmt::format("{}", count));
    if (before == "1") HULL_TRY_WITHIN(attempt, host.Write(automatic, "1"));
    if (!made) {
      const std::string driver = device.driver.empty() ? "no driver" : "driver " + device.driver;
      return Fail(
          Error(made.error())
              .Within(attempt)
              .WithHint(fmt::format(
                  "its driver has to know SR-IOV (it has {}); what the kernel says of it: dmesg",
                  driver)));
    }
  }
  HULL_ASSIGN(const PciDevice now, ReadPciDevice(host, address));
  if (now.active_vfs == count) return now.virtual_functions;
  return Fail(ErrorCode::kFailed, "{}: it has {} virtual functions now, not {}", attempt,
              now.active_vfs, count);
}

}  // namespace hull::devices
