// The kernel's command line: what the configuration says, then what the machine itself needs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull {

// What Linux keeps of a command line on x86 (COMMAND_LINE_SIZE), the final NUL included.
inline constexpr size_t kLinuxCommandLineBytes = 2048;

// "<configured> <needed>". The machine's own comes last, since for most parameters the last one
// counts. What is behind " -- " in the configured line belongs to init and stays last. Errors:
// kInvalidArgument when it does not fit or holds a NUL.
Result<std::string> AssembleCommandLine(std::string_view configured, std::string_view needed);

}  // namespace hull
