// Tars in memory, for tests: good ones and hostile ones, made by libarchive and not by hull.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

struct archive;

namespace hull::images::testing {

struct TarEntry {
  std::string path = {};
  uint32_t mode = 0100644;     // type and permissions
  std::string content = {};    // regular files
  std::string target = {};     // symbolic links
  std::string hard_link = {};  // not empty: a hard link to this
  int64_t uid = 0;
  int64_t gid = 0;
  int64_t mtime_s = 1000;
  long mtime_ns = 0;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  std::map<std::string, std::string> xattrs = {};
  int acl_group = -1;  // permissions of the group in an ACL whose mask has those of `mode`
};

class TarBuilder {
 public:
  TarBuilder();
  TarBuilder(const TarBuilder&) = delete;
  TarBuilder& operator=(const TarBuilder&) = delete;
  ~TarBuilder();

  TarBuilder& Add(const TarEntry& entry);
  TarBuilder& File(std::string path, std::string content = "x") {
    return Add({.path = std::move(path), .content = std::move(content)});
  }
  TarBuilder& Directory(std::string path, uint32_t permissions = 0755) {
    return Add({.path = std::move(path), .mode = 0040000 | permissions});
  }
  TarBuilder& Link(std::string path, std::string target) {
    return Add({.path = std::move(path), .mode = 0120777, .target = std::move(target)});
  }
  TarBuilder& HardLink(std::string path, std::string target) {
    return Add({.path = std::move(path), .hard_link = std::move(target)});
  }
  // The whole tar; the builder is used up.
  std::string Finish();

 private:
  archive* writer_;
  std::string tar_;
};

std::string Gzip(std::string_view data);
std::string Zstd(std::string_view data);
std::string Xz(std::string_view data);
std::string Bzip2(std::string_view data);

}  // namespace hull::images::testing
