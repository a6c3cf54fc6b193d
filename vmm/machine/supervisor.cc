#include "vmm/machine/supervisor.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstring>

#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull {
namespace {

// What the outcome quotes of the guest's console.
constexpr size_t kOutcomeLines = api::kDefaultConsoleLines;

void WriteStatus(int fd, const std::string& line) {
  if (fd < 0) return;
  if (const Status status = WriteAll(fd, line); !status) {
    log::Warn("status descriptor: {}", status.error().ToString());
  }
}

}  // namespace

Result<std::unique_ptr<Supervisor>> Supervisor::Create(const api::VmConfig& config, int status_fd) {
  HULL_ASSIGN(std::unique_ptr<EventLoop> loop, EventLoop::Create());
  std::unique_ptr<Supervisor> supervisor(new Supervisor(config, status_fd, std::move(loop)));
  Supervisor* self = supervisor.get();
  HULL_TRY_WITHIN("signals", self->WatchSignals());
  HULL_ASSIGN(self->machine_, Machine::Build(config, self->life_));
  if (config.control) {
    HULL_ASSIGN_WITHIN("control socket", self->control_,
                       ControlServer::Create(*self->loop_, config.control->path,
                                             [self](const api::Request& request,
                                                    const ControlServer::Client& client) {
                                               self->OnRequest(request, client);
                                             }));
  }
  return supervisor;
}

Supervisor::Supervisor(const api::VmConfig& config, int status_fd, std::unique_ptr<EventLoop> loop)
    : cpus_(config.cpus),
      memory_bytes_(config.memory_bytes),
      status_fd_(status_fd),
      loop_(std::move(loop)),
      life_(*loop_, [this] { OnEnd(); }),
      stop_deadline_(
          *loop_,
          [this] { life_.End(api::Cause::kKilled, "the guest did not stop in time: killed"); }),
      next_press_(*loop_, [this] { PressPowerButton(); }) {}

Supervisor::~Supervisor() = default;

Status Supervisor::WatchSignals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return FailErrno("sigprocmask");
  signals_.Reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) return FailErrno("signalfd");
  HULL_ASSIGN(signal_watch_, Watch::Create(*loop_, signals_.get(), [this] { OnSignal(); }));
  signal_watch_->WatchReadable(true);
  return {};
}

void Supervisor::OnSignal() {
  signalfd_siginfo info = {};
  if (::read(signals_.get(), &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) return;
  life_.End(api::Cause::kKilled,
            fmt::format("killed by SIG{} from process {}",
                        ::sigabbrev_np(static_cast<int>(info.ssi_signo)), info.ssi_pid));
}

api::Outcome Supervisor::Run() {
  started_ = std::chrono::steady_clock::now();
  machine_->Start(*loop_, {.on_pinning =
                               [this](const api::PinningProgress& progress) {
                                 WriteStatus(status_fd_, api::PinningLine(progress));
                               },
                           .on_started = [this] { OnStarted(); }});
  loop_->Run();
  return outcome_;
}

void Supervisor::OnStarted() {
  is_starting_ = false;
  started_ = std::chrono::steady_clock::now();
  WriteStatus(status_fd_, api::StartedLine());
}

void Supervisor::OnEnd() {
  machine_->Stop();
  outcome_ = life_.outcome();
  outcome_.console = machine_->ConsoleLines(kOutcomeLines);
  for (const auto& [id, client] : waiting_) client.Answer(api::WriteDone(id));
  control_.reset();
  WriteStatus(status_fd_, api::EndedLine(outcome_));
  loop_->Stop();
}

api::VmState Supervisor::State() const {
  const auto uptime = std::chrono::steady_clock::now() - started_;
  const char* const running = is_starting_ ? "starting" : "running";
  return {.state = life_.ending() ? "ending" : running,
          .pid = ::getpid(),
          .cpus = cpus_,
          .memory_bytes = memory_bytes_,
          .uptime_ms = static_cast<uint64_t>(
              std::chrono::duration_cast<std::chrono::milliseconds>(uptime).count())};
}

void Supervisor::OnRequest(const api::Request& request, const ControlServer::Client& client) {
  switch (request.method) {
    case api::Method::kState:
      client.Answer(api::WriteState(request.id, State()));
      break;
    case api::Method::kConsole:
      client.Answer(api::WriteConsole(request.id, machine_->ConsoleLines(request.lines)));
      break;
    case api::Method::kCounters:
      client.Answer(api::WriteCounters(request.id, machine_->Counters()));
      break;
    case api::Method::kKill:
      waiting_.emplace_back(request.id, client);
      life_.End(api::Cause::kKilled, "killed by request");
      break;
    case api::Method::kStop:
      Stop(request, client);
      break;
  }
}

void Supervisor::Stop(const api::Request& request, const ControlServer::Client& client) {
  if (is_starting_) {
    waiting_.emplace_back(request.id, client);
    life_.End(api::Cause::kKilled, "stopped by request before it had started");
    return;
  }
  if (!machine_->has_power_button()) {
    client.Answer(api::WriteError(
        request.id, Error(ErrorCode::kUnsupported,
                          "this machine has no power button (vsock.power_button_port): use kill")));
    return;
  }
  waiting_.emplace_back(request.id, client);
  // The latest request says how long the guest has.
  stop_deadline_.Start(std::chrono::milliseconds(request.timeout_ms));
  if (!next_press_.running()) PressPowerButton();
}

void Supervisor::PressPowerButton() {
  machine_->PressPowerButton([this](const Status& status) {
    if (status) return;
    // Nobody listens yet, or the guest refuses: again, until time is up.
    loop_->Post([this] { next_press_.Start(kPressInterval); });
  });
}

}  // namespace hull
