#include "runtime/exec_session.h"

#include <unistd.h>

#include <optional>
#include <utility>

#include "guest-agent/protocol/agent_service.h"
#include "runtime/container_id.h"
#include "runtime/guest_stream.h"
#include "runtime/stream_pump.h"
#include "vmm/base/log.h"

namespace hull {
namespace {

constexpr int kDialTimeoutMs = 60'000;

}  // namespace

Status ExecSession::Start() {
  HULL_ASSIGN(exec_id_, NewContainerId());
  HULL_ASSIGN(UniqueFd socket,
              containers_.DialGuest(plan_.container_id, agent::kAgentPort, kDialTimeoutMs));
  HULL_ASSIGN(agent_, AgentClient::Adopt(io_, std::move(socket)));
  agent::v1::ExecRequest request;
  request.set_container_id(plan_.container_id);
  request.set_exec_id(exec_id_);
  request.set_oci_process(plan_.process);
  request.set_user(plan_.user);
  request.set_detached(plan_.detached);
  agent::v1::Stdio* stdio = request.mutable_stdio();
  stdio->set_stdin(plan_.input);
  stdio->set_stdout(plan_.output);
  stdio->set_stderr(plan_.output);
  stdio->set_terminal(plan_.terminal);
  stdio->mutable_size()->set_columns(plan_.columns);
  stdio->mutable_size()->set_rows(plan_.rows);
  HULL_TRY(agent_->Exec(request));
  return plan_.detached ? Status() : OpenStreams();
}

Result<ExecSession::Stream> ExecSession::Open(agent::v1::StreamOpen::Kind kind) {
  agent::v1::StreamOpen open;
  open.set_container_id(plan_.container_id);
  open.set_exec_id(exec_id_);
  open.set_kind(kind);
  HULL_ASSIGN(UniqueFd socket, DialGuestStream(containers_, open));
  return std::make_shared<UniqueFd>(std::move(socket));
}

Status ExecSession::OpenStreams() {
  if (plan_.terminal) {
    HULL_ASSIGN(output_, Open(agent::v1::StreamOpen::TERMINAL));
    if (plan_.input) input_ = output_;
    return {};
  }
  if (plan_.input) {
    HULL_ASSIGN(input_, Open(agent::v1::StreamOpen::STDIN));
  }
  if (!plan_.output) return {};
  HULL_ASSIGN(output_, Open(agent::v1::StreamOpen::STDOUT));
  HULL_ASSIGN(errors_, Open(agent::v1::StreamOpen::STDERR));
  return {};
}

void ExecSession::StartOutput(const Stream& stream, int user_fd) {
  if (!stream) return;
  ++outputs_open_;
  const PumpDirection direction =
      plan_.terminal ? PumpDirection::kFromTerminal : PumpDirection::kFromGuest;
  StartPump(io_, stream, user_fd, direction, [this](Status status) {
    --outputs_open_;
    if (status) return;
    if (status.error().error_number() == EPIPE) {
      reader_gone_ = true;
    } else if (!output_error_) {
      output_error_ = std::move(status).error();
    }
  });
}

Result<ExecSession::Outcome> ExecSession::Run() {
  std::optional<Result<ProcessExit>> exit;
  agent_->WaitExec(plan_.container_id, exec_id_,
                   [&exit](Result<ProcessExit> result) { exit = std::move(result); });
  StartOutput(output_, STDOUT_FILENO);
  StartOutput(errors_, STDERR_FILENO);
  if (input_) {
    StartPump(
        io_, input_, STDIN_FILENO, PumpDirection::kToGuest,
        [this](const Status& status) {
          if (status) return;
          detached_ = status.error().code() == ErrorCode::kCancelled;
          if (!detached_) log::Warn("{}", status.error().ToString());
        },
        plan_.detach_keys);
  }
  // The end of a process that left others behind with its output is theirs: nothing is cut off.
  while (!detached_ && (!exit || (*exit && outputs_open_ > 0))) io_.run_one();
  if (detached_) return Outcome{Ended::kDetached, 0};
  if (!*exit) return Fail(std::move(*exit).error());
  agent_->ForgetExec(plan_.container_id, exec_id_);
  if (output_error_) return Fail(*output_error_);
  return Outcome{reader_gone_ ? Ended::kReaderGone : Ended::kProcess, (*exit)->exit_code};
}

void ExecSession::Resize(uint32_t columns, uint32_t rows) {
  if (agent_) agent_->ResizeExec(plan_.container_id, exec_id_, columns, rows);
}

}  // namespace hull
