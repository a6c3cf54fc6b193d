#include "guest-agent/protocol/frame.h"

#include <utility>

namespace hull::ttrpc {
namespace {

void AppendBigEndian(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>((value >> shift) & 0xff));
  }
}

uint32_t BigEndianAt(std::string_view bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    value = (value << 8) | static_cast<unsigned char>(bytes[offset + i]);
  }
  return value;
}

}  // namespace

Result<std::string> EncodeFrame(uint32_t stream_id, FrameType type, uint8_t flags,
                                std::string_view data) {
  if (data.size() > kMaxDataBytes) {
    return Fail(ErrorCode::kExhausted, "a message of {} bytes is larger than the cap of {}",
                data.size(), kMaxDataBytes);
  }
  std::string frame;
  frame.reserve(kHeaderBytes + data.size());
  AppendBigEndian(frame, static_cast<uint32_t>(data.size()));
  AppendBigEndian(frame, stream_id);
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  frame.append(data);
  return frame;
}

void FrameDecoder::Feed(std::span<const std::byte> bytes) {
  if (consumed_ > 0) {
    buffer_.erase(0, consumed_);
    consumed_ = 0;
  }
  // SAFETY: bytes as chars; the range is the span's own.
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<std::optional<Frame>> FrameDecoder::Next() {
  const std::string_view rest = std::string_view(buffer_).substr(consumed_);
  if (rest.size() < kHeaderBytes) return std::nullopt;
  // A broken header is left where it is: asking again gives the same answer.
  const uint32_t data_bytes = BigEndianAt(rest, 0);
  if (data_bytes > kMaxDataBytes) {
    return Fail(ErrorCode::kCorrupt,
                "ttrpc: the peer announces a message of {} bytes; the cap is {}", data_bytes,
                kMaxDataBytes);
  }
  const auto type = static_cast<uint8_t>(rest[8]);
  if (type < static_cast<uint8_t>(FrameType::kRequest) ||
      type > static_cast<uint8_t>(FrameType::kData)) {
    return Fail(ErrorCode::kCorrupt, "ttrpc: the peer sent a frame of unknown type {}", type);
  }
  if (rest.size() - kHeaderBytes < data_bytes) return std::nullopt;

  Frame frame;
  frame.stream_id = BigEndianAt(rest, 4);
  frame.type = static_cast<FrameType>(type);
  frame.flags = static_cast<uint8_t>(rest[9]);
  frame.data = rest.substr(kHeaderBytes, data_bytes);
  consumed_ += kHeaderBytes + data_bytes;
  return std::optional<Frame>(std::move(frame));
}

}  // namespace hull::ttrpc
