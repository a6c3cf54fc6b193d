#include "guest-agent/protocol/frame.h"

#include <gtest/gtest.h>

#include <string>

namespace hull::ttrpc {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(FrameTest, HeaderIsTtrpcs) {
  const std::string frame = EncodeFrame(0x01020304, FrameType::kResponse, 0x01, "abc").value();
  EXPECT_EQ(frame, std::string("\x00\x00\x00\x03\x01\x02\x03\x04\x02\x01"
                               "abc",
                               13));
}

TEST(FrameTest, EncodingMoreThanTheCapIsAnError) {
  EXPECT_TRUE(EncodeFrame(1, FrameType::kRequest, 0, std::string(kMaxDataBytes, 'x')).has_value());
  EXPECT_EQ(
      EncodeFrame(1, FrameType::kRequest, 0, std::string(kMaxDataBytes + 1, 'x')).error().code(),
      ErrorCode::kExhausted);
}

TEST(FrameTest, FramesInSinglesBytesComeOutWhole) {
  const std::string bytes = EncodeFrame(1, FrameType::kRequest, 0, "hello").value() +
                            EncodeFrame(3, FrameType::kData, kFlagRemoteClosed, "").value();
  FrameDecoder decoder;
  std::vector<Frame> frames;
  for (const char& byte : bytes) {
    decoder.Feed(Bytes(std::string_view(&byte, 1)));
    auto frame = decoder.Next();
    ASSERT_TRUE(frame.has_value());
    if (*frame) frames.push_back(**frame);
  }
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].stream_id, 1u);
  EXPECT_EQ(frames[0].data, "hello");
  EXPECT_EQ(frames[1].type, FrameType::kData);
  EXPECT_EQ(frames[1].flags, kFlagRemoteClosed);
  EXPECT_TRUE(decoder.AtBoundary());
}

TEST(FrameTest, SeveralFramesInOneFeedComeOutInOrder) {
  FrameDecoder decoder;
  decoder.Feed(Bytes(EncodeFrame(1, FrameType::kRequest, 0, "a").value() +
                     EncodeFrame(3, FrameType::kRequest, 0, "b").value() + std::string("\0\0", 2)));
  EXPECT_EQ((*decoder.Next())->data, "a");
  EXPECT_EQ((*decoder.Next())->data, "b");
  EXPECT_FALSE(decoder.Next().value().has_value());
  EXPECT_FALSE(decoder.AtBoundary());
}

TEST(FrameTest, AnnouncedLengthAboveTheCapIsAnErrorThatStays) {
  FrameDecoder decoder;
  decoder.Feed(Bytes(std::string("\x00\x40\x00\x01\x00\x00\x00\x01\x01\x00", 10)));
  EXPECT_EQ(decoder.Next().error().code(), ErrorCode::kCorrupt);
  decoder.Feed(Bytes(EncodeFrame(1, FrameType::kRequest, 0, "a").value()));
  EXPECT_EQ(decoder.Next().error().code(), ErrorCode::kCorrupt);
}

TEST(FrameTest, LengthOfExactlyTheCapIsTaken) {
  FrameDecoder decoder;
  decoder.Feed(
      Bytes(EncodeFrame(1, FrameType::kRequest, 0, std::string(kMaxDataBytes, 'x')).value()));
  EXPECT_EQ((*decoder.Next())->data.size(), kMaxDataBytes);
}

TEST(FrameTest, UnknownTypesAreErrors) {
  for (const char type : {'\x00', '\x04', '\xff'}) {
    FrameDecoder decoder;
    std::string header(10, '\0');
    header[8] = type;
    decoder.Feed(Bytes(header));
    EXPECT_EQ(decoder.Next().error().code(), ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace hull::ttrpc
