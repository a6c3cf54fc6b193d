#include "runtime/cli/pull_image.h"

#include <unistd.h>

#include "runtime/cli/pull_display.h"
#include "vmm/base/escape.h"

namespace hull::cli {
std::string ShownName(std::string_view name) {
  const size_t slash = name.rfind('/');
  const std::string_view last = name.substr(slash == std::string_view::npos ? 0 : slash + 1);
  const bool tagged = last.find_first_of(":@") != std::string_view::npos;
  return EscapeControl(tagged ? std::string(name) : fmt::format("{}:latest", name));
}

Result<images::Image> PullImage(images::Store& store, std::string_view reference,
                                images::PullOptions options) {
  PullDisplay display(STDERR_FILENO);
  if (!options.progress) {
    options.progress = [&](const images::PullProgress& progress) { display.Show(progress); };
  }
  return store.Pull(reference, options);
}

}  // namespace hull::cli
