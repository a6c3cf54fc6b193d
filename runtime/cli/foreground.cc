#include "runtime/cli/foreground.h"

#include <signal.h>
#include <unistd.h>

#include <utility>

#include <boost/asio/steady_timer.hpp>

#include "runtime/cli/command.h"
#include "runtime/stream_pump.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull::cli {
namespace {

using std::chrono::seconds;

// A guest that lives dials long before; one that died is noticed otherwise. Room for a very slow
// host.
constexpr seconds kReadyDeadline{120};
// This many interrupts within this time end the sandbox whatever the guest does.
constexpr int kForceInterrupts = 3;
constexpr seconds kForceWithin{2};
constexpr seconds kDrainAfterFailure{2};

}  // namespace

Foreground::Foreground(boost::asio::io_context& io, Sandbox& sandbox, SignalSource& signals,
                       const PhaseLog& phases, ForegroundPlan plan)
    : io_(io), sandbox_(sandbox), signals_(signals), phases_(phases), plan_(std::move(plan)) {
  signals_.SetHandler([this](int number) { OnSignal(number); });
}

Result<ForegroundResult> Foreground::Run() {
  const auto explain = [this](Error error) {
    raw_mode_.reset();  // so that the error is printed as it should be
    return Fail(sandbox_.Explain(std::move(error)));
  };
  HULL_TRY(sandbox_.WaitReady(kReadyDeadline));
  phases_.Mark("agent ready");
  Result<agent::v1::ConnectResponse> connected = sandbox_.agent().Connect();
  if (!connected) return explain(std::move(connected).error());
  if (Status status = Create(); !status) return explain(std::move(status).error());
  phases_.Mark("container created");
  if (Status status = OpenStreams(); !status) return explain(std::move(status).error());
  if (forced_ || cancel_signal_ != 0) return Fail(ErrorCode::kCancelled, "interrupted");
  StartPumps();
  if (Status status = StartContainer(); !status) return explain(std::move(status).error());
  phases_.Mark("container started");
  return AwaitEnd();
}

Status Foreground::Create() {
  agent::v1::CreateRequest request;
  request.set_container_id(id_);
  request.set_oci_config(plan_.oci_config);
  *request.mutable_rootfs() = sandbox_.RootFilesystem();
  request.set_user(plan_.user);
  agent::v1::Stdio* stdio = request.mutable_stdio();
  stdio->set_terminal(plan_.options.terminal);
  stdio->set_stdin(plan_.options.interactive);
  stdio->set_stdout(true);
  stdio->set_stderr(true);
  if (plan_.options.terminal) {
    const WindowSize size = GetWindowSize(STDOUT_FILENO);
    stdio->mutable_size()->set_columns(size.columns);
    stdio->mutable_size()->set_rows(size.rows);
  }
  HULL_TRY(sandbox_.agent().Create(request));
  return {};
}

Status Foreground::OpenStream(agent::v1::StreamOpen::Kind kind, std::shared_ptr<UniqueFd>& stream) {
  HULL_ASSIGN(UniqueFd socket, sandbox_.OpenStream(id_, "", kind));
  stream = std::make_shared<UniqueFd>(std::move(socket));
  return {};
}

Status Foreground::OpenStreams() {
  if (plan_.options.terminal) {
    HULL_TRY(OpenStream(agent::v1::StreamOpen::TERMINAL, output_));
    if (plan_.options.interactive) input_ = output_;
    return {};
  }
  if (plan_.options.interactive) HULL_TRY(OpenStream(agent::v1::StreamOpen::STDIN, input_));
  HULL_TRY(OpenStream(agent::v1::StreamOpen::STDOUT, output_));
  return OpenStream(agent::v1::StreamOpen::STDERR, error_);
}

void Foreground::StartPumps() {
  const auto output_done = [this](Status status) {
    --outputs_open_;
    if (status) return;
    // Whoever read the output has read enough: no fault, but the end of any program in a pipeline.
    if (status.error().error_number() == EPIPE) {
      reader_gone_ = true;
    } else if (!output_error_) {
      output_error_ = std::move(status).error();
    }
  };
  const bool raw = plan_.options.terminal && plan_.options.interactive;
  if (raw) raw_mode_.emplace(STDIN_FILENO);
  for (const auto& [stream, user_fd] :
       {std::pair(output_, STDOUT_FILENO), std::pair(error_, STDERR_FILENO)}) {
    if (!stream) continue;
    ++outputs_open_;
    StartPump(io_, stream, user_fd,
              plan_.options.terminal ? PumpDirection::kFromTerminal : PumpDirection::kFromGuest,
              output_done);
  }
  if (input_) {
    StartPump(io_, input_, STDIN_FILENO, PumpDirection::kToGuest, [](Status status) {
      if (!status) log::Warn("{}", status.error().ToString());
    });
  }
}

Status Foreground::StartContainer() {
  // The wait goes out before the start, so that no end can be missed.
  sandbox_.agent().Wait(id_, [this](Result<ProcessExit> result) { exit_ = std::move(result); });
  HULL_TRY(sandbox_.agent().Start(id_));
  running_ = true;
  plan_.state.started_at_ns = NowNs();
  WriteState(OldContainerStatus::kRunning);
  // The terminal may have changed since it was asked for.
  if (plan_.options.terminal) OnSignal(SIGWINCH);
  return {};
}

Result<ForegroundResult> Foreground::AwaitEnd() {
  while (!forced_ && !exit_) io_.run_one();
  // A process that has ended has closed its output. When the machine has ended instead, its streams
  // end with it; an agent that only broke its connection gets no more than a moment for them.
  if (!forced_ && exit_) DrainOutput(*exit_ ? std::nullopt : std::optional(kDrainAfterFailure));
  raw_mode_.reset();
  if (forced_) {
    return Fail(ErrorCode::kCancelled, "interrupted {} times: ended the sandbox by force",
                kForceInterrupts);
  }
  phases_.Mark("container ended");
  if (!*exit_)
    return Fail(sandbox_.Explain(std::move(*exit_).error()).Within("while the container ran"));
  if (output_error_) return Fail(*output_error_);
  const int exit_code = reader_gone_ ? kExitSignalBase + SIGPIPE : (*exit_)->exit_code;
  return ForegroundResult{exit_code, (*exit_)->out_of_memory};
}

void Foreground::DrainOutput(std::optional<seconds> limit) {
  bool late = false;
  boost::asio::steady_timer timer(io_);
  if (limit) {
    timer.expires_after(*limit);
    timer.async_wait([&late](boost::system::error_code error) { late = !error; });
  }
  while (!forced_ && !late && outputs_open_ > 0) io_.run_one();
  timer.cancel();
  // Let the cancelled timer's handler run before `late` is gone.
  io_.poll();
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
  if (number == SIGWINCH && plan_.options.terminal) {
    const WindowSize size = GetWindowSize(STDOUT_FILENO);
    if (running_ && size.columns != 0) sandbox_.agent().Resize(id_, size.columns, size.rows);
    return;
  }
  if (WantsOut(number)) {
    forced_ = true;
    cancel_signal_ = number;
    // Calls under way end with their connection.
    sandbox_.vmm().KillNow();
    sandbox_.Cancel();
    return;
  }
  if (running_) {
    Forward(number);
  } else if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT) {
    cancel_signal_ = number;
    sandbox_.vmm().KillNow();
    sandbox_.Cancel();
  }
}

void Foreground::Forward(int number) {
  sandbox_.agent().Kill(id_, number, [](Status status) {
    // It may have ended meanwhile.
    if (!status) log::Debug("a signal did not reach the container: {}", status.error().ToString());
  });
}

void Foreground::WriteState(OldContainerStatus status) {
  plan_.state.status = status;
  if (const Status written = sandbox_.directory().WriteState(plan_.state); !written) {
    log::Warn("{}", written.error().ToString());
  }
}

}  // namespace hull::cli
