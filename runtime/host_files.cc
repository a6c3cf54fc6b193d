#include "runtime/host_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include <boost/json/object.hpp>

#include "images/store/child_process.h"
#include "images/store/layer_import.h"
#include "images/store/store.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull {
namespace {

namespace json = boost::json;
using Mount = devices::CdiEdits::Mount;

bool Has(const Mount& mount, std::string_view option) {
  return std::find(mount.options.begin(), mount.options.end(), option) != mount.options.end();
}

Error Refusal(const Mount& mount, std::string_view why) {
  return MakeError(ErrorCode::kUnsupported, "the mount of {} at {}: {}",
                   EscapeControl(mount.host_path), EscapeControl(mount.container_path), why);
}

// "CODE ERRNO MESSAGE", or whatever it said.
Error PackError(const images::CommandResult& result) {
  if (result.exit_code == 1) return images::ParseImporterError(result.errors);
  return MakeError(ErrorCode::kFailed, "hull-import ended with code {}{}{}", result.exit_code,
                   result.errors.empty() ? "" : ": ", EscapeControl(result.errors));
}

}  // namespace

Status CheckMounts(const std::vector<Mount>& mounts) {
  for (const Mount& mount : mounts) {
    const bool is_bind = mount.type.empty() || mount.type == "bind" || mount.type == "none";
    if (!is_bind) {
      return Fail(Refusal(mount, fmt::format("hull has no mounts of type {} from the host",
                                             EscapeControl(mount.type))));
    }
    if (!Has(mount, "ro") || Has(mount, "rw")) {
      return Fail(Refusal(mount,
                          "it is writable, and a container of hull's has a copy of the host's "
                          "files: what it writes would not be there")
                      .WithHint("a CDI file for VMs has \"ro\" among the options of its mounts"));
    }
  }
  return {};
}

Result<LayerFile> PackHostFiles(const std::vector<Mount>& mounts, const std::string& path,
                                const std::function<bool()>& tick) {
  unlink(path.c_str());
  HULL_ASSIGN(const UniqueFd file, OpenFile(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  std::atomic<bool> cancel = false;
  images::Command command;
  command.arguments = {images::ImporterProgram(), "pack", fmt::format("{}", kMaxHostFilesBytes),
                       fmt::format("{}", kMaxHostFilesEntries)};
  for (const Mount& mount : mounts) {
    command.arguments.push_back(Has(mount, "rbind") ? "all" : "one");
    command.arguments.push_back(mount.host_path);
  }
  command.extra = {file.get()};
  command.tick = [&] { cancel = cancel || !tick(); };
  command.cancel = &cancel;
  Result<images::CommandResult> result = images::RunCommand(command);
  Status packed;
  if (!result) {
    packed = Fail(std::move(result).error());
  } else if (result->exit_code != 0) {
    packed = Fail(PackError(*result));
  }
  struct stat status {};
  if (packed && fstat(file.get(), &status) != 0) packed = FailErrno("stat {}", path);
  if (!packed) {
    unlink(path.c_str());
    return Fail(std::move(packed).error().Within("pack the host's files for the container"));
  }
  return LayerFile{std::string(kHostFilesName), path, static_cast<uint64_t>(status.st_size)};
}

void AddMounts(const std::vector<Mount>& mounts, std::string_view container_id, json::array& list) {
  for (size_t i = 0; i < mounts.size(); ++i) {
    const Mount& mount = mounts[i];
    json::array options(mount.options.begin(), mount.options.end());
    // A bind mount has only the flags that are named, whatever it is bound from.
    for (const char* flag : {"nosuid", "nodev"}) {
      if (!Has(mount, flag)) options.emplace_back(flag);
    }
    if (!Has(mount, "bind") && !Has(mount, "rbind")) options.emplace_back("bind");
    list.push_back(json::object{
        {"destination", mount.container_path},
        {"type", "bind"},
        {"source", fmt::format("/run/hull/attachments/{}/{}/{}", container_id, kHostFilesName, i)},
        {"options", std::move(options)},
    });
  }
}

}  // namespace hull
