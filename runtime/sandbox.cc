#include "runtime/sandbox.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>

#include "guest-agent/protocol/agent_service.h"
#include "guest-agent/protocol/stream_frame.h"
#include "runtime/directory_files.h"
#include "runtime/guest_socket.h"
#include "vmm/api/vm_config.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Names in the run directory, which is hull-vmm's working directory.
constexpr std::string_view kConfigName = "vm.json";
constexpr std::string_view kVsockName = "vsock.sock";
constexpr std::string_view kControlName = "control.sock";
constexpr std::string_view kConsoleName = "console.log";
constexpr std::string_view kLogName = "hull-vmm.log";
// Of the hybrid convention: every guest may have the same, since each has its own socket.
constexpr uint64_t kGuestCid = 3;
constexpr int kConnectTimeoutMs = 60'000;
constexpr uint64_t kMaxConsoleBytes = 4ULL << 20;
constexpr size_t kTailLines = 20;
// How long a VM has to be seen ended after its connection broke.
constexpr milliseconds kEndNotice{3000};

const std::string& KernelOf(const HostLayout& layout, const SandboxSpec& spec) {
  return spec.pci_kernel ? layout.pci_kernel : layout.kernel;
}

bool PinsAllMemory(const SandboxSpec& spec) {
  return !spec.passed.empty() && spec.dma_pool_bytes == 0;
}

std::string KernelCommandLine(const SandboxSpec& spec) {
  // DAX: the guest's root is read in place, from pages that all VMs share. The rest makes boot
  // leave memory alone; kernel-config/README.md has what each word is worth.
  std::string line =
      "root=/dev/pmem0 rootfstype=erofs rootflags=dax=always ro rootwait=5 "
      "noreplace-smp percpu_alloc=page tsc=reliable rcupdate.rcu_expedited=1";
  // Above 4 GiB of memory Linux sets 64 MiB aside for devices that cannot reach so far. Real ones
  // may be such.
  if (!PinsAllMemory(spec)) line += " swiotlb=noforce";
  if (!spec.debug) line += " quiet";
  return line;
}

// Where it is for hull to say, pmem is left to machines that do not pin all memory: its pages would
// be pinned with the rest.
LayerTransport TransportOf(const SandboxSpec& spec) {
  const bool is_open = spec.layer_transport == LayerTransport::kAutomatic;
  return is_open && PinsAllMemory(spec) ? LayerTransport::kBlock : spec.layer_transport;
}

api::VmConfig MakeVmConfig(const HostLayout& layout, const SandboxSpec& spec,
                           const DeviceLayout& devices) {
  api::VmConfig config;
  config.name = spec.name;
  config.cpus = spec.cpus;
  config.memory_bytes = spec.memory_bytes;
  config.kernel.path = KernelOf(layout, spec);
  config.kernel.command_line = KernelCommandLine(spec);
  config.pmem = devices.pmem;
  config.block = devices.block;
  // Pages that a device may write to cannot be given back.
  config.free_page_reporting = !PinsAllMemory(spec);
  if (!spec.passed.empty()) config.dma_pool_bytes = spec.dma_pool_bytes;
  for (const std::string& address : spec.passed) {
    config.vfio.push_back({fmt::format("pci{}", config.vfio.size()), address});
  }
  api::VsockConfig vsock;
  vsock.cid = kGuestCid;
  vsock.path = std::string(kVsockName);
  vsock.power_button_port = agent::kPowerButtonPort;
  config.vsock = std::move(vsock);
  config.console.log = std::string(kConsoleName);
  config.control = api::ControlConfig{std::string(kControlName)};
  return config;
}

Status CheckFiles(const HostLayout& layout, const SandboxSpec& spec) {
  struct Needed {
    const std::string& path;
    const char* what;
    const char* script;
    const char* variable;
  };
  const Needed kernel =
      spec.pci_kernel ? Needed{layout.pci_kernel, "guest kernel for passed-through devices",
                               "scripts/build-kernel --profile pci", "HULL_KERNEL"}
                      : Needed{layout.kernel, "guest kernel", "scripts/quickstart", "HULL_KERNEL"};
  for (const Needed& file :
       {kernel, Needed{layout.guest_root, "guest root", "scripts/quickstart", "HULL_GUEST_ROOT"}}) {
    if (access(file.path.c_str(), R_OK) == 0) continue;
    return Fail(Error::FromErrno(errno, fmt::format("the {} {}", file.what, file.path))
                    .WithHint(fmt::format("build it with {}, or name it by {}", file.script,
                                          file.variable)));
  }
  return {};
}

// What the VM's end means to the user, in one line.
Error EndError(const api::Outcome& outcome) {
  const auto say = [&](std::string_view what) {
    return outcome.message.empty() ? std::string(what)
                                   : fmt::format("{}: {}", what, EscapeControl(outcome.message));
  };
  switch (outcome.cause) {
    case api::Cause::kPowerOff:
    case api::Cause::kReset:
      return {ErrorCode::kUnavailable, "the virtual machine switched itself off"};
    case api::Cause::kKilled:
      return {ErrorCode::kUnavailable, say("the virtual machine was killed")};
    case api::Cause::kPanic:
      return {ErrorCode::kUnavailable, say("the guest's kernel panicked")};
    case api::Cause::kCrash:
      return {ErrorCode::kUnavailable, say("the guest crashed")};
    case api::Cause::kError:
      return {ErrorCode::kUnavailable, say("the virtual machine failed")};
    case api::Cause::kStart:
      break;
  }
  return Error(ErrorCode::kUnavailable, say("the virtual machine could not start"))
      .WithHint("hull check tells what this host lacks");
}

}  // namespace

Result<SandboxSpec> MakeSandboxSpec(const Containers& containers, const ContainerRecord& record) {
  SandboxSpec spec;
  spec.id = record.id;
  spec.name = record.name;
  spec.cpus = record.machine.cpus;
  spec.memory_bytes = record.machine.memory_bytes;
  spec.storage = record.machine.storage;
  spec.scratch_path = containers.ScratchPath(record.id);
  spec.scratch = record.remove_at_exit ? ScratchKind::kThrowaway : ScratchKind::kKept;
  spec.layer_transport = record.machine.layer_transport;
  spec.debug = record.machine.debug;
  for (const std::string& file : record.machine.layer_files) {
    std::string path = containers.LayerPath(file);
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return FailErrno("the image's layer {}", path);
    spec.layers.push_back({file, std::move(path), static_cast<uint64_t>(status.st_size)});
  }
  return spec;
}

Sandbox::Sandbox(boost::asio::io_context& io, RunDirectory run)
    : io_(io), run_(std::move(run)), ready_listener_(io) {}

Sandbox::~Sandbox() = default;

std::string Sandbox::SocketPath(std::string_view name) const {
  return fmt::format("/proc/self/fd/{}/{}", run_.fd.get(), name);
}

Result<std::unique_ptr<Sandbox>> Sandbox::Launch(boost::asio::io_context& io,
                                                 const HostLayout& layout, const SandboxSpec& spec,
                                                 RunDirectory run) {
  std::unique_ptr<Sandbox> sandbox(new Sandbox(io, std::move(run)));
  Status status = CheckFiles(layout, spec);
  if (status) status = sandbox->Prepare(layout, spec);
  if (!status) {
    // The first error is the one to tell.
    static_cast<void>(sandbox->Destroy());
    return Fail(std::move(status).error());
  }
  return sandbox;
}

Status Sandbox::Prepare(const HostLayout& layout, const SandboxSpec& spec) {
  storage_ = spec.storage;
  std::string scratch_path;
  if (spec.storage.kind == StorageKind::kDisk) {
    scratch_path = spec.scratch_path;
    const uint64_t size =
        spec.storage.size_bytes != 0 ? spec.storage.size_bytes : kDefaultScratchBytes;
    if (access(scratch_path.c_str(), F_OK) != 0) {
      // By rename, so that a killed start leaves no half of a disk to the next.
      const std::string beside = scratch_path + ".new";
      unlink(beside.c_str());
      Status made = MakeScratchDisk(layout, beside, size, spec.scratch);
      if (made && rename(beside.c_str(), scratch_path.c_str()) != 0) {
        made = FailErrno("rename {}", beside);
      }
      if (!made) {
        unlink(beside.c_str());
        return made;
      }
    }
  }
  HULL_ASSIGN(devices_, MakeDeviceLayout(layout.guest_root, spec.layers, scratch_path,
                                         spec.memory_bytes, TransportOf(spec), spec.attachments));
  HULL_ASSIGN(UniqueFd listener, ListenForGuest(SocketPath(kVsockName), agent::kAgentPort));
  ready_listener_.assign(listener.Release());
  Accept();

  const std::string config_path = fmt::format("{}/{}", run_.path, kConfigName);
  HULL_ASSIGN(const UniqueFd config, OpenFile(config_path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  HULL_TRY_WITHIN("write the VM configuration",
                  WriteAll(config.get(), api::WriteVmConfig(MakeVmConfig(layout, spec, devices_))));
  VmmOptions options;
  options.program = layout.vmm_program;
  options.config_file = std::string(kConfigName);
  options.log_file = std::string(kLogName);
  options.run_fd = run_.fd.get();
  options.inherit_stderr = spec.debug;
  HULL_ASSIGN(vmm_, VmmProcess::Start(io_, options));
  return {};
}

void Sandbox::Accept() {
  ready_listener_.async_wait(
      boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
        if (error) return;
        ready_connection_.Reset(
            accept4(ready_listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
      });
}

Status Sandbox::WaitReady(seconds deadline) {
  bool late = false;
  boost::asio::steady_timer timer(io_);
  const auto wait = [&] {
    timer.expires_after(deadline);
    timer.async_wait([&late](boost::system::error_code error) { late = !error; });
  };
  wait();
  // Much memory takes its time: as long as it goes on, nobody is late.
  vmm_->OnPinning([&](const api::PinningProgress& progress) {
    wait();
    if (on_pinning_) on_pinning_(progress);
  });
  while (!ready_connection_.valid() && !vmm_->outcome() && !cancelled_ && !late) io_.run_one();
  vmm_->OnPinning({});
  timer.cancel();
  // Let the cancelled timer's handler run before `late` is gone.
  io_.poll();
  if (ready_connection_.valid()) {
    boost::system::error_code ignored;
    ready_listener_.close(ignored);
    HULL_ASSIGN(agent_, AgentClient::Adopt(io_, std::move(ready_connection_)));
    return {};
  }
  if (vmm_->outcome()) return Fail(EndError(*vmm_->outcome()).Within("start the virtual machine"));
  if (cancelled_) return Fail(ErrorCode::kCancelled, "interrupted");
  return Fail(Error(ErrorCode::kTimedOut,
                    fmt::format("the guest's agent did not report within {} s", deadline.count()))
                  .WithHint("--debug shows what the guest does"));
}

agent::v1::RootFilesystem Sandbox::RootFilesystem() const {
  agent::v1::RootFilesystem root;
  for (const LayerDevice& layer : devices_.layers) {
    agent::v1::Layer* entry = root.add_layers();
    entry->set_device(layer.device);
    entry->set_dax(layer.dax);
  }
  if (devices_.scratch_device.empty()) {
    root.mutable_tmpfs()->set_size_bytes(storage_.size_bytes);
  } else {
    root.mutable_disk()->set_device(devices_.scratch_device);
  }
  return root;
}

Result<UniqueFd> Sandbox::OpenStream(const std::string& container_id, const std::string& exec_id,
                                     agent::v1::StreamOpen::Kind kind) const {
  HULL_ASSIGN(UniqueFd socket,
              ConnectToGuest(SocketPath(kVsockName), agent::kStreamPort, kConnectTimeoutMs));
  agent::v1::StreamOpen open;
  open.set_container_id(container_id);
  open.set_exec_id(exec_id);
  open.set_kind(kind);
  HULL_TRY(agent::SendStreamFrame(socket.get(), open));
  agent::v1::StreamOpened opened;
  HULL_TRY(agent::ReceiveStreamFrame(socket.get(), opened));
  if (!opened.error().empty()) {
    return Fail(ErrorCode::kFailed, "the agent opens no stream: {}", EscapeControl(opened.error()));
  }
  return socket;
}

bool Sandbox::WaitEnded(milliseconds limit) {
  bool late = false;
  boost::asio::steady_timer timer(io_, limit);
  timer.async_wait([&late](boost::system::error_code error) { late = !error; });
  while (!vmm_->outcome() && !late) io_.run_one();
  timer.cancel();
  io_.poll();
  return vmm_->outcome().has_value();
}

Error Sandbox::Explain(Error failed) {
  if (failed.code() != ErrorCode::kUnavailable && failed.code() != ErrorCode::kCorrupt)
    return failed;
  if (!WaitEnded(kEndNotice)) return failed;
  return EndError(*vmm_->outcome());
}

std::string Sandbox::ConsoleSince(uint64_t offset) const {
  const std::string path = SocketPath(kConsoleName);
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  if (!fd.valid()) return text;
  text.resize(kMaxConsoleBytes);
  const ssize_t got = pread(fd.get(), text.data(), text.size(), static_cast<off_t>(offset));
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return text;
}

std::string Sandbox::ConsoleTail() const {
  std::string text;
  if (vmm_ && vmm_->outcome()) text = vmm_->outcome()->console;
  if (text.empty()) text = ConsoleSince(0);
  std::string tail;
  size_t lines = 0;
  std::string_view rest(text);
  while (rest.ends_with('\n') || rest.ends_with('\r')) rest.remove_suffix(1);
  while (!rest.empty() && lines < kTailLines) {
    const size_t begin = rest.rfind('\n') == std::string_view::npos ? 0 : rest.rfind('\n') + 1;
    std::string_view line = rest.substr(begin);
    while (line.ends_with('\r')) line.remove_suffix(1);
    tail.insert(0, EscapeControl(line) + "\n");
    rest = rest.substr(0, begin == 0 ? 0 : begin - 1);
    ++lines;
  }
  return tail;
}

void Sandbox::End() {
  agent_.reset();
  if (vmm_) vmm_->KillNow();
}

Status Sandbox::Destroy() {
  End();
  return RemoveFlatDirectory(run_.path);
}

}  // namespace hull
