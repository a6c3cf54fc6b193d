// How far the pinning of a machine's memory is, on the user's terminal: it takes seconds for each
// hundred gigabytes, and nothing else is to be seen meanwhile.
#pragma once

#include "runtime/supervisor_client.h"

namespace hull::cli {

// Shows what `client` hears in one line on standard error that is written over, if that is a
// terminal. `client` outlives this.
class PinningDisplay {
 public:
  explicit PinningDisplay(SupervisorClient& client);
  PinningDisplay(const PinningDisplay&) = delete;
  PinningDisplay& operator=(const PinningDisplay&) = delete;
  // Takes the line away.
  ~PinningDisplay();

 private:
  void Show(uint64_t done_bytes, uint64_t total_bytes);

  SupervisorClient& client_;
  bool is_shown_ = false;
};

}  // namespace hull::cli
