#include "runtime/cli/pull_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "runtime/format/human.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

constexpr size_t kShownDigest = 12;
constexpr uint64_t kBarCells = 30;

// "sha256:0123456789abcdef..." as "0123456789ab".
std::string Short(std::string_view digest) {
  const size_t colon = digest.find(':');
  return EscapeControl(
      digest.substr(colon == std::string_view::npos ? 0 : colon + 1, kShownDigest));
}

std::string Bar(const images::PullProgress& progress) {
  const uint64_t done = std::min(progress.done_bytes, progress.total_bytes);
  if (progress.total_bytes == 0) return format::HumanSize(progress.done_bytes);
  const auto cells = static_cast<size_t>(static_cast<double>(done) /
                                         static_cast<double>(progress.total_bytes) * kBarCells);
  return fmt::format("[{:<{}}] {}/{}", std::string(cells, '=') + ">", kBarCells + 1,
                     format::HumanSize(done), format::HumanSize(progress.total_bytes));
}

size_t Columns(int fd) {
  constexpr size_t kUsual = 80;
  winsize size = {};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

void Print(int fd, std::string_view text) {
  static_cast<void>(WriteAll(fd, text));
}

}  // namespace

PullDisplay::PullDisplay(int fd) : fd_(fd), is_terminal_(::isatty(fd) == 1) {}

PullDisplay::~PullDisplay() {
  ClearBar();
}

void PullDisplay::ClearBar() {
  if (has_bar_) Print(fd_, "\r\033[K");
  has_bar_ = false;
}

void PullDisplay::Show(const images::PullProgress& progress) {
  using Phase = images::PullProgress::Phase;
  std::string line;
  std::string bar;
  switch (progress.phase) {
    case Phase::kExists:
      line = fmt::format("{}: Already exists\n", Short(progress.subject));
      break;
    case Phase::kDone:
      line = fmt::format("{}: Pull complete\n", Short(progress.subject));
      break;
    case Phase::kResolve:
      bar = "Asking for the image";
      break;
    case Phase::kFetch:
      bar = "Downloading " + Bar(progress);
      break;
    case Phase::kImport:
      bar = fmt::format("{}: Extracting {}", Short(progress.subject), Bar(progress));
      break;
  }
  if (!line.empty()) ClearBar();
  Print(fd_, line);
  if (bar.empty() || !is_terminal_) return;
  // A line that wraps could not be taken back.
  Print(fd_, "\r\033[K" + bar.substr(0, Columns(fd_) - 1));
  has_bar_ = true;
}

}  // namespace hull::cli
