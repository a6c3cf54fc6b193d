// ttrpc frames: encoder and decoder without any I/O.
//
// A frame is a header of 10 bytes (data length and stream id, big-endian 32 bits each; type; flags)
// and its data, at most 4 MiB.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull::ttrpc {

inline constexpr size_t kHeaderBytes = 10;
inline constexpr size_t kMaxDataBytes = size_t{4} << 20;

enum class FrameType : uint8_t { kRequest = 1, kResponse = 2, kData = 3 };

// Flags of kRequest and kData. A unary request has none, or kRemoteClosed.
inline constexpr uint8_t kFlagRemoteClosed = 0x01;
inline constexpr uint8_t kFlagRemoteOpen = 0x02;

struct Frame {
  uint32_t stream_id = 0;
  FrameType type = FrameType::kRequest;
  uint8_t flags = 0;
  std::string data;
};

// Header and data in one string. kExhausted when `data` is longer than kMaxDataBytes.
Result<std::string> EncodeFrame(uint32_t stream_id, FrameType type, uint8_t flags,
                                std::string_view data);

// Takes bytes as they arrive, in pieces of any size, and gives whole frames.
// Memory: grows with what has really arrived, never with what a header announces. Whoever feeds it
// takes the frames out (Next() until there is none) before feeding more.
class FrameDecoder {
 public:
  void Feed(std::span<const std::byte> bytes);

  // The next whole frame, or nothing yet. kCorrupt: the peer broke the protocol; from then on that
  // is the only answer, and the connection is of no more use.
  Result<std::optional<Frame>> Next();

  // Between two frames: an end of the connection here loses nothing.
  bool AtBoundary() const { return consumed_ == buffer_.size(); }

 private:
  std::string buffer_;
  size_t consumed_ = 0;  // bytes of buffer_ that were given out as frames
};

}  // namespace hull::ttrpc
