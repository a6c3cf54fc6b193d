// Looks a directory up in a layer that hull-import made. The file is hull's own, but what it was
// made of was not, and its maker read hostile data: everything read is checked against the file's
// size.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::images {

struct DirectoryFound {
  enum class Kind {
    kNothing,    // the layer says nothing of the path
    kDirectory,  // it is a directory here
    kHidden,     // it, or something above it, is whited out, made anew or no directory here
  };
  Kind kind = Kind::kNothing;
  bool opaque_above = false;   // a directory on the way, or it itself, hides what lower layers have
  bool opaque_on_way = false;  // a directory on the way does
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t mtime_s = 0;  // as EROFS has it
  uint32_t mtime_ns = 0;
  uint64_t inode_offset = 0;  // in the file
};

struct FileFound {
  enum class Kind {
    kNothing,  // the layer says nothing of the path
    kFile,     // it is something else than a directory here
    kHidden,   // it is whited out or a directory here, or something above it is
  };
  Kind kind = Kind::kNothing;
  bool opaque_above = false;
  uint64_t inode_offset = 0;
};

// What an inode that is no directory has.
struct FileContent {
  bool is_symbolic_link = false;
  std::string head;         // the inode and its extended attributes, as they stand in the file
  uint64_t data_bytes = 0;  // of regular files and symbolic links
  uint64_t data_offset = 0;
  std::string tail;  // the data's end, when it stands elsewhere
};

class LayerFile {
 public:
  static Result<LayerFile> Open(const std::string& path);

  const std::string& path() const { return path_; }

  // `path` as in FindDirectory.
  Result<FileFound> FindFile(std::string_view path) const;
  Result<FileContent> Describe(uint64_t inode_offset) const;
  Status ReadData(const FileContent& content,
                  const std::function<Status(std::string_view)>& take) const;

  // `path`: names separated by '/', none of them "." or "..". kCorrupt when the file is no such
  // layer.
  Result<DirectoryFound> FindDirectory(std::string_view path) const;

 private:
  struct Node;

  LayerFile(UniqueFd fd, std::string path, uint64_t size_bytes)
      : fd_(std::move(fd)), path_(std::move(path)), size_bytes_(size_bytes) {}
  Status ReadAt(uint64_t offset, char* out, uint64_t bytes) const;
  Result<Node> ReadNode(uint64_t nid) const;
  Result<Node> ReadNodeAt(uint64_t offset) const;
  Result<bool> IsOpaque(const Node& node) const;
  Result<std::string> ReadDirectory(const Node& node) const;

  UniqueFd fd_;
  std::string path_;
  uint64_t size_bytes_;
  uint64_t meta_offset_ = 0;
  uint64_t root_nid_ = 0;
};

}  // namespace hull::images
