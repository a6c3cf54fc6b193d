#include "runtime/cli/pinning_display.h"

#include <unistd.h>

#include "vmm/base/file.h"

namespace hull::cli {
namespace {

// ECMA-48: erase to the end of the line.
constexpr std::string_view kEraseLine = "\r\x1b[K";

double Gibibytes(uint64_t bytes) {
  return static_cast<double>(bytes >> 20U) / 1024;
}

}  // namespace

PinningDisplay::PinningDisplay(SupervisorClient& client) : client_(client) {
  if (::isatty(STDERR_FILENO) == 0) return;
  client_.OnPinning(
      [this](uint64_t done_bytes, uint64_t total_bytes) { Show(done_bytes, total_bytes); });
}

PinningDisplay::~PinningDisplay() {
  client_.OnPinning({});
  if (is_shown_) static_cast<void>(WriteAll(STDERR_FILENO, kEraseLine));
}

void PinningDisplay::Show(uint64_t done_bytes, uint64_t total_bytes) {
  if (total_bytes == 0) return;
  is_shown_ = true;
  static_cast<void>(WriteAll(
      STDERR_FILENO, fmt::format("{}hull: pinning memory for the device: {:.1f} of {:.1f} GiB",
                                 kEraseLine, Gibibytes(done_bytes), Gibibytes(total_bytes))));
}

}  // namespace hull::cli
