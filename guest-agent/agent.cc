#include "guest-agent/agent.h"

#include <sys/reboot.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <exception>
#include <utility>

#include "guest-agent/kernel_log.h"
#include "guest-agent/later_devices.h"
#include "guest-agent/protocol/agent_service.h"
#include "vmm/base/file.h"

namespace hull::agent {
namespace {

// How long containers have between SIGTERM and SIGKILL when the power button is pressed: less than
// the ten seconds that hull-vmm waits by default.
constexpr std::chrono::milliseconds kButtonGrace{8000};

int64_t MonotonicNs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void SetClock(int64_t time_ns) {
  const timespec time{.tv_sec = time_ns / 1'000'000'000, .tv_nsec = time_ns % 1'000'000'000};
  if (::clock_settime(CLOCK_REALTIME, &time) != 0)
    LogWarning("the host's time {} was refused", time_ns);
}

}  // namespace

Agent::Agent(AgentOptions options)
    : options_(std::move(options)),
      containers_(io_, reaper_,
                  {.state_directory = options_.state_directory,
                   .crun = options_.crun,
                   .cgroup_root = options_.cgroup_root,
                   .archive = options_.archive,
                   .sysctl_root = options_.sysctl_root}) {}

Status Agent::Start() {
  HULL_TRY(reaper_.Start(!options_.is_init));
  HULL_TRY(MakeDirectories(options_.state_directory, 0700));
  RegisterMethods();
  HULL_TRY(Listen(kAgentPort, [this](UniqueFd connection) {
    if (Status served = server_.Serve(std::move(connection)); !served) {
      LogWarning("serve a connection: {}", served.error().ToString());
    }
  }));
  HULL_TRY(
      Listen(kStreamPort, [this](UniqueFd connection) { streams_.Accept(std::move(connection)); }));
  HULL_TRY(Listen(kPowerButtonPort, [this](const UniqueFd&) { ShutDown(kButtonGrace); }));
  ready_ns_ = MonotonicNs();
  if (options_.is_init) {
    later_.expires_after(kLaterDevicesDelay);
    later_.async_wait([](const boost::system::error_code& failed) {
      if (!failed) BindLaterDevices("/sys");
    });
  }
  if (options_.unix_directory.empty()) Dial();
  return {};
}

void Agent::Run() {
  while (true) {
    // PID 1 must not die of one failed operation: the guest's kernel would panic. hull's functions
    // do not throw, but the library's do when memory runs out.
    try {
      io_.run();
      return;
    } catch (const std::exception& failure) {
      LogError("an operation failed: {}", failure.what());
    }
  }
}

Status Agent::Listen(uint32_t port, Listener::Handler handler) {
  HULL_ASSIGN(UniqueFd socket, options_.unix_directory.empty()
                                   ? ListenVsock(port)
                                   : ListenUnix(options_.unix_directory, port));
  HULL_ASSIGN(std::unique_ptr<Listener> listener,
              Listener::Create(io_, std::move(socket), std::move(handler)));
  listeners_.push_back(std::move(listener));
  return {};
}

void Agent::Dial() {
  Result<UniqueFd> socket = DialHost(kAgentPort);
  if (!socket) {
    LogInfo("dial the host: {}", socket.error().ToString());
    return;
  }
  // Connected when it becomes writable. When nobody listens there, the first read says so, and that
  // is fine.
  auto connecting = std::make_shared<boost::asio::posix::stream_descriptor>(io_, socket->Release());
  connecting->async_wait(boost::asio::posix::stream_descriptor::wait_write,
                         [this, connecting](const boost::system::error_code& failed) {
                           if (failed) return;
                           UniqueFd connected(connecting->release());
                           if (Status served = server_.Serve(std::move(connected)); !served) {
                             LogInfo("serve the host: {}", served.error().ToString());
                           }
                         });
}

void Agent::RegisterMethods() {
  containers_.Register(server_);
  server_.Handle<v1::ConnectRequest, v1::ConnectResponse>(
      kServiceName, "Connect",
      [this](const v1::ConnectRequest& request, const ttrpc::Reply<v1::ConnectResponse>& reply) {
        reply(Connect(request));
      });
  server_.Handle<v1::ShutdownRequest, v1::ShutdownResponse>(
      kServiceName, "Shutdown",
      [this](const v1::ShutdownRequest& request, const ttrpc::Reply<v1::ShutdownResponse>& reply) {
        reply(v1::ShutdownResponse());
        ShutDown(std::chrono::milliseconds(request.grace_ms()));
      });
}

v1::ConnectResponse Agent::Connect(const v1::ConnectRequest& request) {
  if (request.host_time_ns() > 0 && options_.is_init) SetClock(request.host_time_ns());
  v1::ConnectResponse response;
  response.set_protocol_version(std::min(request.protocol_version(), kProtocolVersion));
  response.set_agent_version(HULL_VERSION);
  utsname names{};
  if (::uname(&names) == 0) response.set_kernel_release(names.release);
  response.set_ready_ns(ready_ns_);
  return response;
}

void Agent::ShutDown(std::chrono::milliseconds grace) {
  if (std::exchange(shutting_down_, true)) return;
  containers_.EndAll(grace, [this] { PowerOff(); });
}

void Agent::PowerOff() {
  ::sync();
  if (!options_.is_init) {
    io_.stop();
    return;
  }
  ::reboot(RB_POWER_OFF);
  LogError("power off: {}", std::strerror(errno));
}

}  // namespace hull::agent
