// Reads back an EROFS file that hull wrote, for tests, checking what the kernel relies on. The
// kernel's own word is in tests/integration.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace hull::images::testing {

struct ErofsFile {
  uint64_t nid = 0;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;
  uint32_t links = 0;
  uint32_t device = 0;
  std::string content;  // of regular files; of links, the target
  std::map<std::string, std::string> xattrs;
};

// Every path of the image ("" is the root) and what is there. A broken image fails the running
// test.
std::map<std::string, ErofsFile> ReadErofs(std::string_view image);

}  // namespace hull::images::testing
