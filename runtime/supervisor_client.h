// A container's supervisor as its clients see it (supervisor_protocol.h). Lives on the loop of its
// io_context.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "runtime/supervisor_protocol.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

// Two ends of a connection: what the supervisor gets, and what stays here.
struct ConnectedPair {
  UniqueFd theirs;
  UniqueFd ours;
};
Result<ConnectedPair> MakeConnectedPair();

class SupervisorClient {
 public:
  using Handler = std::function<void(Status)>;

  // `socket`: of Containers::DialSupervisor, or of a pair.
  SupervisorClient(boost::asio::io_context& io, UniqueFd socket);
  SupervisorClient(const SupervisorClient&) = delete;
  SupervisorClient& operator=(const SupervisorClient&) = delete;
  ~SupervisorClient();

  // `handler` is called once, on the loop: with the supervisor's answer, or kUnavailable when the
  // connection ends first.
  void Call(boost::json::object request, Handler handler, const std::vector<int>& descriptors = {});
  // The same, running the loop. kTimedOut.
  Status CallAndWait(boost::json::object request, std::chrono::milliseconds limit);

  // Called on the loop while the machine's memory is being pinned for its devices.
  using Pinning = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;
  void OnPinning(Pinning handler);

  // Since the connection was made.
  bool started() const;
  const std::optional<ContainerEnd>& end() const;
  // The supervisor has closed: all is cleaned up, or it has died.
  bool closed() const;

  // Runs the loop until `done()` or the connection has ended, at most `limit` (absent: for ever).
  // False when time is up.
  bool RunUntil(const std::function<bool()>& done,
                std::optional<std::chrono::milliseconds> limit = std::nullopt);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hull
