// Follows what the host's kernel says of refused transactions of a sandbox's devices
// (devices/iommu_faults.h). Belongs to the supervisor and its loop.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "runtime/container_record.h"
#include "runtime/devices/host_tree.h"
#include "runtime/devices/iommu_faults.h"

namespace hull {

class DeviceFaultWatch {
 public:
  // How many more of each function, in their order; not all are 0.
  using OnFaults = std::function<void(const std::vector<uint64_t>&)>;

  explicit DeviceFaultWatch(boost::asio::io_context& io) : log_fd_(io), pause_(io) {}

  // From now on; `on_faults` is called at most once in kInterval, so that a device that never stops
  // costs the host next to nothing. An error where the kernel's log cannot be read.
  Status Start(const devices::HostTree& host, const std::vector<PassedFunction>& functions,
               OnFaults on_faults);

  // What has been told until now, at once, and nothing more after it.
  void Finish();

  static constexpr std::chrono::seconds kInterval{1};

 private:
  void Await();
  void Look();

  boost::asio::posix::stream_descriptor log_fd_;  // a duplicate of the log's, for the loop
  boost::asio::steady_timer pause_;
  std::optional<devices::IommuFaultLog> log_;
  std::vector<devices::PciAddress> devices_;
  OnFaults on_faults_;
};

}  // namespace hull
