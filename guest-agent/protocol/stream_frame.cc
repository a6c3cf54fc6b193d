#include "guest-agent/protocol/stream_frame.h"

#include <sys/socket.h>

#include <cerrno>

namespace hull::agent {
namespace {

Status ReceiveAll(int socket, std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t size = ::recv(socket, out.data(), out.size(), 0);
    if (size == 0) return Fail(ErrorCode::kUnavailable, "the peer closed the stream");
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return FailErrno("receive on the stream");
    out = out.subspan(static_cast<size_t>(size));
  }
  return {};
}

}  // namespace

Result<std::string> EncodeStreamFrame(const google::protobuf::MessageLite& message) {
  const std::string body = message.SerializeAsString();
  if (body.size() > kMaxStreamFrameBytes) {
    return Fail(ErrorCode::kExhausted,
                "a stream's first message of {} bytes is larger than the cap", body.size());
  }
  std::string frame;
  frame.reserve(kStreamFrameHeaderBytes + body.size());
  for (int shift = 24; shift >= 0; shift -= 8) {
    frame.push_back(static_cast<char>((body.size() >> shift) & 0xff));
  }
  return frame.append(body);
}

Result<uint32_t> DecodeStreamFrameLength(
    std::span<const std::byte, kStreamFrameHeaderBytes> header) {
  uint32_t size = 0;
  for (const std::byte byte : header) size = (size << 8) | std::to_integer<uint32_t>(byte);
  if (size > kMaxStreamFrameBytes) {
    return Fail(ErrorCode::kCorrupt, "the peer announces a stream's first message of {} bytes",
                size);
  }
  return size;
}

Status SendStreamFrame(int socket, const google::protobuf::MessageLite& message) {
  HULL_ASSIGN(const std::string frame, EncodeStreamFrame(message));
  std::string_view rest = frame;
  while (!rest.empty()) {
    const ssize_t size = ::send(socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return FailErrno("send on the stream");
    rest.remove_prefix(static_cast<size_t>(size));
  }
  return {};
}

Status ReceiveStreamFrame(int socket, google::protobuf::MessageLite& message) {
  std::byte header[kStreamFrameHeaderBytes];
  HULL_TRY(ReceiveAll(socket, header));
  HULL_ASSIGN(const uint32_t size, DecodeStreamFrameLength(header));
  std::string body(size, '\0');
  HULL_TRY(ReceiveAll(socket, std::as_writable_bytes(std::span(body))));
  if (!message.ParseFromString(body)) {
    return Fail(ErrorCode::kCorrupt, "a stream's first message is not what was expected");
  }
  return {};
}

}  // namespace hull::agent
