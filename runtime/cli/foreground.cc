#include "runtime/cli/foreground.h"

#include <signal.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "runtime/cli/command.h"
#include "runtime/cli/pinning_display.h"
#include "runtime/events.h"
#include "runtime/stream_pump.h"
#include "runtime/supervisor.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull::cli {
namespace {

using std::chrono::seconds;

// This many interrupts within this time end the sandbox whatever the guest does.
constexpr int kForceInterrupts = 3;
constexpr seconds kForceWithin{2};
constexpr int kExitSupervisorDied = 137;

void Say(std::string_view text) {
  static_cast<void>(WriteAll(STDERR_FILENO, text));
}

}  // namespace

int TellEnd(const ContainerEnd& end, bool show_console) {
  if (!end.error.empty()) {
    Error error(ErrorCode::kFailed, end.error);
    if (!end.hint.empty()) error = std::move(error).WithHint(end.hint);
    PrintError(error);
  }
  if (show_console && !end.console.empty()) Say("the guest's last words:\n" + end.console);
  if (end.out_of_memory) {
    Say("hull: the container ran out of memory and was killed; --memory gives it more\n");
  }
  return end.exit_code;
}

Foreground::Foreground(const Containers& containers, const PhaseLog& phases, ForegroundPlan plan)
    : containers_(containers), phases_(phases), plan_(std::move(plan)), io_(1), signals_(io_) {}

Result<Foreground*> Foreground::Make(const Containers& containers, const PhaseLog& phases,
                                     ForegroundPlan plan) {
  auto* foreground = new Foreground(containers, phases, std::move(plan));
  if (foreground->plan_.signal_proxy || foreground->plan_.terminal) {
    HULL_TRY(
        foreground->signals_.Start([foreground](int number) { foreground->OnSignal(number); }));
  }
  return foreground;
}

Status Foreground::Launch(RunDirectory run) {
  HULL_ASSIGN(ConnectedPair connection, MakeConnectedPair());
  HULL_TRY(Connect(std::move(connection.ours)));
  return StartSupervisor(containers_, plan_.id, std::move(run), std::move(connection.theirs),
                         phases_);
}

Status Foreground::Attach() {
  HULL_ASSIGN(UniqueFd socket, containers_.DialSupervisor(plan_.id));
  return Connect(std::move(socket));
}

// All that is to be heard before the container starts is said here; nobody answers yet.
Status Foreground::Connect(UniqueFd socket) {
  client_ = std::make_unique<SupervisorClient>(io_, std::move(socket));
  if (plan_.terminal) SendSize();
  boost::json::object request{{"method", "attach"}, {"owner", plan_.owner}};
  std::vector<UniqueFd> theirs;
  std::vector<int> descriptors;
  const auto add = [&](const char* name, bool wanted, std::shared_ptr<UniqueFd>& stream) -> Status {
    request[name] = wanted;
    if (!wanted) return {};
    HULL_ASSIGN(ConnectedPair pair, MakeConnectedPair());
    stream = std::make_shared<UniqueFd>(std::move(pair.ours));
    descriptors.push_back(pair.theirs.get());
    theirs.push_back(std::move(pair.theirs));
    return {};
  };
  HULL_TRY(add("stdin", plan_.input, input_));
  HULL_TRY(add("stdout", plan_.output, output_));
  HULL_TRY(add("stderr", plan_.errors && !plan_.terminal, errors_));
  if (descriptors.empty()) return {};
  client_->Call(
      std::move(request),
      [](const Status& status) {
        if (!status) log::Debug("not attached: {}", status.error().ToString());
      },
      descriptors);
  return {};
}

void Foreground::AwaitStart() {
  const PinningDisplay display(*client_);
  client_->RunUntil([this] { return client_->started() || client_->end(); });
}

int Foreground::AwaitStarted() {
  AwaitStart();
  if (client_->started()) return 0;
  // All is cleaned up when the supervisor has closed.
  if (client_->end()) client_->RunUntil([] { return false; });
  return client_->end() ? Report(*client_->end()) : ReportDeadSupervisor();
}

int Foreground::Run() {
  AwaitStart();
  if (client_->started()) {
    StartPumps();
    AwaitEnd();
  }
  if (detached_) {
    raw_mode_.reset();
    Say("read escape sequence\n");
    return 0;
  }
  return Finish();
}

void Foreground::StartPumps() {
  if (plan_.terminal && plan_.input) raw_mode_.emplace(STDIN_FILENO);
  StartOutput(output_, STDOUT_FILENO, "stdout");
  StartOutput(errors_, STDERR_FILENO, "stderr");
  if (!input_) return;
  StartPump(
      io_, input_, STDIN_FILENO, PumpDirection::kToGuest,
      [this](const Status& status) {
        if (status) return;
        detached_ = status.error().code() == ErrorCode::kCancelled;
        if (!detached_) log::Warn("{}", status.error().ToString());
      },
      plan_.detach_keys);
}

void Foreground::StartOutput(const std::shared_ptr<UniqueFd>& stream, int user_fd,
                             const char* name) {
  if (!stream) return;
  ++outputs_open_;
  StartPump(io_, stream, user_fd, PumpDirection::kFromTerminal, [this, name](Status status) {
    --outputs_open_;
    if (status) return;
    // The process shall see that nobody reads on, as in a pipeline.
    if (plan_.owner) Tell({{"method", "reader-gone"}, {"stream", name}});
    // Whoever read the output has read enough: no fault, but the end of any program in a pipeline.
    if (status.error().error_number() == EPIPE) {
      reader_gone_ = true;
    } else if (!output_error_) {
      output_error_ = std::move(status).error();
    }
  });
}

void Foreground::AwaitEnd() {
  const auto reader_left = [this] { return reader_gone_ && !plan_.owner; };
  client_->RunUntil([&] { return client_->end() || detached_ || reader_left(); });
  if (detached_ || reader_left()) return;
  // The supervisor has given everything and closed its ends.
  while (outputs_open_ > 0 && !detached_) io_.run_one();
}

int Foreground::Finish() {
  const bool left = reader_gone_ && !plan_.owner && !client_->end();
  if (!left) client_->RunUntil([] { return false; });
  raw_mode_.reset();
  phases_.Mark("cleaned up");
  if (left) return kExitSignalBase + SIGPIPE;
  if (!client_->end()) return ReportDeadSupervisor();
  const int exit_code = Report(*client_->end());
  if (!client_->end()->error.empty() || cancel_signal_ != 0) return exit_code;
  if (output_error_) {
    PrintError(*output_error_);
    return kExitHullFailed;
  }
  return reader_gone_ ? kExitSignalBase + SIGPIPE : exit_code;
}

int Foreground::Report(const ContainerEnd& end) {
  // With --debug it has been shown as it came.
  return TellEnd(end, !phases_.enabled());
}

// What it could not tell, its record may; else whoever looks at the record makes it true.
int Foreground::ReportDeadSupervisor() {
  const Result<ContainerRecord> record = containers_.LoadId(plan_.id);
  containers_.Sweep();
  const bool recorded = record && client_->started() && record->state.exit_code &&
                        record->state.status == ContainerStatus::kExited;
  if (recorded && record->state.error.empty()) return *record->state.exit_code;
  PrintError(Error(ErrorCode::kUnavailable, "the container's supervisor died"));
  if (!client_->started()) return kExitHullFailed;
  return recorded ? *record->state.exit_code : kExitSupervisorDied;
}

bool Foreground::WantsOut(int number) {
  if (number != SIGINT && number != SIGTERM && number != SIGQUIT) return false;
  const auto now = std::chrono::steady_clock::now();
  if (interrupts_ == 0 || now - first_interrupt_ > kForceWithin) {
    interrupts_ = 0;
    first_interrupt_ = now;
  }
  return ++interrupts_ >= kForceInterrupts;
}

void Foreground::OnSignal(int number) {
  if (number == SIGWINCH && plan_.terminal) return SendSize();
  const bool ends = number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
  if (plan_.owner && (WantsOut(number) || (ends && !client_->started()))) {
    cancel_signal_ = number;
    return Tell({{"method", "end"}, {"exit_code", kExitSignalBase + number}});
  }
  // It may have ended meanwhile; and the kernel spares a process what it does not wait for.
  if (client_->started()) Tell({{"method", "signal"}, {"number", number}});
}

void Foreground::SendSize() {
  const WindowSize size = GetWindowSize(STDOUT_FILENO);
  if (size.columns == 0 || size.rows == 0) return;
  Tell({{"method", "resize"}, {"columns", size.columns}, {"rows", size.rows}});
}

void Foreground::Tell(boost::json::object request) {
  client_->Call(std::move(request), [](const Status& status) {
    if (!status) log::Debug("the supervisor says: {}", status.error().ToString());
  });
}

}  // namespace hull::cli
