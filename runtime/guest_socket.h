// The host's end of a sandbox's vsock: Unix sockets with the hybrid convention (ARCHITECTURE.md,
// "vsock").
#pragma once

#include <cstdint>
#include <string>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

// Listens where a guest arrives that dials the host's `port`. `vsock_path` is the sandbox's socket.
Result<UniqueFd> ListenForGuest(const std::string& vsock_path, uint32_t port);

// A connection to `port` of the guest, ready for bytes both ways; blocking socket. Waits for the
// VMM's answer, at most `timeout_ms`. kUnavailable: nobody listens there, or the virtual machine is
// gone. kCorrupt: the answer is none.
Result<UniqueFd> ConnectToGuest(const std::string& vsock_path, uint32_t port, int timeout_ms);

}  // namespace hull
