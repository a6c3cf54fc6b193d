// Keys that leave a container's terminal without ending it: docker's --detach-keys.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull {

inline constexpr std::string_view kDefaultDetachKeys = "ctrl-p,ctrl-q";

class DetachKeys {
 public:
  // Keys with commas between them: one character, or "ctrl-" and one of a-z, @, [, \, ], ^, _.
  // Empty: the default. kInvalidArgument.
  static Result<DetachKeys> Parse(std::string_view text);
  // None: nothing detaches.
  DetachKeys() = default;

  bool empty() const { return sequence_.empty(); }
  // Takes what was typed. `typed` becomes what is to be passed on: the beginning of the sequence is
  // held back until it is clear that it is none. True: the whole sequence was typed, what was held
  // back is dropped.
  bool Filter(std::string& typed);

 private:
  std::string sequence_;
  size_t matched_ = 0;
};

}  // namespace hull
