// Supervisor: runs one machine on the control loop, from its start to its end: signals, control
// requests, the status descriptor.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "vmm/api/control.h"
#include "vmm/api/outcome.h"
#include "vmm/api/vm_config.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event/event_loop.h"
#include "vmm/event/timer.h"
#include "vmm/event/watch.h"
#include "vmm/machine/control_server.h"
#include "vmm/machine/guest_life.h"
#include "vmm/machine/machine.h"

namespace hull {

class Supervisor {
 public:
  // Makes the machine and its control socket; nothing runs yet. `status_fd` (-1: none) stays the
  // caller's. Blocks SIGTERM and SIGINT, so it comes before any thread.
  static Result<std::unique_ptr<Supervisor>> Create(const api::VmConfig& config, int status_fd);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Runs the machine to its end.
  api::Outcome Run();

 private:
  // How often the power button is pressed while nobody in the guest listens to it yet.
  static constexpr std::chrono::milliseconds kPressInterval{100};

  Supervisor(const api::VmConfig& config, int status_fd, std::unique_ptr<EventLoop> loop);

  Status WatchSignals();
  void OnSignal();
  void OnRequest(const api::Request& request, const ControlServer::Client& client);
  void Stop(const api::Request& request, const ControlServer::Client& client);
  void PressPowerButton();
  void OnStarted();
  void OnEnd();
  api::VmState State() const;

  const uint32_t cpus_;
  const uint64_t memory_bytes_;
  const int status_fd_;
  bool is_starting_ = true;
  std::chrono::steady_clock::time_point started_;

  std::unique_ptr<EventLoop> loop_;
  GuestLife life_;
  Timer stop_deadline_;
  Timer next_press_;
  UniqueFd signals_;
  std::unique_ptr<Watch> signal_watch_;
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<ControlServer> control_;
  // Who waits for the end.
  std::vector<std::pair<uint64_t, ControlServer::Client>> waiting_;
  api::Outcome outcome_;
};

}  // namespace hull
