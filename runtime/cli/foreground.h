// A container in the foreground: its streams are the user's, signals go to it, and its end is the
// end of the command. A client of its supervisor and no more: killed, it leaves the container as it
// is.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include "runtime/cli/signal_source.h"
#include "runtime/cli/terminal.h"
#include "runtime/containers.h"
#include "runtime/detach_keys.h"
#include "runtime/phase_log.h"
#include "runtime/supervisor_client.h"
#include "vmm/base/unique_fd.h"

namespace hull::cli {

struct ForegroundPlan {
  std::string id;
  bool terminal = false;
  // Which of its streams the user wants.
  bool input = false;
  bool output = true;
  bool errors = true;
  // The end of the user's input is the end of the container's, and nobody who reads its output is
  // seen by it: of `run` and `start`, not of `attach`.
  bool owner = true;
  bool signal_proxy = true;
  DetachKeys detach_keys;
};

class Foreground {
 public:
  // Blocks the signals that will be the container's, so it is made before any thread. Never
  // destroyed: a thread that waits for the user's input may still tell the loop of it.
  static Result<Foreground*> Make(const Containers& containers, const PhaseLog& phases,
                                  ForegroundPlan plan);
  Foreground(const Foreground&) = delete;
  Foreground& operator=(const Foreground&) = delete;

  // Starts a supervisor for a container that is not running; `run` is its run directory.
  Status Launch(RunDirectory run);
  // Joins a running container.
  Status Attach();

  // Until the container has ended and is cleaned up, or the user has detached. Tells the user what
  // went wrong. The exit code of hull.
  int Run();
  // Instead of Run: until it is started, or why not.
  int AwaitStarted();

 private:
  Foreground(const Containers& containers, const PhaseLog& phases, ForegroundPlan plan);

  Status Connect(UniqueFd socket);
  void AwaitStart();
  void StartPumps();
  void StartOutput(const std::shared_ptr<UniqueFd>& stream, int user_fd, const char* name);
  void AwaitEnd();
  int Finish();
  int Report(const ContainerEnd& end);
  int ReportDeadSupervisor();
  void OnSignal(int number);
  bool WantsOut(int number);
  void SendSize();
  void Tell(boost::json::object request);

  const Containers& containers_;
  const PhaseLog& phases_;
  ForegroundPlan plan_;
  boost::asio::io_context io_;
  SignalSource signals_;
  std::unique_ptr<SupervisorClient> client_;

  std::shared_ptr<UniqueFd> input_;
  std::shared_ptr<UniqueFd> output_;
  std::shared_ptr<UniqueFd> errors_;
  std::optional<RawMode> raw_mode_;
  int outputs_open_ = 0;
  std::optional<Error> output_error_;
  bool reader_gone_ = false;  // of stdout or stderr
  bool detached_ = false;
  int cancel_signal_ = 0;
  int interrupts_ = 0;
  std::chrono::steady_clock::time_point first_interrupt_;
};

// What a container's supervisor, or its record, says of its end, for the user to read; docker's
// exit code.
int TellEnd(const ContainerEnd& end, bool show_console);

}  // namespace hull::cli
