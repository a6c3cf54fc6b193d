// An agent to test against: hull-agent in namespaces of its own, on Unix sockets, with layers made
// of busybox on loop devices and the real crun. Needs root and control groups version 2: the lab
// has both.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "guest-agent/protocol/agent.pb.h"
#include "guest-agent/protocol/agent_service.h"
#include "guest-agent/protocol/client.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent::testing {

// Made once for the whole program: directory, layers, the agent's process.
class AgentProcess {
 public:
  // Null, with the reason, when this machine cannot run it.
  static AgentProcess* Get(std::string* why_not);

  // A connection to one of the agent's ports; invalid when there is none.
  UniqueFd Connect(uint32_t port) const;
  // The agent runs in a guest: its processes and cgroups cannot be seen from here.
  bool in_guest() const { return !vsock_.empty(); }
  // Writes low.erofs and top.erofs into `directory`.
  static Status MakeLayers(const std::string& directory);
  // Device nodes of the two layers, lowest first.
  const std::vector<std::string>& layers() const { return layers_; }
  pid_t pid() const { return pid_; }
  // Ends the agent, the layers and the directory.
  void Stop();

 private:
  Status Make();
  std::string FindCrun();
  Status UseGuest(const std::string& vsock, const std::string& layers);

  std::string directory_;
  std::string sockets_;
  std::string vsock_;
  std::string guest_root_;  // where the guest's root image is mounted, for its crun; may be empty
  std::vector<std::string> layers_;
  pid_t pid_ = -1;
};

// What a process left behind.
struct Ended {
  v1::WaitResponse exit;
  std::string out;
  std::string err;
};

// What came out of an archive.
struct Received {
  std::string data;
  v1::ArchiveEnd end;
};

class AgentTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  template <typename Response, typename Request>
  Result<Response> Call(std::string_view method, const Request& request) {
    return client_->CallAndWait<Response>(kServiceName, method, request, std::chrono::seconds(60));
  }

  // A request for a container of the two layers, with a writable tmpfs and all three streams,
  // running `args`.
  v1::CreateRequest Request(const std::string& id, const std::vector<std::string>& args,
                            std::string_view more_config = "");
  Result<v1::CreateResponse> Create(const v1::CreateRequest& request);
  Status Start(const std::string& id);
  Result<v1::WaitResponse> Wait(const std::string& id, const std::string& exec_id = "");
  Status Kill(const std::string& id, uint32_t signal, const std::string& exec_id = "",
              bool all = false);
  Status Delete(const std::string& id, bool force = false, const std::string& exec_id = "");
  Result<v1::StateResponse> State(const std::string& id);
  Result<v1::ExecResponse> Exec(const v1::ExecRequest& request);
  v1::ExecRequest ExecOf(const std::string& id, const std::string& exec_id,
                         const std::vector<std::string>& args);

  // A connected stream; invalid, with `error`, when the agent refuses.
  UniqueFd Open(const std::string& id, const std::string& exec_id, v1::StreamOpen::Kind kind,
                std::string* error = nullptr);
  // The connection of an archive; invalid, with `error`, when the agent refuses.
  UniqueFd OpenArchive(const std::string& id, const v1::Archive& archive,
                       std::string* error = nullptr);
  Received Receive(const std::string& id, const v1::Archive& archive);
  v1::ArchiveEnd Send(const std::string& id, const v1::Archive& archive, std::string_view data);
  // Everything up to the end of file, at most for 30 s.
  static std::string ReadToEnd(const UniqueFd& fd);
  // Until `text` has been seen (or 10 s have passed); what was read.
  static std::string ReadUntil(const UniqueFd& fd, std::string_view text);

  // Create, Start, Wait, all output, Delete.
  Ended Run(const v1::CreateRequest& request, std::string_view input = "");
  Ended RunExec(const v1::ExecRequest& request);
  // A container that sleeps, to exec into.
  void Sleeper(const std::string& id, std::string_view more_config = "");

  AgentProcess* agent_ = nullptr;
  boost::asio::io_context io_{1};
  std::unique_ptr<ttrpc::Client> client_;
  std::vector<std::string> made_;
};

// args as a JSON array.
std::string JsonArray(const std::vector<std::string>& args);

}  // namespace hull::agent::testing
