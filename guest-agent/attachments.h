// Files of the host's that a container mounts: each a layer, packed by the host, read-only.
#pragma once

#include <string>
#include <vector>

#include "guest-agent/protocol/agent.pb.h"
#include "vmm/base/result.h"

namespace hull::agent {

using Attachments = google::protobuf::RepeatedPtrField<v1::Attachment>;

// kInvalidArgument names the field.
Status ValidateAttachments(const Attachments& attachments);

// Mounts each on `<directory>/<name>`; nothing happens when there are none. After an error nothing
// is mounted.
Status MountAttachments(const Attachments& attachments, const std::string& directory);

// Unmounts whatever is mounted below `directory`, and removes it. Fine when it is not there.
void UnmountAttachments(const std::string& directory);

}  // namespace hull::agent
