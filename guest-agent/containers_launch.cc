// Create and Exec: from a request to a process that crun has made.
#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <boost/json/serialize.hpp>

#include "guest-agent/attachments.h"
#include "guest-agent/command_check.h"
#include "guest-agent/console_socket.h"
#include "guest-agent/containers.h"
#include "guest-agent/kernel_log.h"
#include "guest-agent/oci.h"
#include "guest-agent/rootfs.h"
#include "guest-agent/sysctl.h"
#include "guest-agent/user.h"
#include "vmm/base/file.h"

namespace hull::agent {

namespace json = boost::json;

namespace {

constexpr size_t kMaxContainers = 64;
constexpr size_t kMaxProcesses = 1024;
constexpr std::chrono::seconds kDeviceWait{10};
constexpr std::chrono::milliseconds kDevicePoll{5};
constexpr uint64_t kMaxPidFileBytes = 32;

Result<pid_t> ReadPid(const std::string& path) {
  HULL_ASSIGN(const std::string text, ReadFile(path, kMaxPidFileBytes));
  pid_t pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  if (pid <= 0) return Fail(ErrorCode::kFailed, "crun wrote no process id");
  return pid;
}

// Files on a tmpfs that crun reads at once: nothing to gain from atomic replacement.
Status WriteFile(const std::string& path, std::string_view text) {
  HULL_ASSIGN(const UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  return WriteAll(fd.get(), text);
}

// What docker puts into a container's /etc; the guest has no network of its own to describe yet.
Result<std::vector<BindFile>> WriteEtcFiles(const std::string& directory,
                                            const std::string& hostname) {
  const std::string hosts = fmt::format(
      "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
      "ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n127.0.1.1\t{}\n",
      hostname);
  HULL_TRY(WriteFile(directory + "/hostname", hostname + "\n"));
  HULL_TRY(WriteFile(directory + "/hosts", hosts));
  HULL_TRY(WriteFile(directory + "/resolv.conf", ""));
  return std::vector<BindFile>{{"/etc/hostname", directory + "/hostname"},
                               {"/etc/hosts", directory + "/hosts"},
                               {"/etc/resolv.conf", directory + "/resolv.conf"}};
}

// What the request says about the user, resolved in the container's root.
Result<ProcessPatch> PatchFor(const std::string& rootfs, const v1::Stdio& stdio,
                              const std::string& user,
                              const google::protobuf::RepeatedPtrField<std::string>& groups) {
  ProcessPatch patch;
  patch.terminal = stdio.terminal();
  patch.size = stdio.size();
  if (user.empty() && groups.empty()) return patch;
  HULL_ASSIGN(const AccountFiles files, ReadAccountFiles(rootfs));
  const std::vector<std::string> names(groups.begin(), groups.end());
  if (user.empty()) {
    HULL_ASSIGN(patch.additional_groups, ResolveGroups(files, names));
  } else {
    HULL_ASSIGN(patch.identity, ResolveUser(files, user, names));
  }
  return patch;
}

SpawnStreams StreamsOf(const ChildStreams& child) {
  return {.input = child.input.get(), .output = child.output.get(), .error = child.error.get()};
}

}  // namespace

void Containers::Create(const std::shared_ptr<v1::CreateRequest>& request,
                        const CreateReply& reply) {
  if (ending_) return reply(Fail(ErrorCode::kUnavailable, "the machine is being switched off"));
  if (Status valid = ValidateId("container_id", request->container_id()); !valid) {
    return reply(Fail(std::move(valid).error()));
  }
  if (containers_.contains(request->container_id())) {
    return reply(Fail(ErrorCode::kAlreadyExists, "container {} exists", request->container_id()));
  }
  if (containers_.size() >= kMaxContainers || CountProcesses() >= kMaxProcesses) {
    return reply(Fail(ErrorCode::kExhausted, "more than {} containers or {} processes",
                      kMaxContainers, kMaxProcesses));
  }
  Status valid = ValidateRootFilesystem(request->rootfs());
  if (valid) valid = ValidateExtras(*request);
  if (!valid) return reply(Fail(std::move(valid).error()));
  auto container = std::make_shared<Container>();
  container->id = request->container_id();
  // Numbers, not ids: an id may be too long for the path of a socket.
  container->directory = fmt::format("{}/{}", places_.state_directory, next_directory_++);
  containers_.emplace(container->id, container);
  AwaitDevices(container, request, std::chrono::steady_clock::now() + kDeviceWait, reply);
}

void Containers::AwaitDevices(const ContainerPtr& container,
                              const std::shared_ptr<v1::CreateRequest>& request,
                              std::chrono::steady_clock::time_point deadline,
                              const CreateReply& reply) {
  std::vector<std::string> missing = MissingDevices(request->rootfs());
  for (const v1::Attachment& attachment : request->attachments()) {
    const std::string& device = attachment.layer().device();
    if (::access(device.c_str(), F_OK) != 0) missing.push_back(device);
  }
  if (!missing.empty()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      return Discard(container,
                     MakeError(ErrorCode::kFailed, "device {} has not appeared within {} s",
                               missing.front(), kDeviceWait.count()),
                     reply);
    }
    return After(kDevicePoll, [this, container, request, deadline, reply] {
      AwaitDevices(container, request, deadline, reply);
    });
  }
  if (Status prepared = Prepare(*container, *request); !prepared) {
    return Discard(container, std::move(prepared).error(), reply);
  }
  if (request->mount_only()) {
    container->state = Container::State::kMounted;
    return reply(v1::CreateResponse());
  }
  LoadModules(container, request, reply);
}

Status Containers::Prepare(Container& container, const v1::CreateRequest& request) {
  HULL_TRY(MakeDirectories(container.directory, 0755));
  HULL_TRY(MountRootFilesystem(request.rootfs(), container.directory));
  container.rootfs_request = request.rootfs();
  if (request.mount_only()) {
    if (request.oci_config().empty()) return {};
    HULL_ASSIGN(const json::object config, ParseObject(request.oci_config(), "oci_config"));
    container.mount_points = MountPointsOf(config);
    return {};
  }
  return MountAttachments(request.attachments(), AttachmentsOf(container));
}

void Containers::Launch(const ContainerPtr& container, const v1::CreateRequest& request,
                        const CreateReply& reply) {
  const Result<json::object> config = PrepareConfig(*container, request);
  Status written = config
                       ? WriteFile(container->directory + "/config.json", json::serialize(*config))
                       : Status(Fail(config.error()));
  if (!written) return Discard(container, std::move(written).error(), reply);
  RunCreate(container, reply);
}

Result<json::object> Containers::PrepareConfig(Container& container,
                                               const v1::CreateRequest& request) {
  HULL_ASSIGN(json::object config, ParseObject(request.oci_config(), "oci_config"));
  HULL_ASSIGN(json::object * process, ProcessOf(config));
  HULL_ASSIGN(const ProcessPatch patch, PatchFor(container.rootfs(), request.stdio(),
                                                 request.user(), request.additional_groups()));
  json::value environment = process->contains("env") ? process->at("env") : json::value();
  HULL_TRY(PatchProcess(*process, patch));
  container.base_process = *process;
  if (patch.identity) container.home = patch.identity->home;
  const Owner owner = OwnerOf(*process);
  // A later Exec as another user is to get that user's HOME, so the one just added is not passed
  // on.
  if (environment.is_null()) {
    container.base_process.erase("env");
  } else {
    container.base_process["env"] = std::move(environment);
  }

  std::string hostname = HostnameOf(config);
  if (hostname.empty()) hostname = container.id;
  ConfigPatch changes;
  HULL_ASSIGN(changes.files, WriteEtcFiles(container.directory, hostname));
  changes.rootfs = container.rootfs();
  const v1::RootFilesystem& rootfs = request.rootfs();
  changes.read_only = rootfs.read_only() || (!rootfs.has_disk() && !rootfs.has_tmpfs());
  changes.cgroup_path = fmt::format("/{}", container.id);
  HULL_TRY(PatchConfig(config, changes));
  container.mount_points = MountPointsOf(config);
  HULL_ASSIGN(const std::vector<Sysctl> sysctls, TakeGuestSysctls(config));
  HULL_TRY(WriteSysctls(sysctls, places_.sysctl_root));
  container.cgroup = Cgroup(places_.cgroup_root + CgroupPathOf(config));
  container.has_poststart_hooks = HasHooks(config, "poststart");
  container.has_poststop_hooks = HasHooks(config, "poststop");
  HULL_ASSIGN(container.init.stdio,
              ProcessStdio::Create(io_, request.stdio(), owner.uid, owner.gid));
  return config;
}

void Containers::RunCreate(const ContainerPtr& container, const CreateReply& reply) {
  const std::string& directory = container->directory;
  std::vector<std::string> arguments = {"create", "--bundle", directory, "--pid-file",
                                        directory + "/pid"};
  auto console = std::make_shared<UniqueFd>();
  if (container->init.stdio->terminal()) {
    const std::string path = directory + "/console";
    Result<UniqueFd> listener = ListenForConsole(path);
    if (!listener) return Discard(container, std::move(listener).error(), reply);
    *console = std::move(*listener);
    arguments.insert(arguments.end(), {"--console-socket", path});
  }
  arguments.push_back(container->id);
  const ChildStreams child = container->init.stdio->TakeChildStreams();
  crun_.Run(arguments, StreamsOf(child), directory + "/log", CommandOf(container->base_process),
            [this, container, console, reply](Status status) {
              Created(container, std::move(status), std::move(*console), reply);
            });
}

void Containers::Created(const ContainerPtr& container, Status status, UniqueFd console,
                         const CreateReply& reply) {
  Result<pid_t> pid = 0;
  if (status) {
    pid = ReadPid(container->directory + "/pid");
    if (!pid) status = Fail(pid.error());
  }
  if (status && container->init.stdio->terminal()) {
    Result<UniqueFd> master = ReceiveConsole(console);
    status = master ? container->init.stdio->SetTerminal(std::move(*master))
                    : Status(Fail(std::move(master).error()));
  }
  v1::CreateResponse response;
  if (status) {
    // Now all mounts are there, so what the process will see can be seen.
    const Result<UniqueFd> root =
        OpenFile(fmt::format("/proc/{}/root", *pid), O_PATH | O_DIRECTORY);
    if (root) status = CheckInterpreter(root->get(), container->base_process);
    if (status && container->devices) {
      status = root ? GiveDevices(*container, root->get(), response) : Status(Fail(root.error()));
    }
  }
  if (!status) return Discard(container, std::move(status).error(), reply);
  container->init.pid = *pid;
  container->state = Container::State::kCreated;
  // The first process is part of the container's record: this pointer only shares its life.
  WatchProcess(container, ProcessPtr(container, &container->init));
  response.set_pid(static_cast<uint32_t>(*pid));
  reply(response);
}

void Containers::Discard(const ContainerPtr& container, Error error, const CreateReply& reply) {
  [[maybe_unused]] const Status killed = container->cgroup.KillAll();
  container->state = Container::State::kDeleting;
  // The answer comes last: the id is free again when the host reads it.
  RemoveCgroup(container, 100, [this, container, error = std::move(error), reply] {
    Remove(container);
    reply(Fail(Error(error)));
  });
}

void Containers::Exec(const v1::ExecRequest& request, const ExecReply& reply) {
  const Result<ContainerPtr> found = Find(request.container_id());
  if (!found) return reply(Fail(found.error()));
  const ContainerPtr& container = *found;
  const std::string file =
      fmt::format("{}/exec{}", container->directory, container->next_exec_number++);
  std::string command;
  Result<ProcessPtr> prepared = PrepareExec(*container, request, file, &command);
  if (!prepared) return reply(Fail(std::move(prepared).error()));
  const ProcessPtr process = *prepared;

  std::vector<std::string> arguments = {"exec",        "--detach",  "--pid-file",
                                        file + ".pid", "--process", file + ".json"};
  auto console = std::make_shared<UniqueFd>();
  if (process->stdio->terminal()) {
    Result<UniqueFd> listener = ListenForConsole(file + ".tty");
    if (!listener) return reply(Fail(std::move(listener).error()));
    *console = std::move(*listener);
    arguments.insert(arguments.end(), {"--console-socket", file + ".tty"});
  }
  arguments.push_back(container->id);
  container->execs.emplace(process->id, process);
  const ChildStreams child = process->stdio->TakeChildStreams();
  crun_.Run(arguments, StreamsOf(child), file + ".log", command,
            [this, container, process, file, console, reply](Status status) {
              Executed(container, process, file, std::move(status), *console, reply);
            });
}

Result<Containers::ProcessPtr> Containers::PrepareExec(Container& container,
                                                       const v1::ExecRequest& request,
                                                       const std::string& file,
                                                       std::string* command) {
  HULL_TRY(ValidateId("exec_id", request.exec_id()));
  if (container.state != Container::State::kRunning) {
    return Fail(ErrorCode::kUnavailable, "container {} is {}", container.id,
                StateName(container.state));
  }
  if (container.execs.contains(request.exec_id())) {
    return Fail(ErrorCode::kAlreadyExists, "container {} has a process {}", container.id,
                request.exec_id());
  }
  if (CountProcesses() >= kMaxProcesses) ForgetEnded();
  if (CountProcesses() >= kMaxProcesses) {
    return Fail(ErrorCode::kExhausted, "more than {} processes", kMaxProcesses);
  }
  HULL_ASSIGN(const json::object wanted, ParseObject(request.oci_process(), "oci_process"));
  json::object merged = MergeProcess(container.base_process, wanted);
  HULL_ASSIGN(ProcessPatch patch, PatchFor(container.rootfs(), request.stdio(), request.user(),
                                           request.additional_groups()));
  HULL_TRY(PatchProcess(merged, patch));
  if (!patch.identity && !wanted.contains("user")) HULL_TRY(AddHome(merged, container.home));
  *command = CommandOf(merged);
  HULL_ASSIGN(const UniqueFd root, OpenContainerRoot(container));
  HULL_TRY(CheckInterpreter(root.get(), merged));

  auto process = std::make_shared<Process>();
  process->id = request.exec_id();
  process->detached = request.detached();
  const Owner owner = OwnerOf(merged);
  HULL_ASSIGN(process->stdio, ProcessStdio::Create(io_, request.stdio(), owner.uid, owner.gid));
  HULL_TRY(WriteFile(file + ".json", json::serialize(merged)));
  return process;
}

void Containers::Executed(const ContainerPtr& container, const ProcessPtr& process,
                          const std::string& file, Status status, const UniqueFd& console,
                          const ExecReply& reply) {
  Result<pid_t> pid = 0;
  if (status) {
    pid = ReadPid(file + ".pid");
    if (!pid) status = Fail(pid.error());
  }
  if (status && process->stdio->terminal()) {
    Result<UniqueFd> master = ReceiveConsole(console);
    status = master ? process->stdio->SetTerminal(std::move(*master))
                    : Status(Fail(std::move(master).error()));
  }
  for (const char* suffix : {".pid", ".json", ".tty", ".log"}) ::unlink((file + suffix).c_str());
  if (!status) {
    container->execs.erase(process->id);
    return reply(Fail(std::move(status).error()));
  }
  process->pid = *pid;
  WatchProcess(container, process);
  v1::ExecResponse response;
  response.set_pid(static_cast<uint32_t>(*pid));
  reply(response);
}

}  // namespace hull::agent
