// What a ttrpc peer sends: frames, in pieces of any size, with a request or a response in each.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "guest-agent/protocol/frame.h"
#include "guest-agent/protocol/ttrpc.pb.h"
#include "vmm/base/check.h"

namespace {

using hull::ttrpc::Frame;

struct Decoded {
  std::vector<Frame> frames;
  bool broken = false;
};

Decoded DecodeInPieces(std::span<const std::byte> bytes, size_t piece) {
  Decoded decoded;
  hull::ttrpc::FrameDecoder decoder;
  while (!bytes.empty() && !decoded.broken) {
    const size_t size = std::min(piece, bytes.size());
    decoder.Feed(bytes.first(size));
    bytes = bytes.subspan(size);
    while (true) {
      hull::Result<std::optional<Frame>> frame = decoder.Next();
      if (!frame) decoded.broken = true;
      if (!frame || !*frame) break;
      decoded.frames.push_back(**std::move(frame));
    }
  }
  return decoded;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data + 1, size - 1));
  const Decoded whole = DecodeInPieces(bytes, bytes.size());
  const Decoded pieces = DecodeInPieces(bytes, size_t{data[0]} % 16 + 1);
  // How the bytes were cut changes nothing.
  HULL_CHECK(whole.broken == pieces.broken && whole.frames.size() == pieces.frames.size());
  size_t total = 0;
  for (size_t i = 0; i < whole.frames.size(); ++i) {
    const Frame& frame = whole.frames[i];
    HULL_CHECK(frame.data == pieces.frames[i].data);
    const auto again =
        hull::ttrpc::EncodeFrame(frame.stream_id, frame.type, frame.flags, frame.data);
    HULL_CHECK(again.has_value());
    total += again->size();
    hull::ttrpc::wire::Request request;
    request.ParseFromString(frame.data);
    hull::ttrpc::wire::Response response;
    response.ParseFromString(frame.data);
  }
  HULL_CHECK(total <= bytes.size());
  return 0;
}
