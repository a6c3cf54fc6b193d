// The fake guest's files: what Stat and archives show of a directory of this host.
#pragma once

#include <string>

#include "guest-agent/protocol/agent.pb.h"
#include "vmm/base/result.h"

namespace hull::fakes {

// kNotFound.
Result<agent::v1::StatResponse> StatFile(const std::string& files, const std::string& path,
                                         bool follow_link);

// One archive on an open stream: READ and WRITE of `files` by hull-archive; CHANGES says that all
// of them were added, and LAYER has them all. If FAKE_ARCHIVE names a file its bytes are sent
// instead, whatever was asked for, and everything that comes is read.
void ServeArchive(int socket, const std::string& files, const agent::v1::Archive& archive);

}  // namespace hull::fakes
