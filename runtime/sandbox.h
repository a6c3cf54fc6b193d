// One sandbox: a virtual machine with hull-agent in it, its run directory and its devices. Made,
// used and ended by whoever holds its run directory: its supervisor. Lives on the loop of its
// io_context.
//
// States: launched (the guest boots) -> ready (the agent has dialled) -> ended (the VM is gone,
// outcome known).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "runtime/agent_client.h"
#include "runtime/container_record.h"
#include "runtime/containers.h"
#include "runtime/device_layout.h"
#include "runtime/scratch_disk.h"
#include "runtime/vmm_process.h"
#include "vmm/base/result.h"

namespace hull {

struct SandboxSpec {
  std::string id;
  std::string name;  // for people: shows in hull-vmm's configuration
  uint32_t cpus = 1;
  uint64_t memory_bytes = 0;
  std::vector<LayerFile> layers;
  // Read-only file systems that are not the container's root.
  std::vector<LayerFile> attachments;
  StorageOptions storage;
  // Of the writable layer, if it is on a disk; made if it is not there.
  std::string scratch_path;
  ScratchKind scratch = ScratchKind::kThrowaway;
  LayerTransport layer_transport = LayerTransport::kAutomatic;
  // PCI devices of the host's, bound to vfio-pci ("0000:01:00.0"). All of the machine's memory is
  // pinned then, or a pool of so many bytes.
  std::vector<std::string> passed;
  uint64_t dma_pool_bytes = 0;
  // The kernel that has drivers for PCI devices and loads modules.
  bool pci_kernel = false;
  // The guest's kernel talks, and hull-vmm's errors go to this process's standard error.
  bool debug = false;
};

// What a container's record asks for. kNotFound: a layer is not in the store any more.
Result<SandboxSpec> MakeSandboxSpec(const Containers& containers, const ContainerRecord& record);

class Sandbox {
 public:
  // Makes disk and configuration and starts hull-vmm, in the run directory `run`, which it takes
  // over. On an error the run directory is removed.
  static Result<std::unique_ptr<Sandbox>> Launch(boost::asio::io_context& io,
                                                 const HostLayout& layout, const SandboxSpec& spec,
                                                 RunDirectory run);

  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  // Ends the VM; leaves the run directory (Destroy removes it).
  ~Sandbox();

  // Called while the machine's memory is being pinned, in WaitReady.
  void OnPinning(std::function<void(const api::PinningProgress&)> handler) {
    on_pinning_ = std::move(handler);
  }
  // Runs the io_context until the agent has dialled. Otherwise: kUnavailable, the VM ended first;
  // kTimedOut: `deadline` after the last that was heard of its start; kCancelled, see Cancel(). The
  // Error tells the VM's end.
  Status WaitReady(std::chrono::seconds deadline);
  // Makes WaitReady return (from a handler of the loop).
  void Cancel() { cancelled_ = true; }

  // After WaitReady.
  AgentClient& agent() { return *agent_; }
  // A path in the run directory for bind() and connect(), short however deep the directory is. Good
  // in this process while this object lives.
  std::string SocketPath(std::string_view name) const;
  VmmProcess& vmm() { return *vmm_; }

  // For the agent's Create.
  agent::v1::RootFilesystem RootFilesystem() const;
  // SandboxSpec::attachments, in that order.
  std::vector<LayerDevice> attachments() const { return devices_.attachments; }

  // A stream of a process, opened on the agent's stream port; blocking socket.
  Result<UniqueFd> OpenStream(const std::string& container_id, const std::string& exec_id,
                              agent::v1::StreamOpen::Kind kind) const;

  // `failed` was the error of a call to the guest. When the VM has ended (it is given a moment to),
  // that is the better explanation and is returned instead.
  Error Explain(Error failed);
  // The guest's last console lines, made fit for a terminal; empty when it said nothing.
  std::string ConsoleTail() const;
  // Console text of the guest from byte `offset` on, as it came.
  std::string ConsoleSince(uint64_t offset) const;

  // Runs the io_context until the VM has ended, at most `limit`; false when it has not.
  bool WaitEnded(std::chrono::milliseconds limit);

  // Ends the VM, at once and unflushed, if it still runs.
  void End();
  // End, and the run directory is removed. It stays locked while this object lives.
  Status Destroy();

 private:
  Sandbox(boost::asio::io_context& io, RunDirectory run);

  Status Prepare(const HostLayout& layout, const SandboxSpec& spec);
  void Accept();

  boost::asio::io_context& io_;
  RunDirectory run_;
  DeviceLayout devices_;
  StorageOptions storage_;
  std::unique_ptr<VmmProcess> vmm_;
  boost::asio::posix::stream_descriptor ready_listener_;
  UniqueFd ready_connection_;
  std::unique_ptr<AgentClient> agent_;
  std::function<void(const api::PinningProgress&)> on_pinning_;
  bool cancelled_ = false;
};

}  // namespace hull
