// VcpuThread: the thread that runs one vCPU and carries its accesses to the buses.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>

#include "vmm/api/control.h"
#include "vmm/base/result.h"
#include "vmm/bus/bus.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/machine/guest_life.h"

namespace hull {

class VcpuThread {
 public:
  // Both outlive the thread.
  struct Buses {
    const Bus& mmio;
    const Bus& ports;
  };

  VcpuThread(Vcpu vcpu, uint32_t number, Buses buses, GuestLife& life);
  // Stops it, if it runs.
  ~VcpuThread();
  VcpuThread(const VcpuThread&) = delete;
  VcpuThread& operator=(const VcpuThread&) = delete;

  // The vCPU, until Start: for setting it up.
  Vcpu& vcpu() { return vcpu_; }

  void Start();
  // Asks the thread to leave the guest for good; does not wait. After Start.
  void RequestStop();
  void Join();

  // Exits to user space by kind, and accesses that no device answered. Any thread.
  api::CounterGroup Counters() const;

 private:
  void Run();
  // Handles one exit; false when the guest cannot go on.
  bool Handle(const VcpuExit& exit);
  bool ReportEnd(const VcpuExit& exit);

  Vcpu vcpu_;
  const uint32_t number_;
  const Buses buses_;
  GuestLife& life_;
  std::array<std::atomic<uint64_t>, kExitKinds> exits_ = {};
  std::atomic<uint64_t> unanswered_ = 0;
  std::thread thread_;
};

}  // namespace hull
