#include "guest-agent/devices/module_index.h"

#include <algorithm>

namespace hull::agent {
namespace {

constexpr size_t kMaxNameBytes = 55;  // MODULE_NAME_LEN, less its NUL
constexpr size_t kMaxEntries = 65536;

std::string_view NextLine(std::string_view* rest) {
  const std::string_view line = rest->substr(0, rest->find('\n'));
  rest->remove_prefix(std::min(line.size() + 1, rest->size()));
  return line;
}

}  // namespace

bool IsModuleName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
}

std::string ModuleNameOf(std::string_view path) {
  const std::string_view file = path.substr(path.rfind('/') + 1);
  const size_t end = file.find(".ko");
  if (end == std::string_view::npos) return {};
  const std::string_view suffix = file.substr(end + 3);
  if (!suffix.empty() && suffix != ".xz" && suffix != ".gz" && suffix != ".zst") return {};
  std::string name(file.substr(0, end));
  if (!IsModuleName(name)) return {};
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

ModuleIndex::ModuleIndex(std::string text) : text_(std::move(text)) {
  std::string_view rest = text_;
  while (!rest.empty() && entries_.size() < kMaxEntries) {
    const std::string_view line = NextLine(&rest);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const Entry entry{.path = line.substr(0, colon), .needs = line.substr(colon + 1)};
    std::string name = ModuleNameOf(entry.path);
    if (!name.empty()) entries_.emplace(std::move(name), entry);
  }
}

Result<std::vector<std::string>> ModuleIndex::FilesFor(std::string_view name) const {
  std::string wanted(name);
  std::replace(wanted.begin(), wanted.end(), '-', '_');
  const auto found = entries_.find(wanted);
  if (found == entries_.end()) {
    return Fail(ErrorCode::kNotFound, "the image's modules.dep does not have it");
  }
  std::vector<std::string> files = {std::string(found->second.path)};
  std::string_view needs = found->second.needs;
  while (!needs.empty()) {
    const std::string_view need = needs.substr(0, needs.find(' '));
    needs.remove_prefix(std::min(need.size() + 1, needs.size()));
    if (need.empty()) continue;
    if (files.size() >= kMaxLoads) {
      return Fail(ErrorCode::kInvalidArgument, "it needs more than {} others", kMaxLoads);
    }
    files.emplace_back(need);
  }
  std::reverse(files.begin(), files.end());
  return files;
}

}  // namespace hull::agent
