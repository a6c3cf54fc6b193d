#include "images/store/lower_paths.h"

#include <linux/limits.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace hull::images {
namespace {

// As the kernel's own limit on links in a path (MAXSYMLINKS).
constexpr int kLinkHops = 40;

enum class LastName { kFollowed, kAsItIs };

void PushNames(std::string_view path, std::vector<std::string>& todo) {
  while (!path.empty()) {
    const size_t slash = path.rfind('/');
    const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
    path = path.substr(0, slash == std::string_view::npos ? 0 : slash);
    if (!name.empty() && name != ".") todo.emplace_back(name);
  }
}

// The target of the symbolic link at `path`, if one of `layer` is there.
Result<std::optional<std::string>> LinkAt(const LayerFile& layer, const FileFound& found) {
  if (found.kind != FileFound::Kind::kFile) return std::optional<std::string>();
  HULL_ASSIGN(const FileContent content, layer.Describe(found.inode_offset));
  if (!content.is_symbolic_link || content.data_bytes >= PATH_MAX)
    return std::optional<std::string>();
  std::string target;
  HULL_TRY(layer.ReadData(content, [&](std::string_view piece) {
    target += piece;
    return Status();
  }));
  return std::optional(std::move(target));
}

Result<std::optional<std::string>> LinkBelow(const std::vector<LayerFile>& lower,
                                             const std::string& path) {
  for (auto layer = lower.rbegin(); layer != lower.rend(); ++layer) {
    HULL_ASSIGN(const FileFound found, layer->FindFile(path));
    if (found.kind != FileFound::Kind::kNothing) return LinkAt(*layer, found);
    if (found.opaque_above) break;
  }
  return std::optional<std::string>();
}

// One way through the layers, name by name.
class Walk {
 public:
  Walk(const LayerStack& stack, std::set<std::string>& needed) : stack_(stack), needed_(needed) {}

  // Where `path` leads to. Nothing when it leads out of the image or nowhere: then it is left to
  // the import to say so.
  Result<std::optional<std::string>> To(std::string_view path, LastName last) {
    PushNames(path, todo_);
    int hops = 0;
    while (!todo_.empty()) {
      const std::string name = std::move(todo_.back());
      todo_.pop_back();
      if (name == "..") {
        if (at_.empty()) return std::optional<std::string>();
        const size_t slash = at_.rfind('/');
        at_.resize(slash == std::string::npos ? 0 : slash);
        continue;
      }
      std::string next = at_.empty() ? name : at_ + "/" + name;
      std::optional<std::string> target;
      if (!todo_.empty() || last == LastName::kFollowed) {
        HULL_ASSIGN(target, LinkIn(next));
      }
      if (!target) {
        at_ = std::move(next);
        continue;
      }
      if (++hops > kLinkHops) return std::optional<std::string>();
      if (target->starts_with('/')) at_.clear();
      PushNames(*target, todo_);
    }
    needed_.insert(links_.begin(), links_.end());
    return std::optional(at_);
  }

 private:
  // The layer's own files come before those below.
  Result<std::optional<std::string>> LinkIn(const std::string& path) {
    HULL_ASSIGN(const DirectoryFound own, stack_.own.FindDirectory(path));
    if (own.kind == DirectoryFound::Kind::kHidden) {
      HULL_ASSIGN(const FileFound found, stack_.own.FindFile(path));
      return LinkAt(stack_.own, found);
    }
    const bool is_own =
        own.kind == DirectoryFound::Kind::kDirectory && !stack_.implicit.contains(path);
    if (is_own || own.opaque_on_way) return std::optional<std::string>();
    HULL_ASSIGN(std::optional<std::string> target, LinkBelow(stack_.lower, path));
    if (target) links_.push_back(path);
    return target;
  }

  const LayerStack& stack_;
  std::set<std::string>& needed_;
  std::vector<std::string> links_;
  std::vector<std::string> todo_;  // last one first
  std::string at_;
};

bool IsIn(const std::string& path, const std::string& directory) {
  return path.starts_with(directory) && path.size() > directory.size() &&
         path[directory.size()] == '/';
}

}  // namespace

Result<std::vector<std::string>> NeededOfLower(const LayerStack& stack,
                                               const std::vector<std::string>& hard_link_targets) {
  std::set<std::string> needed;
  // Nearly no layer has such a directory: it is looked for before anything is followed.
  std::vector<std::string> links;
  for (const std::string& path : stack.implicit) {
    if (path.empty()) continue;
    const bool is_in_link = std::any_of(links.begin(), links.end(),
                                        [&](const std::string& link) { return IsIn(path, link); });
    if (!is_in_link) {
      HULL_ASSIGN(const std::optional<std::string> target, LinkBelow(stack.lower, path));
      if (!target) continue;
      links.push_back(path);
    }
    HULL_TRY(Walk(stack, needed).To(path, LastName::kFollowed));
  }
  for (const std::string& path : hard_link_targets) {
    HULL_ASSIGN(std::optional<std::string> target, Walk(stack, needed).To(path, LastName::kAsItIs));
    needed.insert(target ? *std::move(target) : path);
  }
  return std::vector<std::string>(needed.begin(), needed.end());
}

}  // namespace hull::images
