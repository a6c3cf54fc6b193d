#include "runtime/agent_client.h"

#include <utility>

#include "guest-agent/protocol/agent_service.h"
#include "runtime/container_record.h"
#include "vmm/base/escape.h"

namespace hull {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Generous: an emulated or overloaded host is slow, and a guest that died is noticed otherwise.
constexpr milliseconds kCallTimeout = seconds(60);
constexpr milliseconds kCreateTimeout = seconds(120);

Error Escaped(Error error) {
  return Error(error.code(), EscapeControl(error.message()));
}

}  // namespace

Result<std::unique_ptr<AgentClient>> AgentClient::Adopt(boost::asio::io_context& io,
                                                        UniqueFd socket) {
  HULL_ASSIGN(std::unique_ptr<ttrpc::Client> client, ttrpc::Client::Create(io, std::move(socket)));
  return std::unique_ptr<AgentClient>(new AgentClient(std::move(client)));
}

template <typename Response, typename Request>
Result<Response> AgentClient::Call(std::string_view method, const Request& request,
                                   milliseconds timeout) {
  Result<Response> response =
      client_->CallAndWait<Response>(agent::kServiceName, method, request, timeout);
  if (!response) return Fail(Escaped(std::move(response).error()));
  return response;
}

Result<agent::v1::ConnectResponse> AgentClient::Connect() {
  agent::v1::ConnectRequest request;
  request.set_protocol_version(agent::kProtocolVersion);
  request.set_host_time_ns(NowNs());
  HULL_ASSIGN(agent::v1::ConnectResponse response,
              Call<agent::v1::ConnectResponse>("Connect", request, kCallTimeout));
  if (response.protocol_version() != agent::kProtocolVersion) {
    return Fail(
        Error(ErrorCode::kUnsupported,
              fmt::format("the guest's agent speaks version {} of the protocol, hull version {}",
                          response.protocol_version(), agent::kProtocolVersion))
            .WithHint("hull and its guest.erofs belong to one build"));
  }
  return response;
}

Result<agent::v1::CreateResponse> AgentClient::Create(const agent::v1::CreateRequest& request) {
  return Call<agent::v1::CreateResponse>("Create", request, kCreateTimeout);
}

Status AgentClient::Start(const std::string& container_id) {
  agent::v1::StartRequest request;
  request.set_container_id(container_id);
  HULL_TRY(Call<agent::v1::StartResponse>("Start", request, kCallTimeout));
  return {};
}

Result<agent::v1::StateResponse> AgentClient::State(const std::string& container_id) {
  agent::v1::StateRequest request;
  request.set_container_id(container_id);
  return Call<agent::v1::StateResponse>("State", request, kCallTimeout);
}

Status AgentClient::Delete(const std::string& container_id, bool force) {
  agent::v1::DeleteRequest request;
  request.set_container_id(container_id);
  request.set_force(force);
  HULL_TRY(Call<agent::v1::DeleteResponse>("Delete", request, kCallTimeout));
  return {};
}

Result<agent::v1::ExecResponse> AgentClient::Exec(const agent::v1::ExecRequest& request) {
  return Call<agent::v1::ExecResponse>("Exec", request, kCreateTimeout);
}

Result<agent::v1::ProcessesResponse> AgentClient::Processes(const std::string& container_id) {
  agent::v1::ProcessesRequest request;
  request.set_container_id(container_id);
  return Call<agent::v1::ProcessesResponse>("Processes", request, kCallTimeout);
}

Result<agent::v1::StatResponse> AgentClient::Stat(const std::string& container_id,
                                                  const std::string& path, bool follow_link) {
  agent::v1::StatRequest request;
  request.set_container_id(container_id);
  request.set_path(path);
  request.set_follow_link(follow_link);
  return Call<agent::v1::StatResponse>("Stat", request, kCallTimeout);
}

Status AgentClient::Shutdown(milliseconds grace) {
  agent::v1::ShutdownRequest request;
  request.set_grace_ms(static_cast<uint32_t>(grace.count()));
  HULL_TRY(Call<agent::v1::ShutdownResponse>("Shutdown", request, grace + kCallTimeout));
  return {};
}

void AgentClient::Start(const std::string& container_id, std::function<void(Status)> handler) {
  agent::v1::StartRequest request;
  request.set_container_id(container_id);
  client_->Call<agent::v1::StartResponse>(
      agent::kServiceName, "Start", request, kCallTimeout,
      [handler = std::move(handler)](Result<agent::v1::StartResponse> response) {
        if (!response) return handler(Fail(Escaped(std::move(response).error())));
        handler({});
      });
}

void AgentClient::Wait(const std::string& container_id,
                       std::function<void(Result<ProcessExit>)> handler) {
  WaitExec(container_id, "", std::move(handler));
}

void AgentClient::WaitExec(const std::string& container_id, const std::string& exec_id,
                           std::function<void(Result<ProcessExit>)> handler) {
  agent::v1::WaitRequest request;
  request.set_container_id(container_id);
  request.set_exec_id(exec_id);
  client_->Call<agent::v1::WaitResponse>(
      agent::kServiceName, "Wait", request, ttrpc::kNoTimeout,
      [handler = std::move(handler)](Result<agent::v1::WaitResponse> response) {
        if (!response) return handler(Fail(Escaped(std::move(response).error())));
        // Only what an exit code can be, whatever the guest says.
        handler(ProcessExit{static_cast<int>(response->exit_code() & 0xffU),
                            static_cast<int>(response->signal() & 0x7fU),
                            response->out_of_memory()});
      });
}

void AgentClient::Kill(const std::string& container_id, int signal,
                       std::function<void(Status)> handler) {
  agent::v1::KillRequest request;
  request.set_container_id(container_id);
  request.set_signal(static_cast<uint32_t>(signal));
  client_->Call<agent::v1::KillResponse>(
      agent::kServiceName, "Kill", request, kCallTimeout,
      [handler = std::move(handler)](Result<agent::v1::KillResponse> response) {
        if (!response) return handler(Fail(Escaped(std::move(response).error())));
        handler({});
      });
}

void AgentClient::Pause(const std::string& container_id, std::function<void(Status)> handler) {
  agent::v1::PauseRequest request;
  request.set_container_id(container_id);
  client_->Call<agent::v1::PauseResponse>(
      agent::kServiceName, "Pause", request, kCallTimeout,
      [handler = std::move(handler)](Result<agent::v1::PauseResponse> response) {
        if (!response) return handler(Fail(Escaped(std::move(response).error())));
        handler({});
      });
}

void AgentClient::Resume(const std::string& container_id, std::function<void(Status)> handler) {
  agent::v1::ResumeRequest request;
  request.set_container_id(container_id);
  client_->Call<agent::v1::ResumeResponse>(
      agent::kServiceName, "Resume", request, kCallTimeout,
      [handler = std::move(handler)](Result<agent::v1::ResumeResponse> response) {
        if (!response) return handler(Fail(Escaped(std::move(response).error())));
        handler({});
      });
}

void AgentClient::Resize(const std::string& container_id, uint32_t columns, uint32_t rows) {
  ResizeExec(container_id, "", columns, rows);
}

void AgentClient::ForgetExec(const std::string& container_id, const std::string& exec_id) {
  agent::v1::DeleteRequest request;
  request.set_container_id(container_id);
  request.set_exec_id(exec_id);
  client_->Call<agent::v1::DeleteResponse>(agent::kServiceName, "Delete", request, kCallTimeout,
                                           [](Result<agent::v1::DeleteResponse>) {});
}

void AgentClient::ResizeExec(const std::string& container_id, const std::string& exec_id,
                             uint32_t columns, uint32_t rows) {
  agent::v1::ResizeRequest request;
  request.set_container_id(container_id);
  request.set_exec_id(exec_id);
  request.mutable_size()->set_columns(columns);
  request.mutable_size()->set_rows(rows);
  // A size that does not arrive is followed by the next, or by the end of the connection.
  client_->Call<agent::v1::ResizeResponse>(agent::kServiceName, "Resize", request, kCallTimeout,
                                           [](Result<agent::v1::ResizeResponse>) {});
}

}  // namespace hull
