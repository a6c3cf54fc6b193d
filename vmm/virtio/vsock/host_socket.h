// The host's side of vsock: Unix stream sockets, non-blocking and close-on-exec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/memory/guest_slice.h"

namespace hull::vsock {

// Listens at `path`, readable and writable for this user alone (0600) from the first moment. A
// socket that is left there by a process that has ended is replaced. kInvalidArgument when the path
// is too long for a socket, kAlreadyExists when somebody listens there or it is not a socket.
Result<UniqueFd> ListenAt(const std::string& path);

// The next connection that waits; an invalid descriptor when there is none.
Result<UniqueFd> AcceptFrom(int listener);

// Connects at once or not at all (kUnavailable): a Unix socket whose owner listens always can.
Result<UniqueFd> ConnectTo(const std::string& path);

struct SocketResult {
  size_t bytes = 0;     // moved; 0 when the socket is full or empty
  bool ended = false;   // reading: the peer has ended its direction
  bool broken = false;  // the peer has gone, or the socket is of no use otherwise
};

// Sends what the socket takes now, never raising SIGPIPE. `vectors` is left as it is.
SocketResult SendTo(int socket, const IoVectors& vectors);
SocketResult SendTo(int socket, std::span<const std::byte> data);
// Receives what is there now into guest memory. `vectors` is not empty.
SocketResult ReceiveFrom(int socket, const IoVectors& vectors);

// Throws away what the peer has sent and nobody wants: closing a Unix socket with unread data would
// make the peer's next read fail with ECONNRESET instead of telling it the end. Both directions are
// shut down.
void DiscardUnread(int socket);

}  // namespace hull::vsock
