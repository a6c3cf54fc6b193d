// The host's side of a copy: hull-archive on this host's files, in a process of its own.
#pragma once

#include <cstdint>
#include <string>

#include "vmm/base/result.h"

namespace hull::cli {

// Sends the file or tree at `path` (absolute), under `name`, as chunks on `socket`. Returns how
// many bytes of tar that was.
Result<uint64_t> SendLocal(int socket, const std::string& path, bool follow_link,
                           const std::string& name);

struct ReceivedLocal {
  uint64_t tar_bytes = 0;
  std::string warnings;  // lines, fit for a terminal
};

// Extracts the chunks from `socket`, which a guest sends, into `directory`, out of which nothing
// gets, and in which nothing is made but `name` (".": whatever comes). The sender's own failure is
// the error, if it had one.
Result<ReceivedLocal> ReceiveLocal(int socket, const std::string& directory,
                                   const std::string& name, bool keep_owner);

}  // namespace hull::cli
