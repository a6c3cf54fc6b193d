// All containers of the guest: the agent's methods but for Connect and Shutdown.
//
// Everything runs on the agent's loop. Operations that wait (for a device, for crun, for a process)
// keep the container's record alive by shared_ptr and answer later; each is answered exactly once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "guest-agent/container.h"
#include "guest-agent/crun.h"
#include "guest-agent/devices/uevents.h"
#include "guest-agent/protocol/agent.pb.h"
#include "guest-agent/protocol/server.h"
#include "guest-agent/reaper.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {

class Containers {
 public:
  struct Places {
    std::string state_directory;  // containers' directories; a tmpfs
    std::string crun;
    std::string cgroup_root;
    std::string archive;  // the program hull-archive
    std::string sysctl_root;
  };

  // `io` and `reaper` must outlive it.
  Containers(boost::asio::io_context& io, Reaper& reaper, const Places& places);
  Containers(const Containers&) = delete;
  Containers& operator=(const Containers&) = delete;

  // Adds this class's methods to the server.
  void Register(ttrpc::Server& server);

  // The stream that `open` names, checked.
  Status CheckStream(const v1::StreamOpen& open) const;
  void AttachStream(const v1::StreamOpen& open, UniqueFd socket);

  // An archive that `open` asks for: what its program is given, checked and opened. Then, once the
  // host has its answer, `socket` goes to that program.
  struct ArchiveLaunch {
    std::string container_id;
    UniqueFd root;
    UniqueFd job;
    bool pause = false;
  };
  using ArchiveLaunchPtr = std::shared_ptr<ArchiveLaunch>;
  Result<ArchiveLaunchPtr> PrepareArchive(const v1::StreamOpen& open);
  void StartArchive(const ArchiveLaunchPtr& launch, UniqueFd socket);

  // Ends all containers: SIGTERM, after `grace` SIGKILL, then `done`. Nothing can be created any
  // more.
  void EndAll(std::chrono::milliseconds grace, std::function<void()> done);

 private:
  using ContainerPtr = std::shared_ptr<Container>;
  using ProcessPtr = std::shared_ptr<Process>;
  template <typename T>
  using Reply = ttrpc::Reply<T>;
  using CreateReply = Reply<v1::CreateResponse>;
  using ExecReply = Reply<v1::ExecResponse>;
  using DeleteReply = Reply<v1::DeleteResponse>;

  // containers_launch.cc: Create and Exec.
  void Create(const std::shared_ptr<v1::CreateRequest>& request, const CreateReply& reply);
  void AwaitDevices(const ContainerPtr& container,
                    const std::shared_ptr<v1::CreateRequest>& request,
                    std::chrono::steady_clock::time_point deadline, const CreateReply& reply);
  Status Prepare(Container& container, const v1::CreateRequest& request);
  Result<boost::json::object> PrepareConfig(Container& container, const v1::CreateRequest& request);
  void Launch(const ContainerPtr& container, const v1::CreateRequest& request,
              const CreateReply& reply);
  void RunCreate(const ContainerPtr& container, const CreateReply& reply);
  void Created(const ContainerPtr& container, Status status, UniqueFd console,
               const CreateReply& reply);
  void Discard(const ContainerPtr& container, Error error, const CreateReply& reply);
  void Exec(const v1::ExecRequest& request, const ExecReply& reply);
  Result<ProcessPtr> PrepareExec(Container& container, const v1::ExecRequest& request,
                                 const std::string& file, std::string* command);
  void Executed(const ContainerPtr& container, const ProcessPtr& process, const std::string& file,
                Status status, const UniqueFd& console, const ExecReply& reply);

  // containers_devices.cc: what Create does with passed-through devices, modules and attachments.
  static Status ValidateExtras(const v1::CreateRequest& request);
  std::string AttachmentsOf(const Container& container) const;
  void LoadModules(const ContainerPtr& container, const std::shared_ptr<v1::CreateRequest>& request,
                   const CreateReply& reply);
  void AwaitPassedDevices(const ContainerPtr& container,
                          const std::shared_ptr<v1::CreateRequest>& request,
                          const CreateReply& reply);
  Status GiveDevices(Container& container, int root, v1::CreateResponse& response);

  // containers_files.cc: archives and what is told about files and processes.
  Result<v1::ProcessesResponse> Processes(const v1::ProcessesRequest& request);
  Result<v1::StatResponse> Stat(const v1::StatRequest& request);
  // As the container's processes see it while there are some, else its root file system.
  Result<UniqueFd> OpenContainerRoot(const Container& container) const;
  void AwaitStandstill(const ContainerPtr& container, int attempts_left,
                       std::function<void()> done);
  void RunArchive(const ArchiveLaunchPtr& launch, UniqueFd socket,
                  const std::function<void()>& done);
  void KillArchives(const std::string& container_id);

  // containers.cc: the rest.
  void Start(const v1::StartRequest& request, const Reply<v1::StartResponse>& reply);
  Result<v1::KillResponse> Kill(const v1::KillRequest& request);
  void Wait(const v1::WaitRequest& request, const Reply<v1::WaitResponse>& reply);
  Result<v1::ResizeResponse> Resize(const v1::ResizeRequest& request);
  Result<v1::StateResponse> State(const v1::StateRequest& request);
  void Freeze(const std::string& id, bool freeze, std::function<void(Status)> done);
  void AwaitFrozen(const ContainerPtr& container, bool frozen,
                   std::chrono::steady_clock::time_point deadline,
                   std::function<void(Status)> done);
  void Delete(const v1::DeleteRequest& request, const DeleteReply& reply);
  void DeleteStopped(const ContainerPtr& container, const DeleteReply& reply);
  void RemoveCgroup(const ContainerPtr& container, int attempts_left, std::function<void()> done);
  void Remove(const ContainerPtr& container);

  void WatchProcess(const ContainerPtr& container, const ProcessPtr& process);
  void ProcessEnded(Container& container, Process& process, const ExitStatus& status);
  void AwaitEnd(std::chrono::steady_clock::time_point deadline, bool killed,
                std::function<void()> done);
  size_t CountProcesses() const;
  void ForgetEnded();
  size_t CountAlive() const;

  Result<ContainerPtr> Find(const std::string& id) const;
  Result<Process*> FindProcess(const std::string& id, const std::string& exec_id) const;
  // Calls `done` after `delay`.
  void After(std::chrono::milliseconds delay, std::function<void()> done);

  boost::asio::io_context& io_;
  Reaper& reaper_;
  const Places places_;
  Crun crun_;
  std::map<std::string, ContainerPtr> containers_;
  std::unique_ptr<Uevents> uevents_;       // from the first container with devices on
  std::map<pid_t, std::string> archives_;  // programs under way, and whose files they touch
  uint64_t next_directory_ = 1;
  bool ending_ = false;
};

// An id of a container or a process: 1 to 128 characters of [A-Za-z0-9_.-], not "." or "..".
Status ValidateId(std::string_view field, std::string_view id);

}  // namespace hull::agent
