// One further process in a running container, from its start to its end: hull exec. Straight from
// here to the guest; the container's supervisor has no part in it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "runtime/agent_client.h"
#include "runtime/containers.h"
#include "runtime/detach_keys.h"
#include "vmm/base/result.h"

namespace hull {

struct ExecPlan {
  std::string container_id;
  std::string process;  // OCI process object, JSON: what differs from the container's own
  std::string user;     // "name|uid[:group|gid]"; empty: the container's
  bool input = false;
  bool output = true;  // and errors
  bool terminal = false;
  bool detached = false;
  uint32_t columns = 0;
  uint32_t rows = 0;
  DetachKeys detach_keys;
};

// Never destroyed: a thread that waits for the user's input may still tell the loop of it, until
// this program has ended.
class ExecSession {
 public:
  ExecSession(const Containers& containers, ExecPlan plan)
      : containers_(containers), plan_(std::move(plan)) {}
  ExecSession(const ExecSession&) = delete;
  ExecSession& operator=(const ExecSession&) = delete;

  boost::asio::io_context& io() { return io_; }
  // Once it was started.
  const std::string& exec_id() const { return exec_id_; }

  // The process runs when this returns; its streams are not read yet. kNotFound,
  // kPermissionDenied: the command is not there, or cannot be executed. kUnavailable: the container
  // does not run (any more).
  Status Start();

  enum class Ended { kProcess, kDetached, kReaderGone };
  struct Outcome {
    Ended how = Ended::kProcess;
    int exit_code = 0;
  };
  // Copies between the process and this program's standard streams, until the process has ended and
  // its output was delivered, the detach keys were typed, or nobody reads the output any more.
  Result<Outcome> Run();

  // The terminal's size, now.
  void Resize(uint32_t columns, uint32_t rows);

 private:
  using Stream = std::shared_ptr<UniqueFd>;
  Result<Stream> Open(agent::v1::StreamOpen::Kind kind);
  Status OpenStreams();
  void StartOutput(const Stream& stream, int user_fd);

  const Containers& containers_;
  ExecPlan plan_;
  std::string exec_id_;
  boost::asio::io_context io_{1};
  std::unique_ptr<AgentClient> agent_;
  Stream input_;
  Stream output_;
  Stream errors_;
  int outputs_open_ = 0;
  bool detached_ = false;
  bool reader_gone_ = false;
  std::optional<Error> output_error_;
};

}  // namespace hull
