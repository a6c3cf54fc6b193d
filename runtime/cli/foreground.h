// A container in the foreground: its streams are the user's, its signals come from the user, its
// end is the end of `hull run`. This process is the sandbox's supervisor.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include "runtime/cli/phase_log.h"
#include "runtime/cli/signal_source.h"
#include "runtime/cli/terminal.h"
#include "runtime/container_options.h"
#include "runtime/container_state.h"
#include "runtime/sandbox.h"

namespace hull::cli {

struct ForegroundPlan {
  ContainerOptions options;
  std::string oci_config;
  std::string user;
  OldContainerState state;  // as it will be recorded; id, name and image filled in
};

// How it went, for the exit code and the record.
struct ForegroundResult {
  int exit_code = 0;
  bool out_of_memory = false;
};

class Foreground {
 public:
  Foreground(boost::asio::io_context& io, Sandbox& sandbox, SignalSource& signals,
             const PhaseLog& phases, ForegroundPlan plan);
  Foreground(const Foreground&) = delete;
  Foreground& operator=(const Foreground&) = delete;

  // From a booting sandbox to the container's end, its output delivered. Errors carry what the user
  // is to read; ErrorCode kNotFound and kPermissionDenied are about the container's command,
  // kCancelled is the user's signal (see cancel_signal()).
  Result<ForegroundResult> Run();

  int cancel_signal() const { return cancel_signal_; }
  const OldContainerState& state() const { return plan_.state; }

 private:
  Status Create();
  Status OpenStreams();
  Status OpenStream(agent::v1::StreamOpen::Kind kind, std::shared_ptr<UniqueFd>& stream);
  void StartPumps();
  Status StartContainer();
  Result<ForegroundResult> AwaitEnd();
  // Until both outputs have ended, at most `limit`.
  void DrainOutput(std::optional<std::chrono::seconds> limit);
  void OnSignal(int number);
  void Forward(int number);
  bool WantsOut(int number);
  void WriteState(OldContainerStatus status);

  boost::asio::io_context& io_;
  Sandbox& sandbox_;
  SignalSource& signals_;
  const PhaseLog& phases_;
  ForegroundPlan plan_;
  const std::string& id_ = plan_.state.id;

  std::shared_ptr<UniqueFd> input_;
  std::shared_ptr<UniqueFd> output_;
  std::shared_ptr<UniqueFd> error_;
  std::optional<RawMode> raw_mode_;
  int outputs_open_ = 0;
  std::optional<Error> output_error_;
  bool reader_gone_ = false;  // of stdout or stderr
  bool running_ = false;
  bool forced_ = false;
  int cancel_signal_ = 0;
  int interrupts_ = 0;
  std::chrono::steady_clock::time_point first_interrupt_;
  std::optional<Result<ProcessExit>> exit_;
};

}  // namespace hull::cli
