// Gate: counts operations in flight, and tells when the last one has ended.
//
// Lives on one loop; not for several threads. A device lets each operation through with Enter(),
// keeps the Pass until it is over, and on reset closes the gate: nothing enters any more, and
// `on_empty` runs when the last Pass goes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "vmm/base/check.h"

namespace hull {

class Gate {
 public:
  // One operation in flight. Must not outlive its gate.
  class Pass {
   public:
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&& other) noexcept {
      if (this != &other) {
        Leave();
        gate_ = std::exchange(other.gate_, nullptr);
      }
      return *this;
    }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass() { Leave(); }

   private:
    friend class Gate;
    explicit Pass(Gate* gate) : gate_(gate) {}
    void Leave() {
      if (Gate* gate = std::exchange(gate_, nullptr)) gate->Leave();
    }
    Gate* gate_;
  };

  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { HULL_CHECK(in_flight_ == 0); }

  // nullopt when the gate is closed.
  [[nodiscard]] std::optional<Pass> Enter() {
    if (closed_) return std::nullopt;
    ++in_flight_;
    return Pass(this);
  }

  // Closes it and runs `on_empty` once nothing is in flight: at once, or inside the last Pass's
  // destructor. The gate must be open.
  void Close(std::function<void()> on_empty) {
    HULL_CHECK(!closed_);
    closed_ = true;
    on_empty_ = std::move(on_empty);
    RunIfEmpty();
  }
  // Opens it again. Nothing may be in flight.
  void Open() {
    HULL_CHECK(in_flight_ == 0);
    closed_ = false;
  }

  bool closed() const { return closed_; }
  uint32_t in_flight() const { return in_flight_; }

 private:
  void Leave() {
    --in_flight_;
    RunIfEmpty();
  }
  void RunIfEmpty() {
    if (!closed_ || in_flight_ != 0 || !on_empty_) return;
    // The callback may open the gate, or end it.
    const std::function<void()> on_empty = std::exchange(on_empty_, nullptr);
    on_empty();
  }

  uint32_t in_flight_ = 0;
  bool closed_ = false;
  std::function<void()> on_empty_;
};

}  // namespace hull
