#include "vmm/machine/guest_life.h"

#include <utility>

namespace hull {
namespace {

constexpr const char kPanicMessage[] = "the guest's kernel panicked";

}  // namespace

GuestLife::GuestLife(EventLoop& control_loop, std::function<void()> on_end)
    : control_loop_(control_loop),
      on_end_(std::move(on_end)),
      last_words_(control_loop, [this] { End(api::Cause::kPanic, kPanicMessage); }) {}

void GuestLife::End(api::Cause cause, std::string message) {
  {
    const std::lock_guard lock(mutex_);
    if (outcome_) return;
    outcome_ = api::Outcome{.cause = cause, .message = std::move(message), .console = {}};
  }
  ending_.store(true, std::memory_order_release);
  control_loop_.Post([this] { on_end_(); });
}

api::Outcome GuestLife::outcome() const {
  const std::lock_guard lock(mutex_);
  return outcome_.value_or(api::Outcome{});
}

void GuestLife::OnPowerOff() {
  if (panicked()) {
    End(api::Cause::kPanic, kPanicMessage);
  } else {
    End(api::Cause::kPowerOff, "the guest switched itself off");
  }
}

void GuestLife::OnReset() {
  if (panicked()) {
    End(api::Cause::kPanic, kPanicMessage);
  } else if (!drivers_found_.load(std::memory_order_acquire)) {
    // A panic so early has no way to report itself but this.
    End(api::Cause::kCrash,
        "the guest's kernel died before its console came up (to see why: a debug kernel, "
        "\"console\": {\"early\": true} and earlyprintk=serial,0x3f8,115200)");
  } else {
    End(api::Cause::kReset, "the guest asked for a reboot");
  }
}

void GuestLife::OnPanic() {
  if (panicked_.exchange(true)) return;
  control_loop_.Post([this] { last_words_.Start(kLastWordsLimit); });
}

void GuestLife::OnPanicDriverFound() {
  drivers_found_.store(true, std::memory_order_release);
}

}  // namespace hull
