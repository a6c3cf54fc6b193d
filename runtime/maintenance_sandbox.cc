#include "runtime/maintenance_sandbox.h"

#include <unistd.h>

#include <utility>

#include "runtime/process_identity.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull {
namespace {

constexpr std::chrono::seconds kReadyDeadline{120};
constexpr std::chrono::milliseconds kShutdownGrace{0};
constexpr std::chrono::milliseconds kShutdownLimit{60'000};
constexpr uint64_t kMaxConfigBytes = 16ULL << 20;

}  // namespace

MaintenanceSandbox::~MaintenanceSandbox() {
  if (!sandbox_) return;
  if (const Status removed = sandbox_->Destroy(); !removed) {
    log::Warn("{}", removed.error().ToString());
  }
}

Result<std::unique_ptr<MaintenanceSandbox>> MaintenanceSandbox::Start(
    const Containers& containers, const ContainerRecord& record) {
  if (record.machine.storage.kind == StorageKind::kTmpfs) {
    return Fail(Error(ErrorCode::kUnavailable,
                      fmt::format("container {} is not running, and what it changed was in memory "
                                  "only (--storage tmpfs)",
                                  record.name)));
  }
  std::unique_ptr<MaintenanceSandbox> made(new MaintenanceSandbox(containers));
  if (Status booted = made->Boot(record); !booted) {
    return Fail(std::move(booted).error().Within("reach the files of the stopped container"));
  }
  return made;
}

Status MaintenanceSandbox::Boot(const ContainerRecord& record) {
  HULL_ASSIGN(RunDirectory run, containers_.LockRunDirectory(record.id));
  const std::string state_path = run.path + "/state.json";
  HULL_ASSIGN(const SandboxSpec spec, MakeSandboxSpec(containers_, record));
  HULL_ASSIGN(sandbox_, Sandbox::Launch(io_, containers_.layout(), spec, std::move(run)));
  // For whoever finds this program dead.
  SandboxState state;
  if (const auto self = IdentifyProcess(getpid())) state.supervisor = *self;
  if (const auto vmm = IdentifyProcess(sandbox_->vmm().pid())) state.vmm = *vmm;
  HULL_TRY(WriteFileAtomically(state_path, WriteSandboxState(state), 0600));
  HULL_TRY(sandbox_->WaitReady(kReadyDeadline));
  const auto connected = sandbox_->agent().Connect();
  if (!connected) return Fail(sandbox_->Explain(connected.error()));
  agent::v1::CreateRequest request;
  request.set_container_id(record.id);
  request.set_mount_only(true);
  *request.mutable_rootfs() = sandbox_->RootFilesystem();
  // It tells where mount points are; without it they show as changes.
  if (auto config = ReadFile(containers_.ConfigPath(record.id), kMaxConfigBytes)) {
    request.set_oci_config(std::move(*config));
  }
  const auto created = sandbox_->agent().Create(request);
  if (!created) return Fail(sandbox_->Explain(created.error()));
  return {};
}

Status MaintenanceSandbox::Finish() {
  Status stopped = sandbox_->agent().Shutdown(kShutdownGrace);
  // The answer may be lost with the machine.
  if (!stopped && stopped.error().code() == ErrorCode::kUnavailable) stopped = {};
  if (stopped && !sandbox_->WaitEnded(kShutdownLimit)) {
    stopped = Fail(ErrorCode::kTimedOut, "the virtual machine did not switch itself off");
  }
  Status removed = sandbox_->Destroy();
  sandbox_.reset();
  HULL_TRY_WITHIN("write the container's files to its disk", std::move(stopped));
  return removed;
}

}  // namespace hull
