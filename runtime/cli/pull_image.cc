#include "runtime/cli/pull_image.h"

#include <unistd.h>

#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

constexpr size_t kShownDigest = 12;

// "sha256:0123456789abcdef..." as "0123456789ab".
std::string Short(std::string_view digest) {
  const size_t colon = digest.find(':');
  return EscapeControl(
      digest.substr(colon == std::string_view::npos ? 0 : colon + 1, kShownDigest));
}

void ShowProgress(const images::PullProgress& progress) {
  using Phase = images::PullProgress::Phase;
  std::string line;
  if (progress.phase == Phase::kExists)
    line = fmt::format("{}: Already exists\n", Short(progress.subject));
  if (progress.phase == Phase::kDone)
    line = fmt::format("{}: Pull complete\n", Short(progress.subject));
  if (!line.empty()) static_cast<void>(WriteAll(STDERR_FILENO, line));
}

}  // namespace

std::string ShownName(std::string_view name) {
  const size_t slash = name.rfind('/');
  const std::string_view last = name.substr(slash == std::string_view::npos ? 0 : slash + 1);
  const bool tagged = last.find_first_of(":@") != std::string_view::npos;
  return EscapeControl(tagged ? std::string(name) : fmt::format("{}:latest", name));
}

Result<images::Image> PullImage(images::Store& store, std::string_view reference,
                                images::PullOptions options) {
  if (!options.progress) options.progress = ShowProgress;
  return store.Pull(reference, options);
}

}  // namespace hull::cli
