// hull-agent as the host sees it: typed calls over ttrpc. Lives on the loop of its io_context.
//
// The guest is hostile: every answer is one, or an error; nothing here trusts more than its types.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "guest-agent/protocol/agent.pb.h"
#include "guest-agent/protocol/client.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

// How a container's or exec's process ended.
struct ProcessExit {
  int exit_code = 0;  // docker's: 128 + signal when a signal ended it
  int signal = 0;
  bool out_of_memory = false;
};

class AgentClient {
 public:
  // Takes over a connection with the agent (dialled by it or by us).
  static Result<std::unique_ptr<AgentClient>> Adopt(boost::asio::io_context& io, UniqueFd socket);

  // Blocking (they run the io_context meanwhile). Messages of errors are the agent's, escaped for a
  // terminal. Says the host's time and agrees on a version; kUnsupported: an agent of another
  // version.
  Result<agent::v1::ConnectResponse> Connect();
  Result<agent::v1::CreateResponse> Create(const agent::v1::CreateRequest& request);
  Status Start(const std::string& container_id);
  Result<agent::v1::StateResponse> State(const std::string& container_id);
  Status Delete(const std::string& container_id, bool force);
  Result<agent::v1::ExecResponse> Exec(const agent::v1::ExecRequest& request);
  Result<agent::v1::ProcessesResponse> Processes(const std::string& container_id);
  // kNotFound: nothing is at `path`.
  Result<agent::v1::StatResponse> Stat(const std::string& container_id, const std::string& path,
                                       bool follow_link);
  // The guest syncs and powers off; the connection and the VM end after that.
  Status Shutdown(std::chrono::milliseconds grace);

  // Asynchronous; the handler runs on the loop, exactly once.
  void Start(const std::string& container_id, std::function<void(Status)> handler);
  void Wait(const std::string& container_id, std::function<void(Result<ProcessExit>)> handler);
  void Kill(const std::string& container_id, int signal, std::function<void(Status)> handler);
  void Pause(const std::string& container_id, std::function<void(Status)> handler);
  void Resume(const std::string& container_id, std::function<void(Status)> handler);
  void Resize(const std::string& container_id, uint32_t columns, uint32_t rows);
  // Of a process of Exec.
  void WaitExec(const std::string& container_id, const std::string& exec_id,
                std::function<void(Result<ProcessExit>)> handler);
  void ResizeExec(const std::string& container_id, const std::string& exec_id, uint32_t columns,
                  uint32_t rows);
  // Says it and does not wait: what is not heard is forgotten some day anyway.
  void ForgetExec(const std::string& container_id, const std::string& exec_id);

 private:
  explicit AgentClient(std::unique_ptr<ttrpc::Client> client) : client_(std::move(client)) {}

  template <typename Response, typename Request>
  Result<Response> Call(std::string_view method, const Request& request,
                        std::chrono::milliseconds timeout);

  std::unique_ptr<ttrpc::Client> client_;
};

}  // namespace hull
