// An archive on a stream connection (agent.proto, Archive): chunks of 1 to 65,536 bytes, each with
// its length in front (4 bytes, big-endian); a length of 0 ends them, and one frame with ArchiveEnd
// follows. So either side can tell a whole archive from one that broke off, and say why.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "guest-agent/protocol/agent.pb.h"
#include "vmm/base/result.h"

namespace hull::agent {

inline constexpr size_t kMaxChunkBytes = 64 * 1024;

// The sending side, on a blocking socket that stays the caller's.
class ChunkSender {
 public:
  explicit ChunkSender(int socket);

  // Sends when a chunk is full.
  Status Write(std::span<const std::byte> data);
  // Sends what is left, and the end. Nothing may be written after it.
  Status Finish(const v1::ArchiveEnd& end);
  uint64_t data_bytes() const { return data_bytes_; }

 private:
  Status Flush();

  uint64_t data_bytes_ = 0;

  int socket_;
  std::vector<std::byte> chunk_;  // with room for the length in front
};

// The receiving side, on a blocking socket that stays the caller's.
class ChunkReceiver {
 public:
  explicit ChunkReceiver(int socket);

  // The next bytes, good until the next call; empty at the end, when end() is there. kCorrupt: the
  // peer breaks the format; kUnavailable: it closed the connection before the end.
  Result<std::span<const std::byte>> Next();
  const v1::ArchiveEnd& end() const { return end_; }
  uint64_t data_bytes() const { return data_bytes_; }

 private:
  uint64_t data_bytes_ = 0;
  int socket_;
  bool ended_ = false;
  std::vector<std::byte> chunk_;
  v1::ArchiveEnd end_;
};

// Waits for the answer to what a ChunkSender has sent: an end without chunks before it.
Result<v1::ArchiveEnd> ReceiveArchiveEnd(int socket);

// `status` as an end; ToArchiveError is the way back (an end with code 0 is no error: do not ask).
v1::ArchiveEnd MakeArchiveEnd(const Status& status);
Error ToArchiveError(const v1::ArchiveEnd& end);

}  // namespace hull::agent
