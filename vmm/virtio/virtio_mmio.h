// VirtioMmio: the registers of one virtio-mmio device (virtio 1.2, 4.2) over a VirtioDevice.
//
// Threads: registers are read and written on vCPU threads under `mutex_`; the device is driven on
// the I/O loop. Activation is posted there and not waited for; a reset is waited for, since the
// driver may use its memory again as soon as the status register reads 0.
//
// Notifications and interrupts are eventfds: with KVM the machine registers them as ioeventfd and
// irqfd; without it (tests) a write to the register does the same, and the interrupt can be read.
#pragma once

#include <linux/virtio_mmio.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "vmm/base/log.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/bus/bus_device.h"
#include "vmm/event/event_loop.h"
#include "vmm/event/watch.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/virtio/counters.h"
#include "vmm/virtio/driver_signals.h"
#include "vmm/virtio/virtio_device.h"

namespace hull {

class VirtioMmio final : public BusDevice, private DriverSignals {
 public:
  // The stretch of addresses of one device.
  static constexpr uint64_t kSizeBytes = 0x1000;
  // A 4-byte write of the queue's index here notifies: the ioeventfd's place and datamatch.
  static constexpr uint64_t kNotifyOffset = VIRTIO_MMIO_QUEUE_NOTIFY;
  static constexpr uint32_t kNotifyBytes = 4;
  // How long a vCPU waits for a reset. After that the status register reads DEVICE_NEEDS_RESET
  // until the reset is done, and writes to it are ignored.
  static constexpr std::chrono::seconds kResetLimit{10};

  // All of them outlive the transport; the transport ends after `io_loop` has stopped or on its
  // thread.
  static Result<std::unique_ptr<VirtioMmio>> Create(VirtioDevice& device, const GuestMemory& memory,
                                                    EventLoop& io_loop);
  ~VirtioMmio() override;
  VirtioMmio(const VirtioMmio&) = delete;
  VirtioMmio& operator=(const VirtioMmio&) = delete;

  // For KVM_IOEVENTFD: one for each queue, datamatch the queue's index. Still owned here.
  uint16_t queue_count() const { return static_cast<uint16_t>(queues_.size()); }
  int notify_fd(QueueIndex queue) const;
  // For KVM_IRQFD, an edge-triggered line. Still owned here.
  int interrupt_fd() const { return interrupt_fd_.get(); }

  // vCPU threads.
  void Read(uint64_t offset, std::span<std::byte> data) override;
  void Write(uint64_t offset, std::span<const std::byte> data) override;

  // The transport's own and the device's. Any thread.
  CounterReadings Counters() const;
  VirtioDevice& device() const { return device_; }

 private:
  // One queue's registers and the eventfd behind its notifications.
  struct Queue {
    VirtQueueConfig config;
    UniqueFd notify_fd;
    std::unique_ptr<Watch> watch;  // I/O loop only; while active
  };
  using Lock = std::unique_lock<std::mutex>;

  VirtioMmio(VirtioDevice& device, const GuestMemory& memory, EventLoop& io_loop)
      : device_(device), memory_(memory), io_loop_(io_loop) {}

  // With mutex_ held. Those that are given the lock may let go of it meanwhile.
  uint32_t ReadRegister(uint64_t offset) const;
  uint32_t ReadQueueRegister(uint64_t offset) const;
  void WriteRegister(uint64_t offset, uint32_t value, Lock& lock);
  void WriteQueueRegister(uint64_t offset, uint32_t value);
  void WriteDriverFeatures(uint32_t value);
  void WriteStatus(uint32_t value, Lock& lock);
  void StartDevice(Lock& lock);
  void ResetDevice(Lock& lock);
  void ClearRegisters();
  void MarkBroken(const Error& why);
  uint64_t OfferedFeatures() const;
  void Notify(uint32_t queue) const;

  // I/O loop.
  void RunOnLoop(Task task);
  void Activate(VirtioDevice::Activation activation);
  Status WatchQueues();
  void StopWatching();
  void OnNotified(QueueIndex queue);
  void FinishReset();
  void UsedBuffers() override { Interrupt(VIRTIO_MMIO_INT_VRING); }
  void ConfigChanged() override;
  void NotifyAgain(QueueIndex queue) override { Notify(static_cast<uint32_t>(queue)); }
  void NeedsReset(const Error& why) override;

  // Any thread. `cause` is VIRTIO_MMIO_INT_*.
  void Interrupt(uint32_t cause);

  VirtioDevice& device_;
  const GuestMemory& memory_;
  EventLoop& io_loop_;
  UniqueFd interrupt_fd_;
  std::vector<Queue> queues_;

  mutable std::mutex mutex_;
  std::condition_variable reset_done_;
  uint32_t status_ = 0;
  bool started_ = false;    // the device was given queues, and has not answered a Reset since
  bool resetting_ = false;  // it was asked to reset
  uint32_t device_features_select_ = 0;
  uint32_t driver_features_select_ = 0;
  uint64_t driver_features_ = 0;
  uint32_t queue_select_ = 0;

  // Set on the I/O loop, read and cleared on vCPU threads.
  std::atomic<uint32_t> interrupt_status_ = 0;
  std::atomic<uint32_t> config_generation_ = 0;

  EventCounter notifications_;
  EventCounter interrupts_;
  EventCounter resets_;
  EventCounter faults_;
  log::RateLimit fault_log_limit_;
};

}  // namespace hull
