#include "images/import/layer_tree.h"

#include <linux/limits.h>
#include <linux/xattr.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace hull::images {
namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kWhiteoutMetaPrefix = ".wh..wh.";
constexpr std::string_view kOpaqueMarker = ".wh..wh..opq";
// As the kernel's own limit on links in a path (MAXSYMLINKS).
constexpr int kLinkHops = 40;
// PATH_MAX leaves room for this many names; deeper could never be opened by its path.
constexpr size_t kDepth = PATH_MAX / 2;
// EROFS counts the bytes of a file's attributes in units of four, in 16 bits (erofs_fs.h).
constexpr size_t kXattrBytes = size_t{65'534} * 4;
constexpr size_t kXattrHeadBytes = 8;  // before each, and to round up
// Files of layers below that one layer may link to.
constexpr size_t kMaxLowerLinks = 10'000;

std::string Quoted(std::string_view path) {
  return fmt::format("\"{}\"", path);
}

Status CheckName(std::string_view name) {
  if (name.size() <= NAME_MAX) return {};
  return Fail(ErrorCode::kCorrupt, "has a name of {} bytes; {} is the most there can be",
              name.size(), NAME_MAX);
}

// The names in `path`, last one first, without empty ones and ".".
std::vector<std::string> NamesReversed(std::string_view path) {
  std::vector<std::string> names;
  while (!path.empty()) {
    const size_t slash = path.rfind('/');
    const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
    path = path.substr(0, slash == std::string_view::npos ? 0 : slash);
    if (!name.empty() && name != ".") names.emplace_back(name);
  }
  return names;
}

// As NamesReversed, with ".." taken as written: "a/../b" is "b", whatever a is.
Result<std::vector<std::string>> CleanNamesReversed(std::string_view path) {
  std::vector<std::string> clean;
  std::vector<std::string> names = NamesReversed(path);
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (*name != "..") {
      clean.push_back(std::move(*name));
    } else if (clean.empty()) {
      return Fail(ErrorCode::kCorrupt, "climbs out of the image");
    } else {
      clean.pop_back();
    }
  }
  std::reverse(clean.begin(), clean.end());
  return clean;
}

// The directories that tar entries imply are made as mkdir -p by root would.
Metadata ImplicitDirectory() {
  Metadata metadata;
  metadata.mode = S_IFDIR | 0755;
  return metadata;
}

// Overlayfs keeps its own state in these; from an image they could redirect one file to another.
bool IsOverlayXattr(std::string_view name) {
  return name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.");
}

bool IsStorableXattr(std::string_view name) {
  constexpr std::string_view kPrefixes[] = {XATTR_USER_PREFIX, XATTR_TRUSTED_PREFIX,
                                            XATTR_SECURITY_PREFIX};
  for (const std::string_view prefix : kPrefixes) {
    if (name.starts_with(prefix) && name.size() > prefix.size()) return true;
  }
  return name == XATTR_NAME_POSIX_ACL_ACCESS || name == XATTR_NAME_POSIX_ACL_DEFAULT;
}

// "a//./b/" as "a/b".
Result<std::string> CleanPath(std::string_view path) {
  HULL_ASSIGN(const std::vector<std::string> reversed, CleanNamesReversed(path));
  std::string clean;
  for (auto name = reversed.rbegin(); name != reversed.rend(); ++name) {
    clean += (clean.empty() ? "" : "/") + *name;
  }
  return clean;
}

// Out of line: g++ 12 believes that a short string's buffer is read uninitialised when this is
// inlined.
[[gnu::noinline]] bool IsWhiteout(std::string_view name) {
  return name.starts_with(kWhiteoutPrefix);
}

// aufs keeps files that have several names in a directory of its own (".wh..wh.plnk"): they are
// what links lead to, and not to be seen.
void RemoveMeta(Inode& directory) {
  const auto first = directory.children.lower_bound(kWhiteoutMetaPrefix);
  auto last = first;
  while (last != directory.children.end() && last->first.starts_with(kWhiteoutMetaPrefix)) ++last;
  directory.children.erase(first, last);
}

void AddXattr(Inode& inode, Xattr xattr) {
  std::vector<Xattr>& xattrs = inode.metadata.xattrs;
  const auto place = std::upper_bound(xattrs.begin(), xattrs.end(), xattr);
  xattrs.insert(place, std::move(xattr));
}

}  // namespace

bool IsDirectory(const Inode& inode) {
  return S_ISDIR(inode.metadata.mode);
}

LayerTree::LayerTree(const TreeLimits& limits) : limits_(limits) {
  root_ = &inodes_.emplace_back();
  root_->metadata = ImplicitDirectory();
  root_->implicit = true;
  root_->links = 1;
}

Status LayerTree::Account(uint64_t text_bytes) {
  if (++entries_ > limits_.entries) {
    return Fail(ErrorCode::kExhausted, "the layer has more than {} entries", limits_.entries);
  }
  text_bytes_ += text_bytes;
  if (text_bytes_ > limits_.text_bytes) {
    return Fail(ErrorCode::kExhausted, "names and attributes of the layer are over {} bytes",
                limits_.text_bytes);
  }
  return {};
}

Status LayerTree::KeepUsableXattrs(Metadata& metadata) {
  uint64_t bytes = 0;
  uint64_t name_bytes = 0;
  std::vector<Xattr>& xattrs = metadata.xattrs;
  const size_t before = xattrs.size();
  std::erase_if(xattrs, [](const Xattr& xattr) {
    return IsOverlayXattr(xattr.name) || !IsStorableXattr(xattr.name);
  });
  dropped_xattrs_ += before - xattrs.size();
  // bsdtar writes each one twice (as SCHILY.xattr and as LIBARCHIVE.xattr): the first of a name is
  // the one.
  std::stable_sort(xattrs.begin(), xattrs.end(),
                   [](const Xattr& a, const Xattr& b) { return a.name < b.name; });
  const auto is_same = [](const Xattr& a, const Xattr& b) { return a.name == b.name; };
  xattrs.erase(std::unique(xattrs.begin(), xattrs.end(), is_same), xattrs.end());
  for (const Xattr& xattr : xattrs) {
    if (xattr.name.size() > XATTR_NAME_MAX || xattr.value.size() >= XATTR_SIZE_MAX) {
      return Fail(ErrorCode::kCorrupt,
                  "has an extended attribute with a name of {} and a value of {} bytes",
                  xattr.name.size(), xattr.value.size());
    }
    bytes += kXattrHeadBytes + xattr.name.size() + xattr.value.size();
    name_bytes += xattr.name.size() + 1;
  }
  if (bytes > kXattrBytes || name_bytes > XATTR_LIST_MAX) {
    return Fail(ErrorCode::kCorrupt,
                "has {} bytes of extended attributes and {} of their names; {} and {} are the most "
                "there can be",
                bytes, name_bytes, kXattrBytes, XATTR_LIST_MAX);
  }
  return Account(bytes);
}

Result<Inode*> LayerTree::NewInode(Metadata metadata) {
  HULL_TRY(KeepUsableXattrs(metadata));
  Inode& inode = inodes_.emplace_back();
  inode.metadata = std::move(metadata);
  return &inode;
}

Result<Inode*> LayerTree::MakeImplicit(Inode& parent, const std::string& name) {
  HULL_ASSIGN(Inode * made, NewInode(ImplicitDirectory()));
  made->implicit = true;
  made->links = 1;
  parent.children.emplace(name, made);
  return made;
}

// Follows symbolic links of this layer in all but the last name, inside the image. A tar may hold
// "lib -> usr/lib" and then "lib/x": the file then belongs into usr/lib, as on a root it is
// unpacked to.
Result<LayerTree::Place> LayerTree::Locate(std::string_view path, bool create) {
  if (path.size() >= PATH_MAX) {
    return Fail(ErrorCode::kCorrupt, "is a path of {} bytes; {} is the most there can be",
                path.size(), PATH_MAX - 1);
  }
  HULL_ASSIGN(std::vector<std::string> todo, CleanNamesReversed(path));
  std::vector<Inode*> above = {root_};  // from the root to where the walk stands
  int hops = 0;
  while (todo.size() > 1) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    Inode& directory = *above.back();
    if (name == "..") {
      if (above.size() == 1)
        return Fail(ErrorCode::kCorrupt, "climbs out of the image by a symbolic link");
      above.pop_back();
      continue;
    }
    HULL_TRY(CheckName(name));
    const auto found = directory.children.find(name);
    if (found == directory.children.end()) {
      if (!create) return Fail(ErrorCode::kNotFound, "is not in the layer");
      HULL_ASSIGN(Inode * made, MakeImplicit(directory, name));
      above.push_back(made);
    } else if (IsDirectory(*found->second)) {
      above.push_back(found->second);
    } else if (S_ISLNK(found->second->metadata.mode)) {
      if (++hops > kLinkHops)
        return Fail(ErrorCode::kCorrupt, "leads through too many symbolic links");
      const std::string& target = found->second->target;
      if (target.starts_with('/')) above.resize(1);
      for (std::string& step : NamesReversed(target)) todo.push_back(std::move(step));
    } else {
      return Fail(ErrorCode::kCorrupt, "leads through {}, which is not a directory", Quoted(name));
    }
    if (above.size() > kDepth)
      return Fail(ErrorCode::kCorrupt, "is more than {} directories deep", kDepth);
  }
  if (todo.empty()) return Place{root_, std::string()};
  HULL_TRY(CheckName(todo.front()));
  return Place{above.back(), todo.front()};
}

Status LayerTree::AddWhiteout(Inode& parent, std::string_view name) {
  if (name == kOpaqueMarker) {
    parent.opaque = true;
    return {};
  }
  // aufs' own bookkeeping (".wh..wh.plnk", ".wh..wh.aufs") means nothing to anyone else.
  if (name.starts_with(kWhiteoutMetaPrefix)) return {};
  const std::string_view hidden = name.substr(kWhiteoutPrefix.size());
  if (hidden.empty() || hidden == "." || hidden == "..") {
    return Fail(ErrorCode::kCorrupt, "is a whiteout of no file");
  }
  parent.whiteouts.emplace(hidden);
  return Account(hidden.size());
}

Result<Inode*> LayerTree::Add(std::string_view path, Metadata metadata) {
  const auto attempt = [&] { return Quoted(path); };
  HULL_TRY_WITHIN(attempt(), Account(path.size()));
  HULL_ASSIGN_WITHIN(attempt(), const Place place, Locate(path, true));
  const bool is_directory = S_ISDIR(metadata.mode);
  if (IsWhiteout(place.name)) {
    HULL_TRY_WITHIN(attempt(), AddWhiteout(*place.parent, place.name));
    return nullptr;
  }
  Inode* existing = nullptr;
  if (place.name.empty()) {
    if (!is_directory)
      return Fail(ErrorCode::kCorrupt, "{} makes the root something else", attempt());
    existing = root_;
  } else if (const auto found = place.parent->children.find(place.name);
             found != place.parent->children.end()) {
    existing = found->second;
  }
  if (existing != nullptr && is_directory && IsDirectory(*existing)) {
    HULL_TRY_WITHIN(attempt(), KeepUsableXattrs(metadata));
    existing->metadata = std::move(metadata);
    existing->implicit = false;
    return existing;
  }
  HULL_ASSIGN_WITHIN(attempt(), Inode * inode, NewInode(std::move(metadata)));
  inode->links = 1;
  if (existing != nullptr) --existing->links;
  place.parent->children.insert_or_assign(place.name, inode);
  return inode;
}

Status LayerTree::AddHardLink(std::string_view path, std::string_view target) {
  const auto attempt = [&] {
    return fmt::format("{}, a hard link to {}", Quoted(path), Quoted(target));
  };
  HULL_TRY_WITHIN(attempt(), Account(path.size()));
  // aufs makes its whiteouts links of each other: the name alone counts.
  if (IsWhiteout(path.substr(path.rfind('/') + 1))) {
    HULL_ASSIGN_WITHIN(attempt(), const Place place, Locate(path, true));
    HULL_TRY_WITHIN(attempt(), AddWhiteout(*place.parent, place.name));
    return {};
  }
  const Result<Place> from = Locate(target, false);
  if (!from && from.error().code() != ErrorCode::kNotFound) {
    return Fail(Error(from.error()).Within(attempt() + ": the target"));
  }
  if (from && from->name.empty()) {
    return Fail(ErrorCode::kCorrupt, "{}: the target is a directory", attempt());
  }
  const bool there = from && from->parent->children.contains(from->name);
  if (!there) {
    HULL_TRY_WITHIN(attempt(), LinkBelow(path, target));
    return {};
  }
  const auto source = from->parent->children.find(from->name);
  Inode* inode = source->second;
  if (IsDirectory(*inode)) {
    return Fail(ErrorCode::kCorrupt, "{}: the target is a directory", attempt());
  }
  HULL_ASSIGN_WITHIN(attempt(), const Place place, Locate(path, true));
  if (place.name.empty()) {
    return Fail(ErrorCode::kCorrupt, "{}: no name for a hard link", attempt());
  }
  const auto existing = place.parent->children.find(place.name);
  if (existing != place.parent->children.end()) {
    if (existing->second == inode) return {};
    --existing->second->links;
  }
  ++inode->links;
  place.parent->children.insert_or_assign(place.name, inode);
  return {};
}

Status LayerTree::LinkBelow(std::string_view path, std::string_view target) {
  if (!below_.empty()) return Fail(ErrorCode::kCorrupt, "the target is not in the layer");
  HULL_ASSIGN(const std::string name, CleanPath(path));
  HULL_ASSIGN(std::string wanted, CleanPath(target));
  // It is told to others as a line of text.
  const bool plain = std::all_of(wanted.begin(), wanted.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' && c != '\\' && c != '\x7f';
  });
  if (wanted.empty() || !plain) return Fail(ErrorCode::kCorrupt, "the target is not in the layer");
  // A link to what was left out itself.
  if (!left_out_.contains(wanted)) lower_links_.insert(std::move(wanted));
  left_out_.insert(name);
  if (lower_links_.size() > kMaxLowerLinks) {
    return Fail(ErrorCode::kExhausted, "links to more than {} files of layers below",
                kMaxLowerLinks);
  }
  return {};
}

Result<Inode*> LayerTree::AddBelow(std::string_view path, Metadata metadata) {
  HULL_ASSIGN(Inode* const inode, Add(path, std::move(metadata)));
  if (inode == nullptr || IsDirectory(*inode)) {
    return Fail(ErrorCode::kCorrupt, "{} is no file of a layer below", Quoted(path));
  }
  below_.insert(inode);
  return inode;
}

// Whether nothing is left of a directory that the tar has no entry for.
bool LayerTree::RemoveBelow(Inode& directory) {
  std::erase_if(directory.children, [this](auto& child) {
    Inode& inode = *child.second;
    if (IsDirectory(inode)) return RemoveBelow(inode);
    if (!below_.contains(&inode)) return false;
    --inode.links;
    return true;
  });
  return directory.implicit && directory.children.empty();
}

void LayerTree::ResolveWhiteouts() {
  // inodes_ grows while it is walked: an index, not an iterator.
  const size_t count = inodes_.size();
  for (size_t i = 0; i < count; ++i) {
    Inode& directory = inodes_[i];
    RemoveMeta(directory);
    bool has_whiteouts = false;
    if (directory.opaque && !below_.empty()) RemoveBelow(directory);
    for (const std::string& name : directory.whiteouts) {
      // A whiteout hides what lower layers have and nothing of its own layer (OCI image-spec,
      // layer.md). A directory that is new in its place must not show what the lower one held.
      auto found = directory.children.find(name);
      if (found != directory.children.end() && !below_.empty()) {
        Inode& hidden = *found->second;
        if (IsDirectory(hidden) ? RemoveBelow(hidden) : below_.contains(&hidden)) {
          --hidden.links;
          directory.children.erase(found);
          found = directory.children.end();
        }
      }
      if (found != directory.children.end()) {
        if (IsDirectory(*found->second)) found->second->opaque = true;
        continue;
      }
      Inode& whiteout = inodes_.emplace_back();
      whiteout.metadata.mode = S_IFCHR;
      whiteout.links = 1;
      directory.children.emplace(name, &whiteout);
      has_whiteouts = true;
    }
    directory.whiteouts.clear();
    // Overlayfs lists a directory that no other layer has as it is, with the whiteouts in it,
    // unless this says that there may be some (fs/overlayfs/inode.c, ovl_get_inode).
    if (has_whiteouts) AddXattr(directory, {"trusted.overlay.origin", ""});
  }
  for (Inode& inode : inodes_) {
    if (inode.opaque) AddXattr(inode, {"trusted.overlay.opaque", "y"});
  }
}

std::vector<std::string> LayerTree::ImplicitDirectories() const {
  struct Pending {
    const Inode* inode;
    std::string path;
  };
  std::vector<std::string> paths;
  std::vector<Pending> pending = {{root_, ""}};
  while (!pending.empty()) {
    const Pending current = std::move(pending.back());
    pending.pop_back();
    if (current.inode->implicit) paths.push_back(current.path);
    for (const auto& [name, child] : current.inode->children) {
      // One that a whiteout stands beside is new, whatever is below; what is in it as well.
      if (!IsDirectory(*child) || current.inode->whiteouts.contains(name)) continue;
      pending.push_back({child, current.path.empty() ? name : current.path + "/" + name});
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace hull::images
