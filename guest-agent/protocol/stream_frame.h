// The first frame in each direction of a stream connection (port 1025): a 4-byte big-endian length
// and one protobuf message (agent.proto: StreamOpen, StreamOpened).
#pragma once

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "vmm/base/result.h"

namespace hull::agent {

inline constexpr size_t kStreamFrameHeaderBytes = 4;
inline constexpr size_t kMaxStreamFrameBytes = 64 * 1024;

// Length and message. kExhausted when it is larger than kMaxStreamFrameBytes.
Result<std::string> EncodeStreamFrame(const google::protobuf::MessageLite& message);

// The length of the message behind these 4 bytes; kCorrupt when it breaks the cap.
Result<uint32_t> DecodeStreamFrameLength(
    std::span<const std::byte, kStreamFrameHeaderBytes> header);

// Sends `message` as a frame on a blocking socket.
Status SendStreamFrame(int socket, const google::protobuf::MessageLite& message);

// Receives one frame from a blocking socket into `message`, reading not one byte beyond it.
Status ReceiveStreamFrame(int socket, google::protobuf::MessageLite& message);

}  // namespace hull::agent
