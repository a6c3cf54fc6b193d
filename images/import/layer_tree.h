// One image layer as a tree in memory: what its tar says, with OCI's whiteouts turned into
// overlayfs'.
//
// Entries come in the order of the tar; a later one replaces an earlier one of the same name.
// Nothing here touches the host's file system, so no name and no link in a hostile tar can reach
// it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull::images {

struct Xattr {
  std::string name;  // in full: "security.capability"
  std::string value;
  auto operator<=>(const Xattr&) const = default;
};

// What every kind of file has.
struct Metadata {
  uint32_t mode = 0;  // type and permissions, as in stat(2)
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;
  std::vector<Xattr> xattrs;
};

struct Inode {
  Metadata metadata;
  uint32_t links = 0;   // names that lead here; directories count as in stat(2) only when written
  uint32_t device = 0;  // character and block devices: as the kernel encodes it (new_encode_dev)
  uint64_t size_bytes = 0;   // regular files
  uint32_t first_block = 0;  // regular files: where the data is in the EROFS file
  std::string target;        // symbolic links

  // Directories.
  std::map<std::string, Inode*, std::less<>> children;  // sorted by bytes, as EROFS wants them
  std::set<std::string, std::less<>> whiteouts;         // names that hide what lower layers have
  bool opaque = false;                                  // hides all that lower layers have in it
  bool implicit = false;  // the tar has files in it but no entry for it
};

bool IsDirectory(const Inode& inode);

// Caps on what a tar can make hull keep in memory.
struct TreeLimits {
  uint64_t entries = 4'000'000;
  uint64_t text_bytes = uint64_t{1} << 30;  // names, link targets, extended attributes
};

class LayerTree {
 public:
  explicit LayerTree(const TreeLimits& limits);
  LayerTree(const LayerTree&) = delete;
  LayerTree& operator=(const LayerTree&) = delete;

  // Adds a file of any kind but a hard link; the directories above are made when missing. A path
  // that names a whiteout (".wh.x", ".wh..wh..opq") makes that instead. Returns the new inode,
  // which lives as long as the tree, or null when the entry stands for something else (a whiteout).
  // kCorrupt: a path that climbs out of the image, or leads through something that is no directory.
  Result<Inode*> Add(std::string_view path, Metadata metadata);

  // Adds a further name for a file that the layer already has. One that it does not have may be of
  // a layer below: without such files (AddBelow) the name is left out, and the target is among
  // LowerLinks(); with them it is kCorrupt.
  Status AddHardLink(std::string_view path, std::string_view target);

  // A file of a layer below that hard links lead to, before the first entry of the tar: as if it
  // stood at the layer's beginning, but that whiteouts hide it. The new inode.
  Result<Inode*> AddBelow(std::string_view path, Metadata metadata);

  // Turns the whiteouts into overlayfs' form: a character device 0:0, or the attribute
  // trusted.overlay.opaque on a directory. Called once, after the last entry.
  void ResolveWhiteouts();

  Inode* root() { return root_; }
  // Paths of directories that the tar has no entry for; "" is the root.
  std::vector<std::string> ImplicitDirectories() const;
  // What hard links lead to and only a layer below can have, each once: names and single slashes.
  const std::set<std::string>& LowerLinks() const { return lower_links_; }
  // Attributes that no layer can carry and that were left out.
  uint64_t dropped_xattrs() const { return dropped_xattrs_; }

 private:
  struct Place {
    Inode* parent = nullptr;
    std::string name;  // empty: the root itself
  };

  Result<Place> Locate(std::string_view path, bool create);
  Result<Inode*> MakeImplicit(Inode& parent, const std::string& name);
  Result<Inode*> NewInode(Metadata metadata);
  Status AddWhiteout(Inode& parent, std::string_view name);
  Status LinkBelow(std::string_view path, std::string_view target);
  bool RemoveBelow(Inode& directory);
  Status Account(uint64_t text_bytes);
  Status KeepUsableXattrs(Metadata& metadata);

  TreeLimits limits_;
  uint64_t entries_ = 0;
  uint64_t text_bytes_ = 0;
  uint64_t dropped_xattrs_ = 0;
  std::deque<Inode> inodes_;  // stable addresses; also those no longer reachable
  Inode* root_;
  std::set<std::string> lower_links_;
  std::set<std::string> left_out_;  // names that lead to these
  std::set<const Inode*> below_;
};

}  // namespace hull::images
