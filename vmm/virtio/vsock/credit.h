// Flow control of one connection (virtio 1.2, 5.10.6.3): each side says how much it can hold
// (buf_alloc) and how much it has taken out so far (fwd_cnt); the other never has more in flight.
// Counters are 32 bits wide and wrap.
#pragma once

#include <cstdint>

#include "vmm/base/check.h"

namespace hull::vsock {

// What the guest can still take from us.
class GuestCredit {
 public:
  // Takes over what a packet of the guest says. False if the guest claims to have received what was
  // never sent: its numbers are not credible.
  [[nodiscard]] bool Update(uint32_t buf_alloc, uint32_t fwd_cnt) {
    const uint32_t newly_forwarded = fwd_cnt - forwarded_;
    // Linux fills headers on several CPUs at once, so one may be overtaken by a newer one. Going
    // back is therefore stale, not a lie.
    const bool stale = newly_forwarded > kHalfRange;
    if (!stale && newly_forwarded > in_flight()) return false;
    if (!stale) forwarded_ = fwd_cnt;
    buf_alloc_ = buf_alloc;
    return true;
  }

  // Bytes that may be sent now. The guest may shrink its buffer below what is in flight.
  uint32_t free_bytes() const { return buf_alloc_ > in_flight() ? buf_alloc_ - in_flight() : 0; }

  void OnSent(uint32_t bytes) {
    HULL_CHECK(bytes <= free_bytes());
    sent_ += bytes;
  }

 private:
  static constexpr uint32_t kHalfRange = 1U << 31U;
  uint32_t in_flight() const { return sent_ - forwarded_; }

  uint32_t buf_alloc_ = 0;
  uint32_t forwarded_ = 0;
  uint32_t sent_ = 0;
};

// What we let the guest send: a promise to hold `buf_alloc` bytes.
class HostCredit {
 public:
  explicit HostCredit(uint32_t buf_alloc) : buf_alloc_(buf_alloc) {}

  uint32_t buf_alloc() const { return buf_alloc_; }
  // The free-running counter for the next header. Saying it makes the guest know of it.
  uint32_t Announce() {
    announced_ = forwarded_;
    return forwarded_;
  }

  // Takes in `bytes` from the guest; false if it had no credit for them.
  [[nodiscard]] bool OnReceived(uint32_t bytes) {
    if (bytes > buf_alloc_ - held()) return false;
    received_ += bytes;
    return true;
  }
  // `bytes` of what was received have reached the host's socket.
  void OnForwarded(uint32_t bytes) {
    HULL_CHECK(bytes <= held());
    forwarded_ += bytes;
  }
  // Received and not yet forwarded.
  uint32_t held() const { return received_ - forwarded_; }

  // True when the guest believes that half of the buffer or more is in use which is free: time to
  // tell it. Earlier would cost it an interrupt for little, later would make it wait.
  bool update_due() const { return forwarded_ - announced_ >= buf_alloc_ / 2; }

 private:
  uint32_t buf_alloc_;
  uint32_t received_ = 0;
  uint32_t forwarded_ = 0;
  uint32_t announced_ = 0;
};

}  // namespace hull::vsock
