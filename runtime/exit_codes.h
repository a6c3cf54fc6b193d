// Docker's exit codes of a container that hull, not its own process, brought to its end.
#pragma once

namespace hull {

// hull itself failed; the command cannot be run in the container; it is not there.
inline constexpr int kExitHullFailed = 125;
inline constexpr int kExitCannotRun = 126;
inline constexpr int kExitNotFound = 127;

}  // namespace hull
