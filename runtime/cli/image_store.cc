#include "runtime/cli/image_store.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "images/store/manifest.h"
#include "runtime/containers.h"
#include "vmm/base/escape.h"
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

bool IsArchitecture(const std::string& text) {
  constexpr std::array<std::string_view, 9> kKnown = {
      "amd64", "386", "arm64", "arm", "ppc64le", "s390x", "riscv64", "mips64le", "loong64"};
  const images::Platform platform = images::Normalised({"linux", text, ""});
  return std::find(kKnown.begin(), kKnown.end(), platform.architecture) != kKnown.end();
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

// As containerd reads it: "linux/arm64/v8", "x86_64", "linux".
Status SetPlatform(std::string_view text, images::PullOptions& options) {
  if (text.empty()) return {};
  std::vector<std::string> parts = {""};
  for (const char c : text) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  if (parts.size() == 1 && text == "linux") parts.push_back(options.architecture);
  if (parts.size() == 1 && IsArchitecture(parts[0])) parts.insert(parts.begin(), "linux");
  const bool is_complete = std::none_of(parts.begin(), parts.end(),
                                        [](const std::string& part) { return part.empty(); });
  if (parts.size() < 2 || parts.size() > 3 || !is_complete) {
    return Fail(ErrorCode::kInvalidArgument, "--platform: \"{}\" is not OS/ARCHITECTURE[/VARIANT]",
                EscapeControl(text));
  }
  parts.resize(3);
  const images::Platform platform = images::Normalised({parts[0], parts[1], parts[2]});
  options.os = platform.os;
  options.architecture = platform.architecture;
  options.variant = platform.variant;
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
