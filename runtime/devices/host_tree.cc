#include "runtime/devices/host_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "vmm/base/file.h"

namespace hull::devices {

HostTree::HostTree(std::string root, Writer writer)
    : root_(std::move(root)), writer_(std::move(writer)) {}

HostTree HostTree::FromEnvironment() {
  const char* root = ::getenv("HULL_HOST_ROOT");
  return HostTree(root == nullptr ? "" : root);
}

bool HostTree::Exists(const std::string& path) const {
  return ::access(Real(path).c_str(), F_OK) == 0;
}

std::string HostTree::Read(const std::string& path, uint64_t cap_bytes) const {
  Result<std::string> text = ReadFile(Real(path), cap_bytes);
  if (!text) return {};
  while (text->ends_with('\n')) text->pop_back();
  return std::move(*text);
}

std::optional<uint64_t> HostTree::ReadNumber(const std::string& path) const {
  constexpr uint64_t kMaxNumberBytes = 64;
  const std::string text = Read(path, kMaxNumberBytes);
  std::string_view digits = text;
  const bool hexadecimal = digits.starts_with("0x");
  if (hexadecimal) digits.remove_prefix(2);
  uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, hexadecimal ? 16 : 10);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::string HostTree::LinkText(const std::string& path) const {
  std::array<char, PATH_MAX> target{};
  const ssize_t size = ::readlink(Real(path).c_str(), target.data(), target.size());
  return size <= 0 ? std::string() : std::string(target.data(), static_cast<size_t>(size));
}

std::string HostTree::LinkName(const std::string& path) const {
  const std::string text = LinkText(path);
  return text.substr(text.rfind('/') + 1);
}

std::string HostTree::Resolve(const std::string& path) const {
  const std::unique_ptr<char, decltype(&::free)> real(::realpath(Real(path).c_str(), nullptr),
                                                      ::free);
  if (!real) return {};
  std::string resolved = real.get();
  if (root_.empty()) return resolved;
  const std::unique_ptr<char, decltype(&::free)> root(::realpath(root_.c_str(), nullptr), ::free);
  if (!root || !resolved.starts_with(std::string(root.get()) + "/")) return {};
  return resolved.substr(std::string_view(root.get()).size());
}

std::vector<std::string> HostTree::List(const std::string& path, size_t cap) const {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(Real(path).c_str()), ::closedir);
  std::vector<std::string> names;
  while (directory && names.size() < cap) {
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Status HostTree::Write(const std::string& path, std::string_view text) const {
  if (writer_) return writer_(path, text);
  HULL_ASSIGN(const UniqueFd fd, OpenFile(Real(path), O_WRONLY | O_NOFOLLOW));
  const ssize_t written = ::write(fd.get(), text.data(), text.size());
  if (written < 0) return FailErrno("write {}", path);
  if (static_cast<size_t>(written) != text.size()) {
    return Fail(ErrorCode::kFailed, "write {}: only {} of {} bytes were taken", path, written,
                text.size());
  }
  return {};
}

}  // namespace hull::devices
