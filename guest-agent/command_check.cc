#include "guest-agent/command_check.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "guest-agent/archive/in_root.h"
#include "guest-agent/oci.h"
#include "vmm/base/escape.h"

namespace hull::agent {

namespace json = boost::json;

namespace {

using archive::Links;
using archive::OpenInRoot;

constexpr size_t kHeadBytes = 256;  // of a script, as much as the kernel looks at
constexpr size_t kMaxHeaders = 64;
constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string_view TextAt(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                : std::string_view();
}

std::string_view PathVariable(const json::object& process) {
  const json::value* environment = process.if_contains("env");
  if (environment == nullptr || !environment->is_array()) return kDefaultPath;
  for (const json::value& entry : environment->get_array()) {
    const std::string_view text =
        entry.is_string() ? std::string_view(entry.get_string()) : std::string_view();
    if (text.starts_with("PATH=")) return text.substr(5);
  }
  return kDefaultPath;
}

// Nothing: it cannot be executed, or not be read.
UniqueFd OpenProgram(int root, const std::string& path) {
  Result<UniqueFd> file = OpenInRoot(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, Links::kInRoot);
  struct stat status {};
  if (!file || ::fstat(file->get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      (status.st_mode & 0111) == 0) {
    return UniqueFd();
  }
  return std::move(*file);
}

struct Program {
  std::string path;
  UniqueFd file;
};

Program FindProgram(int root, const json::object& process) {
  const std::string command = CommandOf(process);
  const std::string directory(TextAt(process, "cwd"));
  const auto absolute = [&](const std::string& path) {
    return path.starts_with('/') ? path : fmt::format("{}/{}", directory, path);
  };
  if (command.empty() || command.find('\0') != std::string::npos) return {};
  if (command.find('/') != std::string::npos) {
    return {command, OpenProgram(root, absolute(command))};
  }
  std::string_view rest = PathVariable(process);
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    const std::string path = fmt::format("{}/{}", rest.substr(0, colon), command);
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
    UniqueFd file = OpenProgram(root, absolute(path));
    if (file.valid()) return {path, std::move(file)};
  }
  return {};
}

std::optional<std::string> ElfLoader(int file, std::string_view head) {
  Elf64_Ehdr header{};
  if (head.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, head.data(), sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr)) {
    return std::nullopt;
  }
  std::array<Elf64_Phdr, kMaxHeaders> segments{};
  const size_t count = std::min<size_t>(header.e_phnum, kMaxHeaders);
  const ssize_t size = ::pread(file, segments.data(), count * sizeof(Elf64_Phdr),
                               static_cast<off_t>(header.e_phoff));
  if (size != static_cast<ssize_t>(count * sizeof(Elf64_Phdr))) return std::nullopt;
  for (size_t i = 0; i < count; ++i) {
    if (segments[i].p_type != PT_INTERP || segments[i].p_filesz > 4096) continue;
    std::string loader(segments[i].p_filesz, '\0');
    const ssize_t got =
        ::pread(file, loader.data(), loader.size(), static_cast<off_t>(segments[i].p_offset));
    if (got != static_cast<ssize_t>(loader.size())) return std::nullopt;
    return loader.substr(0, loader.find('\0'));
  }
  return std::nullopt;
}

std::optional<std::string> ScriptInterpreter(std::string_view head) {
  head.remove_prefix(2);
  head = head.substr(0, head.find('\n'));
  head.remove_prefix(std::min(head.find_first_not_of(" \t"), head.size()));
  // A carriage return in front of the line feed is part of the name: a common mistake.
  const std::string_view name = head.substr(0, head.find_first_of(std::string_view(" \t\0", 3)));
  if (name.empty()) return std::nullopt;
  return std::string(name);
}

}  // namespace

Status CheckInterpreter(int root, const json::object& process) {
  const Program program = FindProgram(root, process);
  if (!program.file.valid()) return {};
  std::array<char, kHeadBytes> bytes{};
  const ssize_t size = ::pread(program.file.get(), bytes.data(), bytes.size(), 0);
  const std::string_view head(bytes.data(), size > 0 ? static_cast<size_t>(size) : 0);
  std::optional<std::string> needed;
  if (head.starts_with("#!")) needed = ScriptInterpreter(head);
  if (head.starts_with(std::string_view(ELFMAG, SELFMAG))) {
    needed = ElfLoader(program.file.get(), head);
  }
  if (!needed || needed->empty()) return {};
  const std::string path =
      needed->starts_with('/') ? *needed : fmt::format("{}/{}", TextAt(process, "cwd"), *needed);
  const Result<UniqueFd> found = OpenInRoot(root, path, O_PATH, Links::kInRoot);
  if (found ||
      (found.error().error_number() != ENOENT && found.error().error_number() != ENOTDIR)) {
    return {};
  }
  return Fail(ErrorCode::kNotFound,
              "exec {}: no such file or directory (it needs {}, which is not there)",
              EscapeControl(program.path), EscapeControl(*needed));
}

}  // namespace hull::agent
