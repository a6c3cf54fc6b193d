#include "guest-agent/devices/module_loader.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/module.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include "guest-agent/archive/in_root.h"
#include "guest-agent/devices/kernel_lines.h"
#include "guest-agent/devices/module_index.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::agent {
namespace {

using archive::Links;
using archive::OpenInRoot;

constexpr off_t kMaxModuleBytes = off_t{512} << 20;
constexpr size_t kKernelLines = 3;
constexpr int kRootDescriptor = 3;
constexpr size_t kShownDirectories = 4;

struct Compression {
  std::string_view magic;
  std::string_view name;
};
constexpr std::array<Compression, 3> kCompressions = {{{"\xfd"
                                                        "7zXZ",
                                                        "xz"},
                                                       {"\x1f\x8b", "gzip"},
                                                       {"\x28\xb5\x2f\xfd", "zstd"}}};

// A regular file, open for reading; nothing that could block or act when it is opened.
Result<UniqueFd> OpenRegular(int root, const std::string& path, off_t max_bytes) {
  HULL_ASSIGN(UniqueFd file,
              OpenInRoot(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, Links::kInRoot));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return FailErrno("look at {}", EscapeControl(path));
  if (!S_ISREG(status.st_mode) || status.st_size > max_bytes) {
    return Fail(ErrorCode::kInvalidArgument, "{} is not a file, or larger than {} MiB",
                EscapeControl(path), max_bytes >> 20);
  }
  return file;
}

Result<std::string> ReadText(int root, const std::string& path) {
  constexpr auto kMaxBytes = static_cast<off_t>(ModuleIndex::kMaxTextBytes);
  HULL_ASSIGN(const UniqueFd file, OpenRegular(root, path, kMaxBytes));
  // Only this process's own view of its descriptors: no path of the image's is used again.
  return ReadFile(fmt::format("/proc/self/fd/{}", file.get()), ModuleIndex::kMaxTextBytes);
}

// "; it has those of 6.1.0-18-amd64", for whoever installed another kernel's.
std::string OtherReleases(int root) {
  Result<UniqueFd> modules =
      OpenInRoot(root, "lib/modules", O_RDONLY | O_DIRECTORY, Links::kInRoot);
  if (!modules) return {};
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(modules->Release()), ::closedir);
  std::vector<std::string> names;
  while (const dirent* entry = stream ? ::readdir(stream.get()) : nullptr) {
    if (entry->d_name[0] == '.' || names.size() >= kShownDirectories) continue;
    names.push_back(EscapeControl(entry->d_name));
  }
  std::sort(names.begin(), names.end());
  return names.empty() ? "" : fmt::format("; it has those for {}", fmt::join(names, ", "));
}

std::string_view CompressionOf(int file) {
  std::array<char, 8> head{};
  const ssize_t size = ::pread(file, head.data(), head.size(), 0);
  const std::string_view text(head.data(), size > 0 ? static_cast<size_t>(size) : 0);
  for (const Compression& compression : kCompressions) {
    if (text.starts_with(compression.magic)) return compression.name;
  }
  return {};
}

Error Refused(int error_number, const std::string& path, std::string_view compression,
              const std::vector<std::string>& words) {
  const std::string file = EscapeControl(path);
  switch (error_number) {
    case ENOSYS:
      return MakeError(ErrorCode::kUnsupported,
                       "the guest's kernel takes no modules (vmlinux-pci does, the kernel for "
                       "passed-through devices)");
    case EOPNOTSUPP:
      if (compression.empty()) break;
      return MakeError(ErrorCode::kInvalidArgument,
                       "{} is compressed with {}, which the guest's kernel cannot unpack: put it "
                       "into the image uncompressed, and run depmod",
                       file, compression);
    case ENOEXEC:
      return MakeError(ErrorCode::kInvalidArgument,
                       "{} is not a module for the guest's kernel{}: build it for that kernel",
                       file, InKernelsWords(words));
    default:
      break;
  }
  return MakeError(ErrorCode::kInvalidArgument, "the kernel refused {}: {}{}", file,
                   std::strerror(error_number), InKernelsWords(words));
}

Status LoadFile(int root, const std::string& directory, const std::string& file,
                const ModuleKernel& kernel) {
  const std::string name = ModuleNameOf(file);
  if (!name.empty() && kernel.has(name)) return {};
  const std::string path = file.starts_with('/') ? file : directory + "/" + file;
  // ".." would stay in the root as well, but no depmod writes it.
  HULL_TRY(archive::SplitPath(path));
  HULL_ASSIGN(const UniqueFd opened, OpenRegular(root, path, kMaxModuleBytes));
  const std::string_view compression = CompressionOf(opened.get());
  const int failed =
      kernel.load(opened.get(), compression.empty() ? 0 : MODULE_INIT_COMPRESSED_FILE);
  if (failed == 0 || failed == EEXIST) return {};
  return Fail(Refused(failed, path, compression, kernel.words(name)));
}

// Of modules.builtin: "kernel/drivers/.../name.ko" lines.
std::set<std::string> BuiltIn(int root, const std::string& directory) {
  std::set<std::string> names;
  const Result<std::string> text = ReadText(root, directory + "/modules.builtin");
  std::string_view rest = text ? std::string_view(*text) : std::string_view();
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (std::string name = ModuleNameOf(line); !name.empty()) names.insert(std::move(name));
  }
  return names;
}

}  // namespace

ModuleKernel RunningKernel() {
  return {
      .load =
          [](int file, int flags) {
            return ::syscall(SYS_finit_module, file, "", flags) == 0 ? 0 : errno;
          },
      .has =
          [](const std::string& name) {
            return ::access(("/sys/module/" + name).c_str(), F_OK) == 0;
          },
      .words = [](const std::string& name) { return KernelLinesWith({name + ":"}, kKernelLines); }};
}

Status LoadModules(int root, const std::string& release, const std::vector<std::string>& modules,
                   const ModuleKernel& kernel) {
  const std::string directory = "lib/modules/" + release;
  const auto missing = [&](const char* what) {
    return Fail(ErrorCode::kInvalidArgument,
                "module {}: the image has no {} for the guest's kernel, {} (/{}){}",
                modules.front(), what, release, directory, OtherReleases(root));
  };
  if (modules.empty()) return {};
  if (!OpenInRoot(root, directory, O_PATH | O_DIRECTORY, Links::kInRoot)) return missing("modules");
  Result<std::string> text = ReadText(root, directory + "/modules.dep");
  if (!text && text.error().error_number() == ENOENT) return missing("modules.dep (of depmod)");
  if (!text) return Fail(std::move(text).error());
  const ModuleIndex index(std::move(*text));
  const std::set<std::string> built_in = BuiltIn(root, directory);
  for (const std::string& module : modules) {
    const Result<std::vector<std::string>> files = index.FilesFor(module);
    if (!files) {
      std::string name = module;
      std::replace(name.begin(), name.end(), '-', '_');
      if (kernel.has(name) || built_in.contains(name)) continue;
      return Fail(ErrorCode::kInvalidArgument, "module {}: {} (/{})", module,
                  files.error().message(), directory);
    }
    for (const std::string& file : *files) {
      HULL_TRY_WITHIN("module " + module, LoadFile(root, directory, file, kernel));
    }
  }
  return {};
}

int LoadModulesMain(const std::vector<std::string>& modules) {
  utsname names{};
  ::uname(&names);
  const Status loaded = LoadModules(kRootDescriptor, names.release, modules, RunningKernel());
  if (loaded) return 0;
  const std::string text = loaded.error().ToString();
  if (!WriteAll(STDOUT_FILENO, text)) return 1;
  const ErrorCode code = loaded.error().code();
  return code == ErrorCode::kFailed || code == ErrorCode::kExhausted ? 1 : 2;
}

}  // namespace hull::agent
