#include "vmm/machine/machine.h"

#include "vmm/base/check.h"

namespace hull {
namespace {

std::string_view LastLinesOf(std::string_view text, size_t count) {
  size_t at = text.size();
  // A final line feed ends the last line, and begins none.
  if (at > 0 && text[at - 1] == '\n') --at;
  for (size_t lines = 0; lines < count && at != std::string_view::npos; ++lines) {
    if (at == 0) return text;
    at = text.rfind('\n', at - 1);
  }
  return at == std::string_view::npos ? text : text.substr(at + 1);
}

std::string Describe(const Error& error) {
  std::string text = "memory: " + error.ToString();
  if (!error.hint().empty()) text += " (" + error.hint() + ")";
  return text;
}

api::CounterGroup CountersOf(const VirtioMmio& transport) {
  api::CounterGroup group = {.name = std::string(transport.device().name()), .values = {}};
  for (const CounterReading& reading : transport.Counters()) {
    group.values.emplace_back(std::string(reading.name), reading.value);
  }
  return group;
}

}  // namespace

Machine::Machine(GuestLife& life)
    : life_(life), system_control_(life), reset_port_(life), keyboard_port_(life) {}

Machine::~Machine() {
  Stop();
}

void Machine::Start(EventLoop& control_loop, StartEvents events) {
  io_->Start();
  if (!passthrough_) {
    StartVcpus(events);
    return;
  }
  // What is posted runs before the control loop ends, and this lives longer.
  passthrough_->StartPinning(
      memory_,
      {.on_progress =
           [&control_loop, on_pinning = events.on_pinning](const api::PinningProgress& progress) {
             control_loop.Post([on_pinning, progress] { on_pinning(progress); });
           },
       .on_end =
           [this, &control_loop, events](Status status) {
             control_loop.Post([this, events, status = std::move(status)] {
               if (status) {
                 StartVcpus(events);
               } else {
                 life_.End(api::Cause::kStart, Describe(status.error()));
               }
             });
           }});
}

void Machine::StartVcpus(const StartEvents& events) {
  if (life_.ending()) return;
  events.on_started();
  for (const auto& vcpu : vcpus_) vcpu->Start();
}

void Machine::Stop() {
  for (const auto& vcpu : vcpus_) vcpu->RequestStop();
  for (const auto& vcpu : vcpus_) vcpu->Join();
  if (io_) io_->Stop();
  if (passthrough_) passthrough_->Stop();
}

std::string Machine::ConsoleLines(size_t count) const {
  const std::string text = console_->LastLines(count);
  if (!text.empty() || debug_port_ == nullptr) return text;
  return std::string(LastLinesOf(debug_port_->Output(), count));
}

api::Counters Machine::Counters() const {
  api::Counters counters;
  for (const auto& vcpu : vcpus_) counters.vcpus.push_back(vcpu->Counters());
  for (const auto& transport : transports_) counters.devices.push_back(CountersOf(*transport));
  if (passthrough_) {
    for (api::CounterGroup& group : passthrough_->Counters()) {
      counters.devices.push_back(std::move(group));
    }
  }
  return counters;
}

bool Machine::has_power_button() const {
  return vsock_ != nullptr && power_button_port_.has_value();
}

void Machine::PressPowerButton(std::function<void(Status)> answered) {
  HULL_CHECK(has_power_button());
  io_->loop().Post([this, answered = std::move(answered)]() mutable {
    vsock_->PressPowerButton(*power_button_port_, std::move(answered));
  });
}

}  // namespace hull
