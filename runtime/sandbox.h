// One sandbox: a virtual machine with hull-agent in it, its directories and its devices. Made, used
// and ended by its supervisor (now: the `hull run` in the foreground). Lives on the loop of its
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
#include "runtime/device_layout.h"
#include "runtime/host_layout.h"
#include "runtime/sandbox_directory.h"
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
  StorageOptions storage;
  ScratchKind scratch = ScratchKind::kThrowaway;
  LayerTransport layer_transport = LayerTransport::kAutomatic;
  // The guest's kernel talks, and hull-vmm's errors go to this process's standard error.
  bool debug = false;
};

class Sandbox {
 public:
  // Makes directories, disk and configuration and starts hull-vmm. On an error nothing is left.
  static Result<std::unique_ptr<Sandbox>> Launch(boost::asio::io_context& io,
                                                 const HostLayout& layout, const SandboxSpec& spec);

  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  // Ends the VM; leaves the directories (Destroy removes them).
  ~Sandbox();

  // Runs the io_context until the agent has dialled. Otherwise: kUnavailable, the VM ended first;
  // kTimedOut; kCancelled, see Cancel(). The Error tells the VM's end.
  Status WaitReady(std::chrono::seconds deadline);
  // Makes WaitReady return (from a handler of the loop).
  void Cancel() { cancelled_ = true; }

  // After WaitReady.
  AgentClient& agent() { return *agent_; }
  const SandboxDirectory& directory() const { return directory_; }
  VmmProcess& vmm() { return *vmm_; }

  // For the agent's Create.
  agent::v1::RootFilesystem RootFilesystem() const;

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

  // Ends the VM (at once, unflushed, if it still runs) and removes the directories.
  Status Destroy(SandboxDirectory::Keep keep);

 private:
  Sandbox(boost::asio::io_context& io, SandboxDirectory directory);

  Status Prepare(const HostLayout& layout, const SandboxSpec& spec);
  void Accept();

  boost::asio::io_context& io_;
  SandboxDirectory directory_;
  DeviceLayout devices_;
  StorageOptions storage_;
  std::unique_ptr<VmmProcess> vmm_;
  boost::asio::posix::stream_descriptor ready_listener_;
  UniqueFd ready_connection_;
  std::unique_ptr<AgentClient> agent_;
  bool cancelled_ = false;
};

}  // namespace hull
