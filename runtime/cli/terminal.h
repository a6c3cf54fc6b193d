// The user's terminal: raw while the container has it, as it was afterwards.
#pragma once

#include <termios.h>

#include <cstdint>
#include <optional>

#include "vmm/base/result.h"

namespace hull::cli {

struct WindowSize {
  uint32_t columns = 0;
  uint32_t rows = 0;
};

// Of the terminal on `fd`; zeros when it is none.
WindowSize GetWindowSize(int fd);

// Puts the terminal on `fd` into raw mode: keys, Ctrl-C too, go to the container as bytes. The
// destructor restores it. On a descriptor that is no terminal it does nothing.
class RawMode {
 public:
  explicit RawMode(int fd);
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;
  ~RawMode();

 private:
  int fd_;
  std::optional<termios> before_;
};

}  // namespace hull::cli
