// PassthroughDevices: the devices of the host's that a machine has, the PCI bus that they are on,
// and the address space that they reach. Made by the builder, in the order of the functions here;
// a machine without such devices has none of this.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/api/control.h"
#include "vmm/api/vm_config.h"
#include "vmm/base/result.h"
#include "vmm/boot/device_tree.h"
#include "vmm/bus/bus.h"
#include "vmm/event/event_loop.h"
#include "vmm/event/watch.h"
#include "vmm/kvm/vm.h"
#include "vmm/machine/guest_life.h"
#include "vmm/machine/memory_pinner.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/memory/host_mappings.h"
#include "vmm/pci/bar.h"
#include "vmm/pci/config_ports.h"
#include "vmm/pci/host_bridge.h"
#include "vmm/vfio/address_space.h"
#include "vmm/vfio/interrupts.h"
#include "vmm/vfio/passthrough.h"

namespace hull {

class PassthroughDevices {
 public:
  // What they are connected to; all of it outlives this.
  struct Surroundings {
    Vm& vm;
    Bus& mmio;
    Bus& ports;
    GuestLife& life;
    EventLoop& loop;  // where the devices' complaints are heard
    // The next free interrupt line of the machine; nullopt when there is none.
    std::function<std::optional<InterruptLine>()> next_line;
  };

  // Opens the devices; `configs` is not empty. `reset_port` is handed what is not the PCI bus's of
  // its ports.
  static Result<std::unique_ptr<PassthroughDevices>> Open(
      const std::vector<api::VfioConfig>& configs, BusDevice& reset_port);
  ~PassthroughDevices();

  // Decides where their regions are.
  Status Place(const pci::Windows& windows);
  Status Connect(const Surroundings& surroundings);
  // The devices are to reach `pool` and not all memory. Before what follows.
  void LimitTo(const GuestRange& pool);
  // Whether what they reach of the guest's memory can be pinned, as far as can be told.
  Status CheckRoom(const GuestMemory& memory) const;
  // Pins that, on threads of its own, and lets the devices reach it at its own addresses.
  // `events` come from there, and none after Stop. `memory` outlives this. Called once.
  void StartPinning(const GuestMemory& memory, MemoryPinner::Events events);
  // After Place and Connect.
  const DeviceTreePci& tree() const { return tree_; }

  // No device reaches memory any more, and no more of it is pinned. With all vCPUs stopped.
  void Stop();

  std::vector<api::CounterGroup> Counters() const;

 private:
  class VmInterrupts;
  struct Member {
    std::string id;
    int kvm_file;
    std::unique_ptr<vfio::GuestInterrupts> interrupts;
    std::unique_ptr<vfio::Passthrough> function;
    std::vector<std::unique_ptr<Watch>> watches;
  };

  explicit PassthroughDevices(BusDevice& reset_port) : config_ports_(reset_port) {}

  std::vector<HostMappings::Mapping> Reachable(const GuestMemory& memory) const;
  Status Pin(const std::vector<HostMappings::Mapping>& mappings, const GuestRange& range);
  Status OpenOne(const api::VfioConfig& config);
  Status ConnectOne(Member& member, uint32_t slot, const Surroundings& surroundings);
  Status WatchEvents(Member& member, const Surroundings& surroundings);

  std::unique_ptr<vfio::AddressSpace> space_;
  pci::HostBridge host_bridge_;
  pci::ConfigPorts config_ports_;
  DeviceTreePci tree_;
  std::vector<Member> members_;
  std::unique_ptr<MemoryPinner> pinner_;  // null: not started, or stopped
};

}  // namespace hull
