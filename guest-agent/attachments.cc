#include "guest-agent/attachments.h"

#include <dirent.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string_view>

#include "guest-agent/rootfs.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::agent {
namespace {

constexpr int kMaxAttachments = 64;
constexpr size_t kMaxNameBytes = 64;

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '.' || c == '-';
         });
}

Status MountAll(const Attachments& attachments, const std::string& directory) {
  HULL_TRY(MakeDirectories(directory, 0755));
  for (const v1::Attachment& attachment : attachments) {
    // Neither a device nor a set-user-id program of the host's has any business in a container.
    HULL_TRY_WITHIN("attachment " + attachment.name(),
                    MountLayer(attachment.layer(), directory + "/" + attachment.name(),
                               MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID));
  }
  return {};
}

}  // namespace

Status ValidateAttachments(const Attachments& attachments) {
  if (attachments.size() > kMaxAttachments) {
    return Fail(ErrorCode::kInvalidArgument, "attachments: {}; at most {} are possible",
                attachments.size(), kMaxAttachments);
  }
  std::set<std::string> names;
  for (int i = 0; i < attachments.size(); ++i) {
    const std::string field = fmt::format("attachments[{}]", i);
    const std::string& name = attachments.Get(i).name();
    if (!IsName(name)) {
      return Fail(ErrorCode::kInvalidArgument, "{}.name: '{}' is not a name", field,
                  EscapeControl(name.substr(0, kMaxNameBytes)));
    }
    if (!names.insert(name).second) {
      return Fail(ErrorCode::kInvalidArgument, "{}.name: {} is there twice", field, name);
    }
    HULL_TRY(ValidateDevice(field + ".layer.device", attachments.Get(i).layer().device()));
  }
  return {};
}

Status MountAttachments(const Attachments& attachments, const std::string& directory) {
  if (attachments.empty()) return {};
  Status mounted = MountAll(attachments, directory);
  if (!mounted) UnmountAttachments(directory);
  return mounted;
}

void UnmountAttachments(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) return;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = fmt::format("{}/{}", directory, name);
    ::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    ::rmdir(path.c_str());
  }
  ::rmdir(directory.c_str());
}

}  // namespace hull::agent
