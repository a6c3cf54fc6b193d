#include "runtime/cli/image_store.h"

#include <unistd.h>

#include "runtime/containers.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

// A record that cannot be read may need anything: then nothing is removed.
Result<images::InUse> ReadInUse(const HostLayout& layout) {
  const Containers containers(layout);
  images::InUse in_use;
  HULL_ASSIGN(ImagesInUse needed, containers.InUse());
  in_use.layer_files.insert(needed.layer_files.begin(), needed.layer_files.end());
  if (needed.image_ids.empty()) return in_use;
  HULL_ASSIGN(const std::vector<ContainerRecord> records, containers.List());
  for (const ContainerRecord& record : records) {
    const ContainerStatus status = record.state.status;
    in_use.users.push_back(
        {record.image_id, record.id,
         status == ContainerStatus::kRunning || status == ContainerStatus::kPaused});
  }
  return in_use;
}

}  // namespace

Result<images::Store> OpenImageStore(const HostLayout& layout) {
  HULL_ASSIGN(images::Store store, images::Store::Open(layout.store_root));
  store.SetInUseReader([layout] { return ReadInUse(layout); });
  // Reading is possible all the same; what changes the store will say what is wrong with it.
  static_cast<void>(store.Tidy().has_value());
  return store;
}

Result<images::Store> OpenImageStore(const GlobalOptions& global) {
  HULL_ASSIGN(const HostLayout layout, FindHostLayout(global.root, global.state));
  return OpenImageStore(layout);
}

Status SetPlatform(std::string_view text, images::PullOptions& options) {
  if (text.empty()) return {};
  const size_t first = text.find('/');
  const size_t second = first == std::string_view::npos ? first : text.find('/', first + 1);
  if (first == std::string_view::npos || first == 0 || first + 1 == text.size()) {
    return Fail(ErrorCode::kInvalidArgument, "--platform: \"{}\" is not OS/ARCHITECTURE[/VARIANT]",
                text);
  }
  options.os = text.substr(0, first);
  options.architecture =
      text.substr(first + 1, second == std::string_view::npos ? second : second - first - 1);
  options.variant = second == std::string_view::npos ? "" : text.substr(second + 1);
  return {};
}

int EndCommand(const Result<std::string>& text) {
  if (!text) {
    PrintError(text.error());
    return kExitFailed;
  }
  return WriteAll(STDOUT_FILENO, *text) ? 0 : kExitFailed;
}

}  // namespace hull::cli
