#include "guest-agent/protocol/chunk_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "guest-agent/protocol/status.h"
#include "guest-agent/protocol/stream_frame.h"
#include "vmm/base/escape.h"

namespace hull::agent {
namespace {

constexpr size_t kMaxMessageBytes = 4096;

void PutLength(std::byte* out, size_t size) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<std::byte>((size >> (24 - 8 * i)) & 0xff);
}

Status SendAll(int socket, std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t size = ::send(socket, data.data(), data.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return FailErrno("send on the stream");
    data = data.subspan(static_cast<size_t>(size));
  }
  return {};
}

Status ReceiveAll(int socket, std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t size = ::recv(socket, out.data(), out.size(), MSG_WAITALL);
    if (size == 0) return Fail(ErrorCode::kUnavailable, "the connection broke off");
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return FailErrno("receive on the stream");
    out = out.subspan(static_cast<size_t>(size));
  }
  return {};
}

}  // namespace

ChunkSender::ChunkSender(int socket) : socket_(socket) {
  chunk_.reserve(kStreamFrameHeaderBytes + kMaxChunkBytes);
  chunk_.resize(kStreamFrameHeaderBytes);
}

Status ChunkSender::Flush() {
  const size_t size = chunk_.size() - kStreamFrameHeaderBytes;
  if (size == 0) return {};
  PutLength(chunk_.data(), size);
  Status sent = SendAll(socket_, chunk_);
  chunk_.resize(kStreamFrameHeaderBytes);
  return sent;
}

Status ChunkSender::Write(std::span<const std::byte> data) {
  data_bytes_ += data.size();
  while (!data.empty()) {
    const size_t room = kStreamFrameHeaderBytes + kMaxChunkBytes - chunk_.size();
    const size_t part = std::min(room, data.size());
    chunk_.insert(chunk_.end(), data.begin(), data.begin() + static_cast<ptrdiff_t>(part));
    data = data.subspan(part);
    if (part == room) HULL_TRY(Flush());
  }
  return {};
}

Status ChunkSender::Finish(const v1::ArchiveEnd& end) {
  HULL_TRY(Flush());
  std::array<std::byte, kStreamFrameHeaderBytes> zero{};
  HULL_TRY(SendAll(socket_, zero));
  return SendStreamFrame(socket_, end);
}

ChunkReceiver::ChunkReceiver(int socket) : socket_(socket) {}

Result<std::span<const std::byte>> ChunkReceiver::Next() {
  if (ended_) return std::span<const std::byte>();
  std::array<std::byte, kStreamFrameHeaderBytes> header{};
  HULL_TRY(ReceiveAll(socket_, header));
  uint32_t size = 0;
  for (const std::byte byte : header) size = (size << 8) | std::to_integer<uint32_t>(byte);
  if (size > kMaxChunkBytes) {
    return Fail(ErrorCode::kCorrupt, "the peer announces a chunk of {} bytes", size);
  }
  if (size == 0) {
    HULL_TRY(ReceiveStreamFrame(socket_, end_));
    ended_ = true;
    return std::span<const std::byte>();
  }
  chunk_.resize(size);
  data_bytes_ += size;
  HULL_TRY(ReceiveAll(socket_, chunk_));
  return std::span<const std::byte>(chunk_);
}

Result<v1::ArchiveEnd> ReceiveArchiveEnd(int socket) {
  ChunkReceiver receiver(socket);
  HULL_ASSIGN(const std::span<const std::byte> data, receiver.Next());
  if (!data.empty()) {
    return Fail(ErrorCode::kCorrupt, "the peer sends data where none belongs");
  }
  return receiver.end();
}

v1::ArchiveEnd MakeArchiveEnd(const Status& status) {
  v1::ArchiveEnd end;
  if (status) return end;
  end.set_code(static_cast<int32_t>(ttrpc::CodeOf(status.error().code())));
  end.set_message(status.error().ToString().substr(0, kMaxMessageBytes));
  return end;
}

Error ToArchiveError(const v1::ArchiveEnd& end) {
  const std::string message = EscapeControl(end.message().substr(0, kMaxMessageBytes));
  return Error(ttrpc::ErrorCodeOf(end.code()),
               message.empty() ? std::string("it failed without a word") : message);
}

}  // namespace hull::agent
