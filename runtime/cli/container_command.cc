#include "runtime/cli/container_command.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <set>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "runtime/cli/foreground.h"
#include "runtime/cli/pinning_display.h"
#include "runtime/container_lock.h"
#include "runtime/events.h"
#include "runtime/phase_log.h"
#include "runtime/signal_name.h"
#include "runtime/supervisor.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int64_t kDefaultStopSeconds = 10;
constexpr int kExitKilled = 137;
constexpr milliseconds kShortestSignalLimit{1'000};
// For the agent to freeze or thaw all processes.
constexpr milliseconds kFreezeLimit{60'000};
// From SIGKILL until the machine itself is ended: for an agent that does not even say that it has
// passed it on, and for one that has. Ended by force, what a guest had not written to its disk is
// lost; that is nothing to wait for when the disk is to be removed.
struct KillLimits {
  milliseconds answer;
  milliseconds end;
};
constexpr KillLimits kKillLimits{milliseconds(3'000), milliseconds(10'000)};
constexpr KillLimits kRemovalLimits{milliseconds(1'000), milliseconds(2'000)};
// For a supervisor to end its machine and clean up.
constexpr milliseconds kForceLimit{10'000};
constexpr int kKillTimeoutMs = 10'000;
constexpr int kAboutToEndMs = 60'000;
constexpr size_t kMostAtOnce = 50;

// The exit code of all before, and of this one.
int Tell(const Result<std::string>& answer, int exit_code) {
  if (!answer) {
    PrintError(answer.error());
    return kExitFailed;
  }
  if (!answer->empty()) static_cast<void>(WriteAll(STDOUT_FILENO, *answer + "\n"));
  return exit_code;
}

// As many as there can be, `most` at most; none where the host has no room for one.
std::vector<std::thread> MakeThreads(size_t most, const std::function<void()>& work) {
  std::vector<std::thread> threads;
  try {
    while (threads.size() < most) threads.emplace_back(work);
  } catch (const std::system_error& error) {
    log::Debug("{} threads: {}", threads.size(), error.what());
  }
  return threads;
}

}  // namespace

int ForEachContainer(const GlobalOptions& global, const std::vector<std::string>& names,
                     const ContainerAction& act) {
  Result<HostLayout> layout = FindHostLayout(global.root, global.state);
  if (!layout) return Tell(Fail(std::move(layout).error()), 0);
  const Containers containers(std::move(*layout));
  int exit_code = 0;
  for (const std::string& name : names) exit_code = Tell(act(containers, name), exit_code);
  return exit_code;
}

int ForContainersAtOnce(const GlobalOptions& global, const std::vector<std::string>& names,
                        const ContainerAction& act) {
  // A name that comes twice is the second time no container any more, or has stopped.
  const std::set<std::string_view> different(names.begin(), names.end());
  if (names.size() < 2 || different.size() < names.size()) {
    return ForEachContainer(global, names, act);
  }
  Result<HostLayout> layout = FindHostLayout(global.root, global.state);
  if (!layout) return Tell(Fail(std::move(layout).error()), 0);
  const Containers containers(std::move(*layout));
  std::vector<std::promise<Result<std::string>>> answers(names.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < names.size(); i = next++) {
      answers[i].set_value(act(containers, names[i]));
    }
  };
  std::vector<std::thread> threads = MakeThreads(std::min(names.size(), kMostAtOnce), work);
  if (threads.empty()) work();
  int exit_code = 0;
  for (auto& answer : answers) exit_code = Tell(answer.get_future().get(), exit_code);
  for (std::thread& thread : threads) thread.join();
  return exit_code;
}

RunningContainer::RunningContainer(const Containers& containers, ContainerRecord record,
                                   UniqueFd socket)
    : containers_(containers),
      record_(std::move(record)),
      io_(1),
      client_(std::make_unique<SupervisorClient>(io_, std::move(socket))) {}

Result<std::unique_ptr<RunningContainer>> RunningContainer::Find(const Containers& containers,
                                                                 const ContainerRecord& record) {
  if (!IsRunning(record)) {
    return Fail(ErrorCode::kUnavailable, "container {} is not running", record.id);
  }
  HULL_ASSIGN(UniqueFd socket, containers.DialSupervisor(record.id));
  return std::unique_ptr<RunningContainer>(
      new RunningContainer(containers, record, std::move(socket)));
}

Status RunningContainer::Signal(int number, bool resume, milliseconds limit) {
  HULL_TRY(client_->CallAndWait({{"method", "signal"}, {"number", number}}, limit));
  RecordContainerEvent(containers_.layout(), record_, "kill", {{"signal", std::to_string(number)}});
  if (resume && record_.state.status == ContainerStatus::kPaused) {
    // Killed already, perhaps; then there is nothing to resume.
    static_cast<void>(client_->CallAndWait({{"method", "resume"}}, limit));
  }
  return {};
}

bool RunningContainer::AwaitEnd(std::optional<milliseconds> limit) {
  return client_->RunUntil([] { return false; }, limit);
}

Status RunningContainer::EndByForce(int exit_code) {
  const Status told =
      client_->CallAndWait({{"method", "end"}, {"exit_code", exit_code}}, kForceLimit);
  if (told && AwaitEnd(kForceLimit)) return {};
  // A supervisor that does not answer, or waits for a guest that does not: with its machine gone it
  // has nothing to wait for, and without it somebody else clears up.
  const SandboxState state = containers_.Sandbox(record_.id);
  if (state.vmm) HULL_TRY(KillAndWait(*state.vmm, kKillTimeoutMs));
  if (AwaitEnd(kForceLimit)) return {};
  if (state.supervisor) HULL_TRY(KillAndWait(*state.supervisor, kKillTimeoutMs));
  containers_.Sweep();
  return {};
}

Status KillContainer(const Containers& containers, const ContainerRecord& record, AfterKill after) {
  Result<std::unique_ptr<RunningContainer>> running = RunningContainer::Find(containers, record);
  if (!running) return {};
  const KillLimits& limits = after == AfterKill::kRemoved ? kRemovalLimits : kKillLimits;
  const Status signalled = (*running)->Signal(SIGKILL, true, limits.answer);
  if (signalled && (*running)->AwaitEnd(limits.end)) return {};
  return (*running)->EndByForce(kExitKilled);
}

Result<ContainerRecord> StopContainer(const Containers& containers, const std::string& name,
                                      const StopFlags& flags) {
  std::optional<int> signal;
  if (!flags.signal.empty()) {
    HULL_ASSIGN(signal, ParseSignal(flags.signal));
  }
  HULL_ASSIGN(ContainerRecord record, containers.Load(name));
  Result<std::unique_ptr<RunningContainer>> running = RunningContainer::Find(containers, record);
  // It has ended meanwhile, or never ran.
  if (!running) return record;
  int number = SIGTERM;
  if (signal) {
    number = *signal;
  } else if (!record.process.stop_signal.empty()) {
    number = ParseSignal(record.process.stop_signal).value_or(SIGTERM);
  }
  const int64_t limit_s =
      flags.timeout_s.value_or(record.process.stop_timeout_s.value_or(kDefaultStopSeconds));
  std::optional<milliseconds> limit;
  if (limit_s >= 0) limit = seconds(limit_s);
  const milliseconds answer =
      std::clamp(limit.value_or(kSignalLimit), kShortestSignalLimit, kSignalLimit);
  const Status signalled = (*running)->Signal(number, true, answer);
  const bool ended = signalled && (*running)->AwaitEnd(limit);
  if (!ended) HULL_TRY(KillContainer(containers, record, AfterKill::kKept));
  RecordContainerEvent(containers.layout(), record, "stop");
  return record;
}

void DeclareStopFlags(CLI::App& app, StopFlags& flags) {
  app.add_option("-t,--time,--timeout", flags.timeout_s,
                 "Seconds until it is killed (its own, or 10); -1: never")
      ->type_name("SECONDS");
  app.add_option("-s,--signal", flags.signal, "Signal to send (its own, or SIGTERM)")
      ->type_name("SIGNAL");
}

Status AskSupervisor(const Containers& containers, const std::string& name,
                     std::string_view method) {
  HULL_ASSIGN(const ContainerRecord record, containers.Load(name));
  if (!IsRunning(record)) {
    return Fail(ErrorCode::kUnavailable, "Container {} is not running", record.id);
  }
  HULL_ASSIGN(const std::unique_ptr<RunningContainer> running,
              RunningContainer::Find(containers, record));
  return running->supervisor().CallAndWait(
      {{"method", boost::json::string_view(method.data(), method.size())}}, kFreezeLimit);
}

Result<RunDirectory> LockForStart(const Containers& containers, const std::string& id) {
  while (true) {
    Result<RunDirectory> run = containers.LockRunDirectory(id);
    if (run) {
      // Removed meanwhile: what was just made is no container's.
      Result<ContainerRecord> record = containers.LoadId(id);
      if (record) return run;
      rmdir(run->path.c_str());
      return Fail(std::move(record).error());
    }
    if (run.error().code() != ErrorCode::kUnavailable) return run;
    HULL_ASSIGN(const ContainerRecord record, containers.LoadId(id));
    if (IsRunning(record)) return RunDirectory{};
    // Being started by somebody else, or about to have ended.
    if (!containers.AwaitChange(id, kAboutToEndMs)) return run;
  }
}

Status StartContainer(const Containers& containers, const ContainerRecord& record) {
  HULL_ASSIGN(RunDirectory run, LockForStart(containers, record.id));
  if (run.path.empty()) return {};
  HULL_ASSIGN(ConnectedPair connection, MakeConnectedPair());
  const PhaseLog phases(record.machine.debug);
  HULL_TRY(
      StartSupervisor(containers, record.id, std::move(run), std::move(connection.theirs), phases));
  boost::asio::io_context io(1);
  SupervisorClient client(io, std::move(connection.ours));
  {
    const PinningDisplay display(client);
    client.RunUntil([&client] { return client.started() || client.end(); });
  }
  if (client.started()) return {};
  client.RunUntil([] { return false; });
  if (!client.end()) {
    containers.Sweep();
    return Fail(ErrorCode::kUnavailable, "the container's supervisor died");
  }
  Error error(ErrorCode::kFailed, client.end()->error);
  if (!client.end()->hint.empty()) error = std::move(error).WithHint(client.end()->hint);
  return Fail(std::move(error));
}

}  // namespace hull::cli
