// Files of this host packed into an EROFS file, which a virtual machine can have where it cannot
// have the files themselves.
//
// Unlike everything else in this folder it reads the host's files, which are trusted; what comes of
// them is as bounded all the same, since a path may lead to more than its owner thought of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/result.h"

namespace hull::images {

struct PackSource {
  std::string path;  // a file, or a directory with all that is below it; a link is followed
  // Also what is mounted below it, as rbind has it.
  bool with_mounts = false;
};

struct PackLimits {
  uint64_t bytes = 0;
  uint64_t entries = 0;
};

// Source n becomes "/n" of the file system on `image_fd`, an empty file. Owners, modes and times
// are kept; links are kept as links, files with several names become several files. Extended
// attributes are not taken over, nor sockets, pipes, devices, and what OCI's layers mean otherwise
// (".wh.*"). A file that changes meanwhile is as long as it was when it was opened. kNotFound: a
// source is not there; kExhausted: the limits, or the disk.
Status PackFiles(const std::vector<PackSource>& sources, int image_fd, const PackLimits& limits);

}  // namespace hull::images
