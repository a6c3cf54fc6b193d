// What a supervisor does, in the order in which it does it (supervisor.h). Lives on its own loop,
// alone in its process.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "runtime/container_log.h"
#include "runtime/containers.h"
#include "runtime/device_fault_watch.h"
#include "runtime/devices/device_request.h"
#include "runtime/phase_log.h"
#include "runtime/sandbox.h"
#include "runtime/stream_relay.h"
#include "runtime/supervisor_connection.h"
#include "runtime/supervisor_protocol.h"

namespace hull {

class SupervisorLife {
 public:
  SupervisorLife(const Containers& containers, std::string id, RunDirectory run, UniqueFd client,
                 const PhaseLog& phases);
  SupervisorLife(const SupervisorLife&) = delete;
  SupervisorLife& operator=(const SupervisorLife&) = delete;

  // From the locked run directory to its removal. The exit code of this process, for nobody: 0, or
  // 1 when something could not be cleaned up.
  int Run();

 private:
  using Connection = SupervisorConnection::Pointer;

  // Life, in order.
  Status Listen(const std::string& run_path, int run_fd);
  Status Launch();
  void RecordProcesses();
  Status Boot();
  Status CreateContainer();
  // Of the container's devices.
  Status ClaimDevices(SandboxSpec& spec);
  Status PackMounts(SandboxSpec& spec);
  void AddDevices(agent::v1::CreateRequest& request) const;
  void WatchFaults(const devices::HostTree& host);
  void OnFaults(const std::vector<uint64_t>& counts);
  Status OpenStreams();
  Status StartContainer();
  Status RecordStart();
  Result<ProcessExit> AwaitEnd();
  void DrainOutput(std::optional<std::chrono::seconds> limit);
  void StopStreams();
  ContainerEnd EndOf(const Result<ProcessExit>& result);
  ContainerEnd EndOf(const Error& error);
  Status RecordEnd(const ContainerEnd& end);
  void StopInOrder();
  Status CleanUp();

  // Clients.
  void AwaitClient();
  void Adopt(UniqueFd socket);
  void Broadcast(const boost::json::object& event);
  void OnRequest(const Connection& client, const boost::json::object& request,
                 std::vector<UniqueFd> descriptors);
  Status Attach(const Connection& client, const boost::json::object& request,
                std::vector<UniqueFd> descriptors);
  Status Resize(const boost::json::object& request);
  Status ReaderGone(const Connection& client, const boost::json::object& request);
  void Signal(const Connection& client, const boost::json::object& request);
  void Freeze(const Connection& client, const boost::json::object& request, bool pause);
  void EndByForce(int exit_code);
  void AwaitTermination();

  // --debug.
  void FollowConsole();
  void ShowConsole();

  const Containers& containers_;
  const std::string id_;
  const PhaseLog& phases_;
  boost::asio::io_context io_;
  ContainerRecord record_;
  std::optional<RunDirectory> run_;  // until the sandbox has it
  boost::asio::posix::stream_descriptor listener_;
  boost::asio::signal_set termination_;
  boost::asio::steady_timer termination_timer_;
  boost::asio::steady_timer console_timer_;
  uint64_t console_shown_ = 0;
  std::set<Connection> clients_;
  // What the user's --device and --gpus are at this start.
  devices::DeviceGrant grant_;
  DeviceFaultWatch faults_;
  std::unique_ptr<Sandbox> sandbox_;
  std::optional<ContainerLog> log_;
  bool log_failed_ = false;
  std::shared_ptr<OutputRelay> output_;
  std::shared_ptr<OutputRelay> errors_;
  std::shared_ptr<InputRelay> input_;
  uint32_t columns_ = 0;
  uint32_t rows_ = 0;
  // Attached before there were streams.
  std::vector<std::function<void()>> attach_later_;
  bool running_ = false;
  bool paused_ = false;
  std::optional<int> forced_exit_code_;
  std::optional<Result<ProcessExit>> exit_;
  std::optional<ContainerEnd> end_;
};

}  // namespace hull
