// Connections to a guest's stream port (agent.proto, port 1025): a process's streams, and archives.
#pragma once

#include <string>

#include "guest-agent/protocol/agent.pb.h"
#include "runtime/containers.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

// `socket` is connected to the stream port: asks for a stream and waits for the agent's word. The
// blocking socket comes back. The agent's reasons are escaped for a terminal.
Result<UniqueFd> OpenGuestStream(UniqueFd socket, const agent::v1::StreamOpen& open);

// Of a container that runs here.
Result<UniqueFd> DialGuestStream(const Containers& containers, const agent::v1::StreamOpen& open);

}  // namespace hull
