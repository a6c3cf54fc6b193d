// What commands on existing containers share: several at once, docker's answers, partial failure.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "runtime/cli/command.h"
#include "runtime/containers.h"
#include "runtime/supervisor_client.h"
#include "vmm/base/result.h"

namespace hull::cli {

// Finds hull's places, then calls `act` for each name. What fails is told, and the next one done;
// the exit code says whether all went well. `act` answers with what is to be printed, if anything.
using ContainerAction =
    std::function<Result<std::string>(const Containers& containers, const std::string& name)>;
int ForEachContainer(const GlobalOptions& global, const std::vector<std::string>& names,
                     const ContainerAction& act);
// The same on threads, up to fifty at once as docker does: what takes its time to stop takes it
// together. Answers are printed in the order of the names. `act` must not fork.
int ForContainersAtOnce(const GlobalOptions& global, const std::vector<std::string>& names,
                        const ContainerAction& act);

// For the agent to pass on a signal, on a slow host.
inline constexpr std::chrono::milliseconds kSignalLimit{10'000};

// A running container, and its supervisor to talk to.
class RunningContainer {
 public:
  // kUnavailable: it does not run, with what docker says after "Container x ".
  static Result<std::unique_ptr<RunningContainer>> Find(const Containers& containers,
                                                        const ContainerRecord& record);

  SupervisorClient& supervisor() { return *client_; }

  // To the container's first process. A paused container is resumed afterwards if the signal ends
  // it, as docker does. kTimedOut: the guest has not answered within `limit`.
  Status Signal(int number, bool resume, std::chrono::milliseconds limit = kSignalLimit);
  // Waits until it has ended and is cleaned up; false when time is up.
  bool AwaitEnd(std::optional<std::chrono::milliseconds> limit);
  // Whatever the guest and the supervisor do: it is ended when this returns.
  Status EndByForce(int exit_code);

 private:
  RunningContainer(const Containers& containers, ContainerRecord record, UniqueFd socket);

  const Containers& containers_;
  ContainerRecord record_;
  boost::asio::io_context io_;
  std::unique_ptr<SupervisorClient> client_;
};

// The flags of `stop` and `restart`.
struct StopFlags {
  std::optional<int64_t> timeout_s;
  std::string signal;
};
void DeclareStopFlags(CLI::App& app, StopFlags& flags);

// Docker's stop: the container's stop signal, or that of the flags; after the time of the flags
// (absent: the container's own, or 10 s; negative: never) SIGKILL, and then the machine itself. Not
// running is success. Returns the container as it was before.
Result<ContainerRecord> StopContainer(const Containers& containers, const std::string& name,
                                      const StopFlags& flags);

// Has a running container's supervisor do `method` ("pause", "resume").
Status AskSupervisor(const Containers& containers, const std::string& name,
                     std::string_view method);

// SIGKILL, and the machine itself when that does not help: a guest that hangs is ended within a few
// seconds, sooner if the container is to be removed.
enum class AfterKill { kKept, kRemoved };
Status KillContainer(const Containers& containers, const ContainerRecord& record, AfterKill after);

// Starts a container that is not running, not attached. Running already is success.
Status StartContainer(const Containers& containers, const ContainerRecord& record);

// Makes a container that may be started be this process's, its end awaited if it is about to have
// ended. An empty path: it runs already.
Result<RunDirectory> LockForStart(const Containers& containers, const std::string& id);

}  // namespace hull::cli
