// Machine: one virtual machine with all that belongs to it. The one place where everything meets.
//
// Built, started, stopped and ended on the control loop's thread (builder.cc says how it is built).
// Its devices live on the I/O loop, its vCPUs on threads of their own. Members are declared in the
// order in which they are made: what is used stands before what uses it, and goes after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/api/control.h"
#include "vmm/api/vm_config.h"
#include "vmm/base/result.h"
#include "vmm/bus/bus.h"
#include "vmm/kvm/vm.h"
#include "vmm/machine/console_log.h"
#include "vmm/machine/debug_port.h"
#include "vmm/machine/guest_life.h"
#include "vmm/machine/io_thread.h"
#include "vmm/machine/passthrough_devices.h"
#include "vmm/machine/system_control.h"
#include "vmm/machine/vcpu_thread.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/virtio/block/disk_engine.h"
#include "vmm/virtio/console/console.h"
#include "vmm/virtio/virtio_mmio.h"
#include "vmm/virtio/vsock/vsock.h"

namespace hull {

class Machine {
 public:
  // Opens everything that the configuration names and makes the VM; nothing runs yet. `life`
  // outlives the machine. Errors say which part could not be made.
  static Result<std::unique_ptr<Machine>> Build(const api::VmConfig& config, GuestLife& life);
  // Stops it first, if it runs.
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // What is heard of a start, on the control loop.
  struct StartEvents {
    // Only while memory is pinned for devices.
    std::function<void(const api::PinningProgress&)> on_pinning;
    // The first vCPU is about to run.
    std::function<void()> on_started;
  };
  // Starts the devices and, once all memory is pinned that devices need, the vCPUs: at once without
  // devices. If that fails, it reports the end. Called once, on `control_loop`'s thread.
  void Start(EventLoop& control_loop, StartEvents events);
  // Ends the vCPU threads, lets the devices do what the guest asked for last, ends the I/O thread.
  void Stop();

  // The last `count` lines of the guest's console.
  std::string ConsoleLines(size_t count) const;
  api::Counters Counters() const;

  // Whether the configuration names a port for the power button.
  bool has_power_button() const;
  // Presses it; `answered` runs on the I/O loop, with success once the guest has noticed. Only
  // while it runs and has one.
  void PressPowerButton(std::function<void(Status)> answered);

 private:
  friend class MachineBuilder;
  explicit Machine(GuestLife& life);

  void StartVcpus(const StartEvents& events);

  GuestLife& life_;
  std::unique_ptr<IoThread> io_;
  GuestMemory memory_;
  std::optional<Vm> vm_;

  std::unique_ptr<ConsoleLog> console_log_;  // null: none is kept
  std::unique_ptr<block::DiskEngine> disk_engine_;
  std::vector<std::unique_ptr<VirtioDevice>> devices_;
  Console* console_ = nullptr;  // one of devices_
  Vsock* vsock_ = nullptr;      // one of devices_, or null
  std::optional<uint32_t> power_button_port_;
  std::vector<std::unique_ptr<VirtioMmio>> transports_;

  SystemControlPage system_control_;
  ResetPort reset_port_;
  KeyboardPort keyboard_port_;
  std::unique_ptr<DebugPort> debug_port_;  // null: not asked for

  Bus mmio_;
  Bus ports_;
  // Below the buses' devices and the VM, above the vCPUs: stops when these have. Null: none.
  std::unique_ptr<PassthroughDevices> passthrough_;
  std::vector<std::unique_ptr<VcpuThread>> vcpus_;
};

}  // namespace hull
