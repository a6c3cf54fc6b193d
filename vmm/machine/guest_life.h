// GuestLife: what is known of how the guest is doing, and the one answer to "how did it end".
//
// vCPU threads, the I/O loop and the control loop report; the first end that is reported counts.
// The answer is taken on the control loop.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "vmm/api/outcome.h"
#include "vmm/event/event_loop.h"
#include "vmm/event/timer.h"
#include "vmm/machine/system_control.h"

namespace hull {

class GuestLife final : public SystemEvents {
 public:
  // After a panic the guest goes on for a while: it prints its call trace, then resets itself. This
  // is how long it may take.
  static constexpr std::chrono::seconds kLastWordsLimit{1};

  // `on_end` runs once, on `control_loop`, after the end was reported. Made on the control loop's
  // thread, which also ends it, after all that report.
  GuestLife(EventLoop& control_loop, std::function<void()> on_end);

  // The VM is to end. Any thread; later reports are dropped.
  void End(api::Cause cause, std::string message);
  // Whether it is to end: vCPU threads look at this after each exit. Any thread.
  bool ending() const { return ending_.load(std::memory_order_acquire); }
  // What was reported, once ending(). Any thread. Without the console.
  api::Outcome outcome() const;

  // From the guest, on vCPU threads.
  void OnPowerOff() override;
  void OnReset() override;
  void OnPanic() override;
  void OnPanicDriverFound() override;

 private:
  bool panicked() const { return panicked_.load(std::memory_order_acquire); }

  EventLoop& control_loop_;
  std::function<void()> on_end_;
  Timer last_words_;
  std::atomic<bool> ending_ = false;
  std::atomic<bool> panicked_ = false;
  std::atomic<bool> drivers_found_ = false;
  mutable std::mutex mutex_;
  std::optional<api::Outcome> outcome_;  // under mutex_
};

}  // namespace hull
