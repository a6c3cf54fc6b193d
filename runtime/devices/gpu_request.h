// docker's `--gpus`: all, a number, or "device=...,capabilities=...".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull::devices {

struct GpuRequest {
  bool all = false;
  // How many; std::nullopt: those of `devices`, or all.
  std::optional<uint32_t> count;
  // Numbers among the host's GPUs that are bound ("0"), or PCI addresses.
  std::vector<std::string> devices;
};

// As docker's own client parses it, quotes included: '"device=0,1",capabilities=utility'. A whole
// device has all capabilities, so any may be asked for; a driver other than vfio, or options to it,
// are refused. kInvalidArgument, in docker's words where it has some.
Result<GpuRequest> ParseGpuRequest(std::string_view text);

}  // namespace hull::devices
