#include "runtime/stopped_containers.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>

#include "runtime/container_id.h"
#include "vmm/base/file.h"

namespace hull {
namespace {

constexpr uint64_t kMaxRecordBytes = 1ULL << 20;

std::optional<std::string> IdOfName(const HostLayout& layout, std::string_view name) {
  if (!CheckContainerName(name)) return std::nullopt;
  std::array<char, PATH_MAX> target{};
  const std::string link = fmt::format("{}/names/{}", layout.store_root, name);
  const ssize_t length = readlink(link.c_str(), target.data(), target.size());
  if (length <= 0) return std::nullopt;
  std::string id(target.data(), static_cast<size_t>(length));
  if (!IsContainerId(id)) return std::nullopt;
  return id;
}

}  // namespace

Result<std::string> FindContainer(const HostLayout& layout, std::string_view name_or_id) {
  if (std::optional<std::string> id = IdOfName(layout, name_or_id)) return *id;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(layout.ContainersDirectory().c_str()),
                                                      closedir);
  std::string found;
  while (directory && !name_or_id.empty()) {
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr) break;
    const std::string_view id(entry->d_name);
    if (!IsContainerId(id) || !id.starts_with(name_or_id)) continue;
    if (!found.empty()) {
      return Fail(ErrorCode::kInvalidArgument, "several containers' ids begin with {}", name_or_id);
    }
    found = id;
  }
  if (found.empty()) return Fail(ErrorCode::kNotFound, "No such container: {}", name_or_id);
  return found;
}

Status RemoveStoppedContainer(const HostLayout& layout, std::string_view name_or_id) {
  HULL_ASSIGN(const std::string id, FindContainer(layout, name_or_id));
  struct stat status {};
  if (stat(layout.RunDirectory(id).c_str(), &status) == 0) {
    return Fail(Error(ErrorCode::kUnavailable, fmt::format("container {} is running", name_or_id))
                    .WithHint("end it first"));
  }
  const std::string record = fmt::format("{}/{}", layout.ContainerDirectory(id), kContainerFile);
  Result<std::string> text = ReadFile(record, kMaxRecordBytes);
  Result<OldContainerState> state =
      text ? ParseOldContainerState(*text) : Fail(std::move(text).error());
  HULL_TRY(RemoveContainerDirectory(layout, id));
  if (state) ReleaseName(layout, state->name);
  return {};
}

}  // namespace hull
