#include "runtime/cli/terminal.h"

#include <sys/ioctl.h>

namespace hull::cli {

WindowSize GetWindowSize(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0) return {};
  return {size.ws_col, size.ws_row};
}

RawMode::RawMode(int fd) : fd_(fd) {
  termios settings{};
  if (tcgetattr(fd, &settings) != 0) return;
  before_ = settings;
  cfmakeraw(&settings);
  // As docker: what the container prints was made for a terminal already, output stays unprocessed
  // too.
  tcsetattr(fd, TCSADRAIN, &settings);
}

RawMode::~RawMode() {
  if (before_) tcsetattr(fd_, TCSADRAIN, &*before_);
}

}  // namespace hull::cli
