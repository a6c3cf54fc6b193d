// A container's processes as ps(1) shows them: docker top.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "guest-agent/protocol/agent.pb.h"
#include "vmm/base/result.h"

namespace hull {

struct ProcessColumn {
  std::string title;
  std::string key;  // ps's name for it: "pid", "args"
};

// The columns that ps options ask for; none: those of -ef. Known are -e, -A, -a, -x, -f, "aux",
// "-ef" and the like, and "-o LIST" in all its forms. kUnsupported: others, with the reason.
Result<std::vector<ProcessColumn>> ParsePsOptions(std::span<const std::string> options);

// A table as docker prints it. The guest's word: escaped for a terminal.
std::string FormatProcesses(const std::vector<ProcessColumn>& columns,
                            const agent::v1::ProcessesResponse& processes);

}  // namespace hull
