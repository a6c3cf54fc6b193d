// What the vsock device bounds, so that neither a guest nor a program on the host can make the VMM
// grow.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace hull::vsock {

// Connections of every state together, those not yet asked for included.
inline constexpr size_t kMaxConnections = 1024;
// Of them, what the guest cannot take: the host must always be able to reach the agent.
inline constexpr size_t kReservedForHost = 64;

// What the guest may have on its way to the host on one connection. Linux never has more than 256
// KiB in flight, whatever it is offered (its own buffer size caps it).
inline constexpr uint32_t kLargeBufferBytes = 256U << 10U;
// What a connection gets when so many are open that the large buffers together would be too much.
inline constexpr uint32_t kSmallBufferBytes = 16U << 10U;
// All large buffers together. With the small ones, the VMM never holds more than
// kLargeBuffersTotalBytes + kMaxConnections * kSmallBufferBytes = 32 MiB for slow readers.
inline constexpr uint64_t kLargeBuffersTotalBytes = 16U << 20U;

// What is read from a host socket at once: enough that system calls and interrupts do not matter,
// and little enough that connections take turns.
inline constexpr uint32_t kReadBytes = 128U << 10U;
// Guest packets written to a host socket at once.
inline constexpr uint32_t kWriteBytes = 256U << 10U;
// Transmit buffers that are done with are given back together with the next packet for the guest,
// so that one interrupt tells of both: each costs the guest two exits to the VMM. At the latest
// when so many of them, or bytes in them, are kept, or after so long (somebody in the guest may
// wait for his buffer).
inline constexpr size_t kMaxKeptBuffers = 16;
inline constexpr uint64_t kMaxKeptBytes = 128U << 10U;
inline constexpr std::chrono::milliseconds kMaxKeptTime{20};
// Packets of the guest, and reads for it, handled before other devices get their turn.
inline constexpr uint32_t kPacketsPerTurn = 256;
inline constexpr uint32_t kReadsPerTurn = 16;
// Refusals that wait for room in the receive queue. With more, the guest's packets are left in the
// transmit queue until it takes some (virtio 1.2, 5.10.6.1.2).
inline constexpr size_t kMaxPendingResets = 128;

// How long each step of a connection's life may take. Tests make it shorter.
struct TimeLimits {
  // From connecting to the Unix socket to the end of its "CONNECT <port>\n".
  std::chrono::milliseconds connect_line = std::chrono::seconds(10);
  // From then until the guest's driver is ready.
  std::chrono::milliseconds driver = std::chrono::seconds(60);
  // From the request until the guest has answered.
  std::chrono::milliseconds answer = std::chrono::seconds(10);
  // From closing both directions until the guest has confirmed (Linux itself waits 8 s).
  std::chrono::milliseconds close = std::chrono::seconds(10);
  // How often limits are looked at, and half-closed host sockets for a peer that has gone. Nothing
  // is looked at while there are no such connections.
  std::chrono::milliseconds tick = std::chrono::seconds(1);
};

// Host ports of connections that the host makes, in turn. Guests' own choices are usually lower.
inline constexpr uint32_t kFirstHostPort = 1U << 30U;
inline constexpr uint32_t kLastHostPort = (1U << 31U) - 1;

}  // namespace hull::vsock
