// What a user sees of a pull: a line for each layer, and on a terminal a bar that moves.
#pragma once

#include <cstdint>
#include <string>

#include "images/store/store.h"

namespace hull::cli {

class PullDisplay {
 public:
  // `fd`: where it is shown; a bar only when that is a terminal.
  explicit PullDisplay(int fd);
  PullDisplay(const PullDisplay&) = delete;
  PullDisplay& operator=(const PullDisplay&) = delete;
  // Takes the bar away.
  ~PullDisplay();

  void Show(const images::PullProgress& progress);

 private:
  void ClearBar();

  int fd_;
  bool is_terminal_;
  bool has_bar_ = false;
};

}  // namespace hull::cli
