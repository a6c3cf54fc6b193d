// The half of SupervisorLife that answers clients.
#include <signal.h>
#include <sys/socket.h>

#include <utility>

#include "runtime/events.h"
#include "runtime/supervisor_life.h"
#include "vmm/base/log.h"

namespace hull {
namespace {

using std::chrono::seconds;

constexpr size_t kMaxClients = 64;
// From a SIGTERM to the supervisor (the host shuts down) until the machine is ended by force.
constexpr seconds kTerminationGrace{10};
constexpr int kExitKilled = 137;
constexpr int kExitTerminated = 143;
constexpr int kLastSignal = 64;
constexpr int64_t kMaxTerminalSide = 65535;

Error NotRunning() {
  return {ErrorCode::kUnavailable, "the container is not running"};
}

}  // namespace

void SupervisorLife::AwaitClient() {
  listener_.async_wait(
      boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
        if (error) return;
        UniqueFd client(accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
        if (client.valid() && clients_.size() < kMaxClients) {
          Adopt(std::move(client));
        }
        AwaitClient();
      });
}

void SupervisorLife::Adopt(UniqueFd socket) {
  auto client = std::make_shared<SupervisorConnection>(io_, std::move(socket));
  clients_.insert(client);
  client->Start(
      [this](const Connection& from, const boost::json::object& request,
             std::vector<UniqueFd> descriptors) {
        OnRequest(from, request, std::move(descriptors));
      },
      [this](const Connection& gone) {
        if (output_) output_->Detach(gone.get());
        if (errors_) errors_->Detach(gone.get());
        if (input_) input_->Detach(gone.get());
        clients_.erase(gone);
      });
  if (running_) client->Send({{"event", "started"}});
  if (end_) client->Send(ToJson(*end_));
}

void SupervisorLife::Broadcast(const boost::json::object& event) {
  // Sending to one that has gone takes it out of the set.
  const std::vector<Connection> all(clients_.begin(), clients_.end());
  for (const Connection& client : all) client->Send(event);
}

void SupervisorLife::OnRequest(const Connection& client, const boost::json::object& request,
                               std::vector<UniqueFd> descriptors) {
  const std::string method = TextOf(request, "method");
  if (method == "signal") return Signal(client, request);
  if (method == "pause") return Freeze(client, request, true);
  if (method == "resume") return Freeze(client, request, false);
  Status status = Fail(ErrorCode::kUnsupported, "no method {}", method);
  if (method == "attach") status = Attach(client, request, std::move(descriptors));
  if (method == "resize") status = Resize(request);
  if (method == "reader-gone") status = ReaderGone(client, request);
  if (method == "end") {
    EndByForce(static_cast<int>(IntegerOf(request, "exit_code", kExitKilled)));
    status = {};
  }
  client->Answer(request, status);
}

Status SupervisorLife::Attach(const Connection& client, const boost::json::object& request,
                              std::vector<UniqueFd> descriptors) {
  size_t next = 0;
  const auto take = [&](std::string_view name) -> std::optional<UniqueFd> {
    if (!BoolOf(request, name)) return std::nullopt;
    if (next == descriptors.size()) return UniqueFd();
    return std::move(descriptors[next++]);
  };
  std::optional<UniqueFd> input = take("stdin");
  std::optional<UniqueFd> output = take("stdout");
  std::optional<UniqueFd> errors = take("stderr");
  for (const auto* stream : {&input, &output, &errors}) {
    if (*stream && !(*stream)->valid()) {
      return Fail(ErrorCode::kInvalidArgument, "a descriptor is missing");
    }
  }
  if (end_) return Fail(NotRunning());
  // Shared, because a std::function is copyable.
  struct Streams {
    std::optional<UniqueFd> input;
    std::optional<UniqueFd> output;
    std::optional<UniqueFd> errors;
  };
  auto streams =
      std::make_shared<Streams>(Streams{std::move(input), std::move(output), std::move(errors)});
  const bool owner = BoolOf(request, "owner");
  const std::weak_ptr<SupervisorConnection> weak = client;
  const auto attach = [this, streams, weak, owner] {
    const Connection who = weak.lock();
    if (!who) return;
    if (streams->output) output_->Attach(*std::exchange(streams->output, {}), who.get());
    if (streams->errors && errors_) errors_->Attach(*std::exchange(streams->errors, {}), who.get());
    // Without -i there is no input: the client's end of it is closed here.
    if (streams->input && input_ && record_.process.interactive) {
      input_->Attach(*std::exchange(streams->input, {}), who.get(), owner);
    }
    *streams = {};
  };
  if (output_) {
    attach();
  } else {
    attach_later_.emplace_back(attach);
  }
  return {};
}

Status SupervisorLife::Resize(const boost::json::object& request) {
  const int64_t columns = IntegerOf(request, "columns", 0);
  const int64_t rows = IntegerOf(request, "rows", 0);
  if (columns <= 0 || rows <= 0 || columns > kMaxTerminalSide || rows > kMaxTerminalSide) {
    return Fail(ErrorCode::kInvalidArgument, "no size of a terminal");
  }
  columns_ = static_cast<uint32_t>(columns);
  rows_ = static_cast<uint32_t>(rows);
  if (running_ && record_.process.terminal) sandbox_->agent().Resize(id_, columns_, rows_);
  return {};
}

Status SupervisorLife::ReaderGone(const Connection& client, const boost::json::object& request) {
  const std::shared_ptr<OutputRelay>& stream =
      TextOf(request, "stream") == "stderr" ? errors_ : output_;
  if (!stream) return {};
  stream->Detach(client.get());
  if (!record_.process.terminal) stream->BreakPipe();
  return {};
}

void SupervisorLife::Signal(const Connection& client, const boost::json::object& request) {
  const int64_t number = IntegerOf(request, "number", 0);
  if (number <= 0 || number > kLastSignal) {
    return client->Answer(request, Fail(ErrorCode::kInvalidArgument, "no signal {}", number));
  }
  if (!running_) return client->Answer(request, Fail(NotRunning()));
  sandbox_->agent().Kill(id_, static_cast<int>(number), [client, request](const Status& status) {
    client->Answer(request, status);
  });
}

void SupervisorLife::Freeze(const Connection& client, const boost::json::object& request,
                            bool pause) {
  if (!running_) return client->Answer(request, Fail(NotRunning()));
  if (pause == paused_) {
    return client->Answer(request, Fail(ErrorCode::kUnavailable, "Container {} is {}", record_.id,
                                        pause ? "already paused" : "not paused"));
  }
  const auto done = [this, client, request, pause](Status status) {
    if (status && running_) {
      paused_ = pause;
      Result<ContainerRecord> changed =
          containers_.Change(id_, [pause](ContainerRecord& record) -> Status {
            record.state.status = pause ? ContainerStatus::kPaused : ContainerStatus::kRunning;
            return {};
          });
      if (!changed) status = Fail(std::move(changed).error());
      RecordContainerEvent(containers_.layout(), record_, pause ? "pause" : "unpause");
    }
    client->Answer(request, status);
  };
  if (pause) {
    sandbox_->agent().Pause(id_, done);
  } else {
    sandbox_->agent().Resume(id_, done);
  }
}

void SupervisorLife::EndByForce(int exit_code) {
  if (end_ || forced_exit_code_) return;
  forced_exit_code_ = exit_code;
  // Calls under way end with their connection.
  if (!sandbox_) return;
  sandbox_->vmm().KillNow();
  sandbox_->Cancel();
}

void SupervisorLife::AwaitTermination() {
  boost::system::error_code ignored;
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) termination_.add(number, ignored);
  termination_.async_wait([this](boost::system::error_code error, int) {
    if (error) return;
    AwaitTermination();
    if (!running_) return EndByForce(kExitTerminated);
    sandbox_->agent().Kill(id_, SIGTERM, [](const Status&) {});
    termination_timer_.expires_after(kTerminationGrace);
    termination_timer_.async_wait([this](boost::system::error_code cancelled) {
      if (!cancelled) EndByForce(kExitKilled);
    });
  });
}

}  // namespace hull
