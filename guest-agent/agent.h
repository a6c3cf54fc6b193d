// The agent: its loop, what listens, and what ends it all. One instance, made by main(), alive to
// the end.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "guest-agent/containers.h"
#include "guest-agent/listener.h"
#include "guest-agent/protocol/agent.pb.h"
#include "guest-agent/protocol/server.h"
#include "guest-agent/reaper.h"
#include "guest-agent/stream_acceptor.h"
#include "vmm/base/result.h"

namespace hull::agent {

struct AgentOptions {
  // A guest's PID 1. Otherwise the agent runs beside other processes, as in its tests: it sets
  // nothing up, and ends instead of powering off.
  bool is_init = true;
  // Where to listen instead of vsock: Unix sockets named by their port.
  std::string unix_directory;
  // Containers' directories.
  std::string state_directory = "/run/hull";
  std::string crun = "/usr/bin/crun";
  std::string cgroup_root = "/sys/fs/cgroup";
  std::string archive = "/usr/lib/hull/hull-archive";
  std::string sysctl_root = "/proc/sys";
};

class Agent {
 public:
  explicit Agent(AgentOptions options);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Listens, and dials the host: from here on the sandbox is ready.
  Status Start();
  // Returns when the agent is to end (never as PID 1: that powers off).
  void Run();

 private:
  Status Listen(uint32_t port, Listener::Handler handler);
  void Dial();
  void RegisterMethods();
  v1::ConnectResponse Connect(const v1::ConnectRequest& request);
  void ShutDown(std::chrono::milliseconds grace);
  void PowerOff();

  const AgentOptions options_;
  boost::asio::io_context io_{1};
  Reaper reaper_{io_};
  Containers containers_;
  StreamAcceptor streams_{io_, containers_};
  ttrpc::Server server_{io_};
  std::vector<std::unique_ptr<Listener>> listeners_;
  boost::asio::steady_timer later_{io_};  // until the devices that can wait are taken
  int64_t ready_ns_ = 0;
  bool shutting_down_ = false;
};

}  // namespace hull::agent
