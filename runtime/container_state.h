// What is known of a container, as a file that any later command (and jq) can read: state.json in
// the sandbox's run directory while it lives, container.json in its container directory when it is
// kept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/container_record.h"
#include "runtime/process_identity.h"
#include "vmm/base/result.h"

namespace hull {

inline constexpr uint64_t kContainerStateVersion = 1;

enum class OldContainerStatus { kCreating, kCreated, kRunning, kStopped };

std::string_view OldContainerStatusName(OldContainerStatus status);

struct OldContainerState {
  std::string id;
  std::string name;
  std::string image;  // as the user named it
  std::string image_id;
  OldContainerStatus status = OldContainerStatus::kCreating;
  // Nothing of it is to stay when it has ended (--rm).
  bool remove_at_exit = false;
  // CLOCK_REALTIME nanoseconds; 0: not yet.
  int64_t created_at_ns = 0;
  int64_t started_at_ns = 0;
  int64_t stopped_at_ns = 0;
  // Docker's exit code; absent until it has ended, and when nobody saw it end.
  std::optional<int> exit_code;
  bool out_of_memory = false;
  std::optional<ProcessIdentity> supervisor;
  std::optional<ProcessIdentity> vmm;

  bool operator==(const OldContainerState&) const = default;
};

std::string WriteOldContainerState(const OldContainerState& state);

// kCorrupt: not such a document; kUnsupported: of a newer version.
Result<OldContainerState> ParseOldContainerState(std::string_view text);

}  // namespace hull
