#include "guest-agent/containers.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <utility>

#include <boost/asio/steady_timer.hpp>

#include "guest-agent/attachments.h"
#include "guest-agent/devices/module_job.h"
#include "guest-agent/kernel_log.h"
#include "guest-agent/protocol/agent_service.h"
#include "guest-agent/rootfs.h"
#include "vmm/base/escape.h"

namespace hull::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxIdBytes = 128;
constexpr uint32_t kMaxSignal = 64;
constexpr milliseconds kPoll{2};
constexpr std::chrono::seconds kFreezeWait{10};
// After SIGKILL, processes end as soon as the kernel lets go of them.
constexpr std::chrono::seconds kKillWait{5};

template <typename Request, typename Response, typename Object>
void HandleAtOnce(ttrpc::Server& server, std::string_view method, Object* object,
                  Result<Response> (Object::*function)(const Request&)) {
  server.Handle<Request, Response>(
      kServiceName, method,
      [object, function](const Request& request, const ttrpc::Reply<Response>& reply) {
        reply((object->*function)(request));
      });
}

template <typename Request, typename Response, typename Object>
void HandleLater(ttrpc::Server& server, std::string_view method, Object* object,
                 void (Object::*function)(const Request&, const ttrpc::Reply<Response>&)) {
  server.Handle<Request, Response>(
      kServiceName, method,
      [object, function](const Request& request, const ttrpc::Reply<Response>& reply) {
        (object->*function)(request, reply);
      });
}

// A container's directory: files, sockets and empty mount points.
void RemoveFlatDirectory(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), ::closedir);
  if (!stream) return;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    ::unlinkat(::dirfd(stream.get()), entry->d_name, entry->d_type == DT_DIR ? AT_REMOVEDIR : 0);
  }
  ::rmdir(path.c_str());
}

template <typename Response>
std::function<void(Status)> ReplyEmpty(const ttrpc::Reply<Response>& reply) {
  return [reply](Status status) {
    if (status) {
      reply(Response());
    } else {
      reply(Fail(std::move(status).error()));
    }
  };
}

}  // namespace

const char* StateName(Container::State state) {
  switch (state) {
    case Container::State::kCreating:
      return "being created";
    case Container::State::kCreated:
      return "created, not started";
    case Container::State::kRunning:
      return "running";
    case Container::State::kPaused:
      return "paused";
    case Container::State::kStopped:
      return "not running";
    case Container::State::kDeleting:
      return "being deleted";
    case Container::State::kMounted:
      return "not running";
  }
  return "?";
}

Status ValidateId(std::string_view field, std::string_view id) {
  const bool characters = std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
  if (id.empty() || id.size() > kMaxIdBytes || !characters || id == "." || id == "..") {
    return Fail(ErrorCode::kInvalidArgument, "{}: '{}' is not an id (1 to {} of [A-Za-z0-9_.-])",
                field, EscapeControl(id.substr(0, kMaxIdBytes)), kMaxIdBytes);
  }
  return {};
}

Containers::Containers(boost::asio::io_context& io, Reaper& reaper, const Places& places)
    : io_(io),
      reaper_(reaper),
      places_(places),
      crun_(reaper, places.crun, places.state_directory + "/crun") {}

void Containers::Register(ttrpc::Server& server) {
  server.Handle<v1::CreateRequest, v1::CreateResponse>(
      kServiceName, "Create", [this](v1::CreateRequest request, const CreateReply& reply) {
        Create(std::make_shared<v1::CreateRequest>(std::move(request)), reply);
      });
  HandleLater(server, "Start", this, &Containers::Start);
  HandleLater(server, "Exec", this, &Containers::Exec);
  HandleAtOnce(server, "Kill", this, &Containers::Kill);
  HandleLater(server, "Wait", this, &Containers::Wait);
  HandleAtOnce(server, "Resize", this, &Containers::Resize);
  HandleAtOnce(server, "State", this, &Containers::State);
  HandleLater(server, "Delete", this, &Containers::Delete);
  HandleAtOnce(server, "Processes", this, &Containers::Processes);
  HandleAtOnce(server, "Stat", this, &Containers::Stat);
  server.Handle<v1::PauseRequest, v1::PauseResponse>(
      kServiceName, "Pause",
      [this](const v1::PauseRequest& request, const Reply<v1::PauseResponse>& reply) {
        Freeze(request.container_id(), true, ReplyEmpty(reply));
      });
  server.Handle<v1::ResumeRequest, v1::ResumeResponse>(
      kServiceName, "Resume",
      [this](const v1::ResumeRequest& request, const Reply<v1::ResumeResponse>& reply) {
        Freeze(request.container_id(), false, ReplyEmpty(reply));
      });
}

Result<Containers::ContainerPtr> Containers::Find(const std::string& id) const {
  const auto found = containers_.find(id);
  if (found == containers_.end()) {
    return Fail(ErrorCode::kNotFound, "no container {}", EscapeControl(id.substr(0, kMaxIdBytes)));
  }
  return found->second;
}

Result<Process*> Containers::FindProcess(const std::string& id, const std::string& exec_id) const {
  HULL_ASSIGN(const ContainerPtr container, Find(id));
  Process* process = &container->init;
  if (!exec_id.empty()) {
    const auto found = container->execs.find(exec_id);
    if (found == container->execs.end()) {
      return Fail(ErrorCode::kNotFound, "container {} has no process {}", id,
                  EscapeControl(exec_id.substr(0, kMaxIdBytes)));
    }
    process = found->second.get();
  }
  if (container->state == Container::State::kMounted) {
    return Fail(ErrorCode::kUnavailable, "container {} is not running", id);
  }
  if (process->pid == 0) return Fail(ErrorCode::kUnavailable, "the process is being created");
  return process;
}

size_t Containers::CountProcesses() const {
  size_t count = 0;
  for (const auto& [id, container] : containers_) count += 1 + container->execs.size();
  return count;
}

// Whoever started them has gone without a word.
void Containers::ForgetEnded() {
  for (const auto& [id, container] : containers_) {
    std::erase_if(container->execs,
                  [](const auto& entry) { return entry.second->exit.has_value(); });
  }
}

void Containers::After(milliseconds delay, std::function<void()> done) {
  auto timer = std::make_shared<boost::asio::steady_timer>(io_, delay);
  timer->async_wait([timer, done = std::move(done)](const boost::system::error_code& cancelled) {
    if (!cancelled) done();
  });
}

void Containers::Start(const v1::StartRequest& request, const Reply<v1::StartResponse>& reply) {
  const Result<ContainerPtr> found = Find(request.container_id());
  if (!found) return reply(Fail(found.error()));
  const ContainerPtr& container = *found;
  if (container->state != Container::State::kCreated) {
    return reply(Fail(ErrorCode::kUnavailable, "container {} is {}", container->id,
                      StateName(container->state)));
  }
  if (!container->has_poststart_hooks) {
    Status started = crun_.WriteStartByte(container->id);
    if (started) container->state = Container::State::kRunning;
    return ReplyEmpty(reply)(std::move(started));
  }
  crun_.Run({"start", container->id}, {}, container->directory + "/log", "",
            [container, reply](Status status) {
              if (status && container->state == Container::State::kCreated) {
                container->state = Container::State::kRunning;
              }
              ReplyEmpty(reply)(std::move(status));
            });
}

Result<v1::KillResponse> Containers::Kill(const v1::KillRequest& request) {
  if (request.signal() < 1 || request.signal() > kMaxSignal) {
    return Fail(ErrorCode::kInvalidArgument, "signal: {} is not within 1 to {}", request.signal(),
                kMaxSignal);
  }
  const int signal = static_cast<int>(request.signal());
  HULL_ASSIGN(Process * process, FindProcess(request.container_id(), request.exec_id()));
  if (request.all()) {
    HULL_ASSIGN(const ContainerPtr container, Find(request.container_id()));
    if (signal == SIGKILL) {
      HULL_TRY(container->cgroup.KillAll());
      return v1::KillResponse();
    }
    for (const pid_t pid : container->cgroup.Processes()) ::kill(pid, signal);
    return v1::KillResponse();
  }
  // The pid cannot belong to another process: it is free for reuse only once it is reaped, and then
  // `exit` is set.
  if (process->exit) return Fail(ErrorCode::kUnavailable, "the process has ended");
  if (::kill(process->pid, signal) != 0) return FailErrno("kill process {}", process->pid);
  return v1::KillResponse();
}

void Containers::Wait(const v1::WaitRequest& request, const Reply<v1::WaitResponse>& reply) {
  const Result<Process*> process = FindProcess(request.container_id(), request.exec_id());
  if (!process) return reply(Fail(process.error()));
  if ((*process)->exit) return reply(*(*process)->exit);
  // Hosts that have gone leave their questions behind.
  auto& waiters = (*process)->waiters;
  std::erase_if(waiters, [](const Reply<v1::WaitResponse>& waiter) { return !waiter.wanted(); });
  waiters.push_back(reply);
}

Result<v1::ResizeResponse> Containers::Resize(const v1::ResizeRequest& request) {
  HULL_ASSIGN(Process * process, FindProcess(request.container_id(), request.exec_id()));
  HULL_TRY(process->stdio->Resize(request.size()));
  return v1::ResizeResponse();
}

Result<v1::StateResponse> Containers::State(const v1::StateRequest& request) {
  HULL_ASSIGN(const ContainerPtr container, Find(request.container_id()));
  v1::StateResponse response;
  switch (container->state) {
    case Container::State::kCreating:
      response.set_status(v1::StateResponse::UNKNOWN);
      break;
    case Container::State::kCreated:
      response.set_status(v1::StateResponse::CREATED);
      break;
    case Container::State::kRunning:
      response.set_status(v1::StateResponse::RUNNING);
      break;
    case Container::State::kPaused:
      response.set_status(v1::StateResponse::PAUSED);
      break;
    case Container::State::kStopped:
    case Container::State::kDeleting:
      response.set_status(v1::StateResponse::STOPPED);
      break;
    case Container::State::kMounted:
      response.set_status(v1::StateResponse::MOUNTED);
      break;
  }
  response.set_pid(static_cast<uint32_t>(container->init.pid));
  if (container->init.exit) *response.mutable_exit() = *container->init.exit;
  for (const pid_t pid : container->cgroup.Processes()) {
    if (pid > 0) response.add_pids(static_cast<uint32_t>(pid));
  }
  return response;
}

void Containers::Freeze(const std::string& id, bool freeze, std::function<void(Status)> done) {
  const Result<ContainerPtr> found = Find(id);
  if (!found) return done(Fail(found.error()));
  const ContainerPtr& container = *found;
  if (container->state != (freeze ? Container::State::kRunning : Container::State::kPaused)) {
    return done(
        Fail(ErrorCode::kUnavailable, "container {} is {}", id, StateName(container->state)));
  }
  if (Status written = container->cgroup.SetFrozen(freeze); !written)
    return done(std::move(written));
  AwaitFrozen(container, freeze, steady_clock::now() + kFreezeWait, std::move(done));
}

void Containers::AwaitFrozen(const ContainerPtr& container, bool frozen,
                             steady_clock::time_point deadline, std::function<void(Status)> done) {
  if (!container->alive()) {
    return done(Fail(ErrorCode::kUnavailable, "container {} is {}", container->id,
                     StateName(container->state)));
  }
  if (container->cgroup.Frozen() == frozen) {
    container->state = frozen ? Container::State::kPaused : Container::State::kRunning;
    return done({});
  }
  if (steady_clock::now() >= deadline) {
    [[maybe_unused]] const Status undone = container->cgroup.SetFrozen(!frozen);
    return done(Fail(ErrorCode::kTimedOut, "the container's processes have not {} within {} s",
                     frozen ? "stopped" : "resumed", kFreezeWait.count()));
  }
  After(kPoll, [this, container, frozen, deadline, done = std::move(done)]() mutable {
    AwaitFrozen(container, frozen, deadline, std::move(done));
  });
}

void Containers::WatchProcess(const ContainerPtr& container, const ProcessPtr& process) {
  reaper_.Watch(process->pid, [this, container, process](const ExitStatus& status) {
    ProcessEnded(*container, *process, status);
  });
}

void Containers::ProcessEnded(Container& container, Process& process, const ExitStatus& status) {
  v1::WaitResponse response;
  response.set_exit_code(static_cast<uint32_t>(status.code));
  response.set_signal(static_cast<uint32_t>(status.signal));
  response.set_out_of_memory(container.cgroup.OutOfMemory());
  response.set_exited_at_ns(status.at_ns);
  process.exit = response;
  if (&process == &container.init) {
    if (container.alive()) container.state = Container::State::kStopped;
    container.devices.reset();
  }
  for (const Reply<v1::WaitResponse>& waiter : std::exchange(process.waiters, {})) waiter(response);
  for (const auto& ended : std::exchange(process.on_end, {})) ended();
  // The caller holds it.
  if (process.detached) container.execs.erase(process.id);
}

void Containers::Delete(const v1::DeleteRequest& request, const DeleteReply& reply) {
  const Result<ContainerPtr> found = Find(request.container_id());
  if (!found) return reply(Fail(found.error()));
  const ContainerPtr& container = *found;
  if (!request.exec_id().empty()) {
    const Result<Process*> process = FindProcess(request.container_id(), request.exec_id());
    if (!process) return reply(Fail(process.error()));
    if (!(*process)->exit) return reply(Fail(ErrorCode::kUnavailable, "the process is running"));
    container->execs.erase(request.exec_id());
    return reply(v1::DeleteResponse());
  }
  if (container->state == Container::State::kMounted) {
    Remove(container);
    return reply(v1::DeleteResponse());
  }
  if (container->state == Container::State::kStopped) return DeleteStopped(container, reply);
  if (!container->alive() || !request.force()) {
    return reply(Fail(ErrorCode::kUnavailable, "container {} is {}", container->id,
                      StateName(container->state)));
  }
  if (Status killed = container->cgroup.KillAll(); !killed) ::kill(container->init.pid, SIGKILL);
  container->init.on_end.emplace_back(
      [this, container, reply] { DeleteStopped(container, reply); });
}

void Containers::DeleteStopped(const ContainerPtr& container, const DeleteReply& reply) {
  if (container->state != Container::State::kStopped) {
    return reply(Fail(ErrorCode::kUnavailable, "container {} is {}", container->id,
                      StateName(container->state)));
  }
  container->state = Container::State::kDeleting;
  // Without a PID namespace of its own, a container's processes outlive its first.
  [[maybe_unused]] const Status killed = container->cgroup.KillAll();
  const auto finish = [this, container, reply] {
    RemoveCgroup(container, 100, [this, container, reply] {
      Remove(container);
      reply(v1::DeleteResponse());
    });
  };
  if (!container->has_poststop_hooks) return finish();
  crun_.Run({"delete", "--force", container->id}, {}, container->directory + "/log", "",
            [finish](const Status& status) {
              if (!status) LogWarning("poststop hooks: {}", status.error().ToString());
              finish();
            });
}

void Containers::RemoveCgroup(const ContainerPtr& container, int attempts_left,
                              std::function<void()> done) {
  const Status removed = container->cgroup.Remove();
  if (removed || removed.error().code() != ErrorCode::kUnavailable || attempts_left == 0) {
    if (!removed) LogWarning("remove the cgroup: {}", removed.error().ToString());
    return done();
  }
  After(kPoll, [this, container, attempts_left, done = std::move(done)]() mutable {
    RemoveCgroup(container, attempts_left - 1, std::move(done));
  });
}

void Containers::Remove(const ContainerPtr& container) {
  KillArchives(container->id);
  crun_.RemoveRecords(container->id);
  container->devices.reset();
  UnmountAttachments(AttachmentsOf(*container));
  UnmountFirmware(container->firmware());
  UnmountRootFilesystem(container->directory);
  RemoveFlatDirectory(container->directory);
  containers_.erase(container->id);
}

size_t Containers::CountAlive() const {
  return static_cast<size_t>(
      std::count_if(containers_.begin(), containers_.end(),
                    [](const auto& entry) { return entry.second->alive(); }));
}

void Containers::EndAll(milliseconds grace, std::function<void()> done) {
  ending_ = true;
  for (const auto& [id, container] : containers_) {
    if (!container->alive()) continue;
    if (container->state == Container::State::kPaused) {
      [[maybe_unused]] const Status thawed = container->cgroup.SetFrozen(false);
    }
    // What has not been started yet has no handler for SIGTERM, and the first process of a PID
    // namespace is safe from signals that it does not handle.
    const bool started = container->state != Container::State::kCreated;
    ::kill(container->init.pid, started ? SIGTERM : SIGKILL);
  }
  for (const auto& [pid, id] : archives_) ::kill(pid, SIGKILL);
  AwaitEnd(steady_clock::now() + grace, false, std::move(done));
}

void Containers::AwaitEnd(steady_clock::time_point deadline, bool killed,
                          std::function<void()> done) {
  if ((CountAlive() == 0 && archives_.empty()) || (killed && steady_clock::now() >= deadline)) {
    for (const auto& [id, container] : containers_) {
      UnmountAttachments(AttachmentsOf(*container));
      UnmountFirmware(container->firmware());
      UnmountRootFilesystem(container->directory);
    }
    return done();
  }
  if (!killed && steady_clock::now() >= deadline) {
    for (const auto& [id, container] : containers_) {
      if (!container->alive()) continue;
      if (!container->cgroup.KillAll()) ::kill(container->init.pid, SIGKILL);
    }
    killed = true;
    deadline = steady_clock::now() + kKillWait;
  }
  After(kPoll, [this, deadline, killed, done = std::move(done)]() mutable {
    AwaitEnd(deadline, killed, std::move(done));
  });
}

Status Containers::CheckStream(const v1::StreamOpen& open) const {
  HULL_ASSIGN(const Process* process, FindProcess(open.container_id(), open.exec_id()));
  return process->stdio->Check(open.kind());
}

void Containers::AttachStream(const v1::StreamOpen& open, UniqueFd socket) {
  const Result<Process*> process = FindProcess(open.container_id(), open.exec_id());
  if (process) (*process)->stdio->Attach(open.kind(), std::move(socket));
}

}  // namespace hull::agent
