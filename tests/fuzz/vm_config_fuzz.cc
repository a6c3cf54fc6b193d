// The VM's configuration, a request on the control socket and a status line: what hull and hull-vmm
// say to each other. Each is hull's own or the operator's, and all the same nothing may break on
// it.
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "vmm/api/control.h"
#include "vmm/api/outcome.h"
#include "vmm/api/vm_config.h"
#include "vmm/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hull::api;
  // SAFETY: bytes seen as characters; the view ends where the input does.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto config = ParseVmConfig(text)) {
    HULL_CHECK(config->cpus >= 1 && config->cpus <= kMaxCpus);
    HULL_CHECK(config->memory_bytes >= kMinMemoryBytes);
    HULL_CHECK(config->memory_bytes % kMemoryGranuleBytes == 0);
    HULL_CHECK(config->pmem.size() <= kMaxPmemDevices && config->block.size() <= kMaxBlockDevices);
    // What was understood is written as something that is understood the same.
    const auto again = ParseVmConfig(WriteVmConfig(*config));
    HULL_CHECK(again.has_value() && *again == *config);
  } else {
    HULL_CHECK(!config.error().ToString().empty());
  }
  if (const auto request = ParseRequest(text)) {
    const auto again = ParseRequest(WriteRequest(*request));
    HULL_CHECK(again.has_value() && again->id == request->id && again->method == request->method);
  }
  if (const auto event = ParseStatusLine(text)) {
    std::string line = StartedLine();
    if (const auto* const outcome = std::get_if<Outcome>(&*event)) line = EndedLine(*outcome);
    if (const auto* const progress = std::get_if<PinningProgress>(&*event)) {
      line = PinningLine(*progress);
    }
    const auto again = ParseStatusLine(line);
    HULL_CHECK(again.has_value() && *again == *event);
  }
  // What the other side answers, and the text of a guest's console on the way into JSON.
  static_cast<void>(ParseResponse(text));
  HULL_CHECK(ParseResponse(WriteConsole(1, text)).has_value() || size > 100'000);
  return 0;
}
