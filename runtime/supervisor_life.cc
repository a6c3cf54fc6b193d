#include "runtime/supervisor_life.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "runtime/container_lock.h"
#include "runtime/container_sweep.h"
#include "runtime/directory_files.h"
#include "runtime/events.h"
#include "runtime/exit_codes.h"
#include "runtime/host_files.h"
#include "runtime/passed_devices.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A guest that lives dials long before; one that died is noticed otherwise. Room for a very slow
// host.
constexpr seconds kReadyDeadline{120};
constexpr seconds kDrainAfterFailure{2};
constexpr milliseconds kShutdownGrace{1000};
constexpr milliseconds kShutdownLimit{30'000};
constexpr milliseconds kConsoleInterval{50};
constexpr int kListenBacklog = 32;
constexpr uint64_t kMaxConfigBytes = 16ULL << 20;
constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr std::string_view kSocketName = "supervisor.sock";

int ExitCodeOf(const Error& error) {
  if (error.code() == ErrorCode::kNotFound) return kExitNotFound;
  if (error.code() == ErrorCode::kPermissionDenied) return kExitCannotRun;
  return kExitHullFailed;
}

}  // namespace

SupervisorLife::SupervisorLife(const Containers& containers, std::string id, RunDirectory run,
                               UniqueFd client, const PhaseLog& phases)
    : containers_(containers),
      id_(std::move(id)),
      phases_(phases),
      io_(1),
      run_(std::move(run)),
      listener_(io_),
      termination_(io_),
      termination_timer_(io_),
      console_timer_(io_),
      faults_(io_) {
  Adopt(std::move(client));
}

int SupervisorLife::Run() {
  AwaitTermination();
  Status status = Launch();
  const bool launched = status.has_value();
  if (status) status = Boot();
  if (status) {
    const Result<ProcessExit> result = AwaitEnd();
    end_ = EndOf(result);
  } else {
    StopStreams();
    end_ = EndOf(sandbox_ ? sandbox_->Explain(std::move(status).error()) : status.error());
  }
  if (phases_.enabled() && launched) ShowConsole();
  console_timer_.cancel();
  faults_.Finish();
  if (const Status recorded = RecordEnd(*end_); !recorded) {
    log::Warn("the end is not recorded: {}", recorded.error().ToString());
  }
  if (launched && !record_.remove_at_exit) StopInOrder();
  if (sandbox_) sandbox_->End();
  Broadcast(ToJson(*end_));
  const Status cleaned = CleanUp();
  if (!cleaned) log::Error("{}", cleaned.error().ToString());
  return cleaned ? 0 : 1;
}

Status SupervisorLife::Launch() {
  HULL_ASSIGN(record_, containers_.LoadId(id_));
  HULL_TRY(Listen(run_->path, run_->fd.get()));
  // Until hull-vmm is known the supervisor alone is.
  HULL_ASSIGN(SandboxSpec spec, MakeSandboxSpec(containers_, record_));
  if (record_.devices.Any()) HULL_TRY(ClaimDevices(spec));
  Result<std::unique_ptr<Sandbox>> sandbox =
      Sandbox::Launch(io_, containers_.layout(), spec, *std::exchange(run_, std::nullopt));
  if (!sandbox) return Fail(std::move(sandbox).error());
  sandbox_ = std::move(*sandbox);
  phases_.Mark("started hull-vmm");
  if (phases_.enabled()) FollowConsole();
  RecordProcesses();
  return {};
}

Status SupervisorLife::ClaimDevices(SandboxSpec& spec) {
  spec.dma_pool_bytes = record_.devices.dma_pool_bytes;
  uint64_t pinned_bytes = spec.dma_pool_bytes;
  if (pinned_bytes == 0) {
    pinned_bytes = spec.memory_bytes;
    // pmem is mapped for devices, too: the guest's own root.
    struct stat root {};
    if (stat(containers_.layout().guest_root.c_str(), &root) == 0) {
      pinned_bytes += static_cast<uint64_t>(root.st_size);
    }
  }
  const devices::HostTree host = devices::HostTree::FromEnvironment();
  HULL_ASSIGN(ClaimedDevices claimed, hull::ClaimDevices(containers_, host, record_, pinned_bytes));
  record_ = std::move(claimed.record);
  grant_ = std::move(claimed.grant);
  WatchFaults(host);
  for (const PassedFunction& function : record_.passed) spec.passed.push_back(function.address);
  spec.pci_kernel = !spec.passed.empty();
  return grant_.mounts.empty() ? Status() : PackMounts(spec);
}

void SupervisorLife::WatchFaults(const devices::HostTree& host) {
  const Status watched = faults_.Start(
      host, record_.passed, [this](const std::vector<uint64_t>& counts) { OnFaults(counts); });
  if (!watched) {
    log::Info("refused transactions of devices are not counted: {}", watched.error().ToString());
    return;
  }
  for (PassedFunction& function : record_.passed) function.iommu_faults = 0;
}

// Told once to those who are attached; the record and the events have the number.
void SupervisorLife::OnFaults(const std::vector<uint64_t>& counts) {
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    PassedFunction& function = record_.passed[i];
    if (function.iommu_faults == 0) {
      Broadcast({{"event", "warning"},
                 {"message", fmt::format("device {}: the host's IOMMU refused transactions beyond "
                                         "the VM's memory; dmesg on the host names the addresses",
                                         function.address)}});
    }
    *function.iommu_faults += counts[i];
    RecordContainerEvent(containers_.layout(), record_, "iommu-fault",
                         {{"device", function.address}, {"count", std::to_string(counts[i])}});
  }
  const auto change = [this](ContainerRecord& record) -> Status {
    record.passed = record_.passed;
    return {};
  };
  if (const Result<ContainerRecord> changed = containers_.Change(id_, change); !changed) {
    log::Warn("refused transactions are not recorded: {}", changed.error().ToString());
  }
}

// Clients are heard meanwhile.
Status SupervisorLife::PackMounts(SandboxSpec& spec) {
  const auto tick = [this] {
    io_.poll();
    return !forced_exit_code_;
  };
  HULL_ASSIGN(LayerFile file, PackHostFiles(grant_.mounts, containers_.HostFilesPath(id_), tick));
  spec.attachments.push_back(std::move(file));
  return {};
}

Status SupervisorLife::Listen(const std::string& run_path, int run_fd) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/{}", run_fd, kSocketName);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_fd.valid()) return FailErrno("make a socket");
  const mode_t before = umask(0177);
  // SAFETY: bind takes every address as a sockaddr and looks at its family.
  const int bound =
      bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  umask(before);
  if (bound != 0 || listen(socket_fd.get(), kListenBacklog) != 0) {
    return FailErrno("listen on {}/{}", run_path, kSocketName);
  }
  listener_.assign(socket_fd.Release());
  AwaitClient();
  return {};
}

// While the guest boots.
void SupervisorLife::RecordProcesses() {
  SandboxState state;
  if (const Result<ProcessIdentity> self = IdentifyProcess(getpid())) state.supervisor = *self;
  if (const Result<ProcessIdentity> vmm = IdentifyProcess(sandbox_->vmm().pid())) state.vmm = *vmm;
  const std::string path = containers_.RunDirectoryPath(id_) + "/state.json";
  if (const Status written = WriteFileAtomically(path, WriteSandboxState(state), 0600); !written) {
    log::Warn("{}", written.error().ToString());
  }
  if (const Result<ContainerLock> lock = ContainerLock::Take(containers_, id_)) {
    lock->SetSpaceAside();
  }
}

Status SupervisorLife::Boot() {
  Result<ContainerLog> log = ContainerLog::Open(containers_.LogPath(id_), record_.log);
  if (!log) return Fail(std::move(log).error());
  log_ = std::move(*log);
  if (forced_exit_code_) return Fail(ErrorCode::kCancelled, "interrupted");
  sandbox_->OnPinning([this](const api::PinningProgress& progress) {
    Broadcast({{"event", "pinning"},
               {"done_bytes", progress.done_bytes},
               {"total_bytes", progress.total_bytes}});
  });
  const Status ready = sandbox_->WaitReady(kReadyDeadline);
  // The machine has it open.
  if (!grant_.mounts.empty()) unlink(containers_.HostFilesPath(id_).c_str());
  HULL_TRY(ready);
  phases_.Mark("agent ready");
  HULL_TRY(sandbox_->agent().Connect());
  HULL_TRY(CreateContainer());
  phases_.Mark("container created");
  HULL_TRY(OpenStreams());
  // What the first client has said is heard before anything runs.
  io_.poll();
  if (forced_exit_code_) return Fail(ErrorCode::kCancelled, "interrupted");
  HULL_TRY(StartContainer());
  phases_.Mark("container started");
  return {};
}

Status SupervisorLife::CreateContainer() {
  HULL_ASSIGN(std::string config, ReadFile(containers_.ConfigPath(id_), kMaxConfigBytes));
  HULL_ASSIGN(config, ApplyGrant(config, grant_, id_));
  agent::v1::CreateRequest request;
  request.set_container_id(id_);
  request.set_oci_config(std::move(config));
  *request.mutable_rootfs() = sandbox_->RootFilesystem();
  request.set_user(record_.process.user);
  for (const std::string& group : record_.process.additional_groups) {
    request.add_additional_groups(group);
  }
  agent::v1::Stdio* stdio = request.mutable_stdio();
  stdio->set_terminal(record_.process.terminal);
  stdio->set_stdin(record_.process.interactive);
  stdio->set_stdout(true);
  stdio->set_stderr(true);
  stdio->mutable_size()->set_columns(columns_);
  stdio->mutable_size()->set_rows(rows_);
  AddDevices(request);
  HULL_ASSIGN(const agent::v1::CreateResponse response, sandbox_->agent().Create(request));
  for (const std::string& warning : TakeReports(response, record_.passed)) {
    Broadcast({{"event", "warning"}, {"message", warning}});
  }
  return {};
}

void SupervisorLife::AddDevices(agent::v1::CreateRequest& request) const {
  for (const PassedFunction& function : record_.passed) {
    request.add_devices()->set_address(function.guest_address);
  }
  for (const std::string& module : record_.devices.modules) request.add_modules(module);
  for (const uint32_t gid : grant_.additional_gids) {
    request.add_additional_groups(std::to_string(gid));
  }
  for (const LayerDevice& file : sandbox_->attachments()) {
    agent::v1::Attachment* attachment = request.add_attachments();
    attachment->set_name(std::string(kHostFilesName));
    attachment->mutable_layer()->set_device(file.device);
    attachment->mutable_layer()->set_dax(file.dax);
  }
}

Status SupervisorLife::OpenStreams() {
  const auto open = [this](agent::v1::StreamOpen::Kind kind) -> Result<GuestStream> {
    HULL_ASSIGN(UniqueFd socket, sandbox_->OpenStream(id_, "", kind));
    return MakeGuestStream(io_, std::move(socket));
  };
  if (record_.process.terminal) {
    HULL_ASSIGN(const GuestStream terminal, open(agent::v1::StreamOpen::TERMINAL));
    output_ = std::make_shared<OutputRelay>(io_, terminal);
    input_ = std::make_shared<InputRelay>(io_, terminal, true);
  } else {
    if (record_.process.interactive) {
      HULL_ASSIGN(GuestStream input, open(agent::v1::StreamOpen::STDIN));
      input_ = std::make_shared<InputRelay>(io_, std::move(input), false);
    }
    HULL_ASSIGN(GuestStream output, open(agent::v1::StreamOpen::STDOUT));
    output_ = std::make_shared<OutputRelay>(io_, std::move(output));
    HULL_ASSIGN(GuestStream errors, open(agent::v1::StreamOpen::STDERR));
    errors_ = std::make_shared<OutputRelay>(io_, std::move(errors));
  }
  for (const auto& attach : std::exchange(attach_later_, {})) attach();
  return {};
}

Status SupervisorLife::StartContainer() {
  const auto relay = [this](OutputRelay& stream, LogStream kind) {
    stream.Start(
        [this, kind](std::string_view bytes) {
          const Status logged = log_->Append(kind, bytes);
          if (logged || std::exchange(log_failed_, true)) return;
          // What the process says reaches those who are attached all the same.
          Broadcast({{"event", "warning"}, {"message", logged.error().ToString()}});
        },
        [] {});
  };
  relay(*output_, LogStream::kStdout);
  if (errors_) relay(*errors_, LogStream::kStderr);
  // The wait goes out before the start, so that no end can be missed.
  sandbox_->agent().Wait(id_, [this](Result<ProcessExit> result) { exit_ = std::move(result); });
  HULL_TRY(sandbox_->agent().Start(id_));
  running_ = true;
  HULL_TRY(RecordStart());
  Broadcast({{"event", "started"}});
  // The terminal may have changed since it was asked for.
  if (record_.process.terminal && columns_ != 0) sandbox_->agent().Resize(id_, columns_, rows_);
  return {};
}

Status SupervisorLife::RecordStart() {
  const auto change = [passed = record_.passed](ContainerRecord& record) -> Status {
    record.passed = passed;
    ContainerState& state = record.state;
    state.status = ContainerStatus::kRunning;
    state.started_at_ns = NowNs();
    state.out_of_memory = false;
    state.error.clear();
    ++state.starts;
    return {};
  };
  HULL_ASSIGN(record_, containers_.Change(id_, change));
  RecordContainerEvent(containers_.layout(), record_, "start");
  return {};
}

Result<ProcessExit> SupervisorLife::AwaitEnd() {
  while (!forced_exit_code_ && !exit_) io_.run_one();
  // A process that has ended has closed its output. When the machine has ended instead, its streams
  // end with it; an agent that only broke its connection gets no more than a moment for them.
  if (!forced_exit_code_) DrainOutput(*exit_ ? std::nullopt : std::optional(kDrainAfterFailure));
  StopStreams();
  phases_.Mark("container ended");
  if (forced_exit_code_) return Fail(ErrorCode::kCancelled, "ended by force");
  if (!*exit_) {
    return Fail(sandbox_->Explain(std::move(*exit_).error()).Within("while the container ran"));
  }
  return *exit_;
}

void SupervisorLife::DrainOutput(std::optional<seconds> limit) {
  bool late = false;
  boost::asio::steady_timer timer(io_);
  if (limit) {
    timer.expires_after(*limit);
    timer.async_wait([&late](boost::system::error_code error) { late = !error; });
  }
  while (!forced_exit_code_ && !late && (!output_->done() || (errors_ && !errors_->done()))) {
    io_.run_one();
  }
  timer.cancel();
  // Let the cancelled timer's handler run before `late` is gone.
  io_.poll();
}

void SupervisorLife::StopStreams() {
  running_ = false;
  for (const auto& stream : {output_, errors_}) {
    if (stream) stream->Stop();
  }
  if (input_) input_->Stop();
  if (const Status flushed = log_ ? log_->Flush() : Status(); !flushed && !log_failed_) {
    log::Warn("{}", flushed.error().ToString());
  }
}

ContainerEnd SupervisorLife::EndOf(const Result<ProcessExit>& result) {
  if (!result) return EndOf(result.error());
  ContainerEnd end;
  end.started = true;
  end.exit_code = result->exit_code;
  end.out_of_memory = result->out_of_memory;
  return end;
}

ContainerEnd SupervisorLife::EndOf(const Error& error) {
  ContainerEnd end;
  end.started = record_.state.status == ContainerStatus::kRunning;
  if (forced_exit_code_) {
    end.exit_code = *forced_exit_code_;
    return end;
  }
  // Of a command that is not there only a container that never ran can be told, and only by a
  // guest: what is missing before there is one is hull's own.
  end.exit_code = end.started || !sandbox_ ? kExitHullFailed : ExitCodeOf(error);
  end.error = error.ToString();
  end.hint = error.hint();
  const bool died = error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kTimedOut;
  if (died && sandbox_) end.console = sandbox_->ConsoleTail();
  return end;
}

Status SupervisorLife::RecordEnd(const ContainerEnd& end) {
  const auto change = [&end](ContainerRecord& record) -> Status {
    ContainerState& state = record.state;
    // One that never ran stays what it was: created, or exited.
    if (end.started) state.status = ContainerStatus::kExited;
    state.finished_at_ns = NowNs();
    state.exit_code = end.exit_code;
    state.out_of_memory = end.out_of_memory;
    state.error = end.error;
    return {};
  };
  HULL_ASSIGN(record_, containers_.Change(id_, change));
  if (const Result<ContainerLock> lock = ContainerLock::Take(containers_, id_)) {
    lock->GiveSpaceBack();
  }
  if (!end.console.empty() && !record_.remove_at_exit) {
    HULL_TRY(WriteFileAtomically(containers_.ConsolePath(id_), end.console, 0600));
  }
  if (!end.started) return {};
  if (end.out_of_memory) RecordContainerEvent(containers_.layout(), record_, "oom");
  const int64_t ran_s = (record_.state.finished_at_ns - record_.state.started_at_ns) / kNsPerSecond;
  RecordContainerEvent(
      containers_.layout(), record_, "die",
      {{"execDuration", std::to_string(ran_s)}, {"exitCode", std::to_string(end.exit_code)}});
  return {};
}

// A kept container's disk is written back before its virtual machine ends.
void SupervisorLife::StopInOrder() {
  if (!end_->started || forced_exit_code_ || sandbox_->vmm().outcome()) return;
  if (sandbox_->agent().Shutdown(kShutdownGrace)) sandbox_->WaitEnded(kShutdownLimit);
}

Status SupervisorLife::CleanUp() {
  boost::system::error_code ignored;
  listener_.close(ignored);
  // Where the start came to nothing.
  if (!grant_.mounts.empty()) unlink(containers_.HostFilesPath(id_).c_str());
  Status removed;
  if (record_.remove_at_exit) removed = RemoveContainer(containers_, id_);
  if (!removed && removed.error().code() == ErrorCode::kNotFound) removed = {};
  // The run directory last: what shows that there is something to clear away.
  if (sandbox_) {
    HULL_TRY(sandbox_->Destroy());
    sandbox_.reset();
  } else if (run_) {
    HULL_TRY(RemoveFlatDirectory(run_->path));
    run_.reset();
  }
  return removed;
}

void SupervisorLife::FollowConsole() {
  console_timer_.expires_after(kConsoleInterval);
  console_timer_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    ShowConsole();
    FollowConsole();
  });
}

void SupervisorLife::ShowConsole() {
  const std::string text = sandbox_->ConsoleSince(console_shown_);
  console_shown_ += text.size();
  if (!text.empty()) phases_.Guest(text);
}

}  // namespace hull
