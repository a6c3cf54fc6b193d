#include "runtime/device_fault_watch.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

namespace hull {

Status DeviceFaultWatch::Start(const devices::HostTree& host,
                               const std::vector<PassedFunction>& functions, OnFaults on_faults) {
  for (const PassedFunction& function : functions) {
    HULL_ASSIGN(const devices::PciAddress address, devices::ParsePciAddress(function.address));
    devices_.push_back(address);
  }
  HULL_ASSIGN(log_, devices::IommuFaultLog::Open(host));
  on_faults_ = std::move(on_faults);
  UniqueFd duplicate(fcntl(log_->fd(), F_DUPFD_CLOEXEC, 0));
  if (!duplicate.valid()) return FailErrno("duplicate a descriptor");
  boost::system::error_code error;
  log_fd_.assign(duplicate.get(), error);
  // A test's log, a plain file, cannot be waited for: Finish() reads it.
  if (error) return {};
  static_cast<void>(duplicate.Release());
  Await();
  return {};
}

void DeviceFaultWatch::Await() {
  log_fd_.async_wait(boost::asio::posix::descriptor_base::wait_read,
                     [this](boost::system::error_code error) {
                       if (error) return;
                       Look();
                       pause_.expires_after(kInterval);
                       pause_.async_wait([this](boost::system::error_code cancelled) {
                         if (!cancelled) Await();
                       });
                     });
}

void DeviceFaultWatch::Look() {
  const std::vector<uint64_t> counts = log_->Take(devices_);
  if (std::any_of(counts.begin(), counts.end(), [](uint64_t count) { return count != 0; })) {
    on_faults_(counts);
  }
}

void DeviceFaultWatch::Finish() {
  if (!log_) return;
  boost::system::error_code ignored;
  log_fd_.close(ignored);
  pause_.cancel();
  Look();
  log_.reset();
}

}  // namespace hull
