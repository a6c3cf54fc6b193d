#include "vmm/virtio/vsock/packet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace hull::vsock {
namespace {

// Each byte of the wire format different, so that a field taken from the wrong place shows.
HeaderBytes CountingBytes() {
  HeaderBytes bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i + 1);
  return bytes;
}

TEST(PacketTest, DecodesEachFieldFromItsPlaceLittleEndian) {
  const Header header = Decode(CountingBytes());
  EXPECT_EQ(header.source_cid, 0x0807060504030201);
  EXPECT_EQ(header.destination_cid, 0x100f0e0d0c0b0a09);
  EXPECT_EQ(header.source_port, 0x14131211);
  EXPECT_EQ(header.destination_port, 0x18171615);
  EXPECT_EQ(header.payload_bytes, 0x1c1b1a19);
  EXPECT_EQ(header.type, 0x1e1d);
  EXPECT_EQ(header.op, 0x201f);
  EXPECT_EQ(header.flags, 0x24232221);
  EXPECT_EQ(header.buf_alloc, 0x28272625);
  EXPECT_EQ(header.fwd_cnt, 0x2c2b2a29);
}

TEST(PacketTest, EncodesWhatItDecodes) {
  EXPECT_EQ(Encode(Decode(CountingBytes())), CountingBytes());
}

}  // namespace
}  // namespace hull::vsock
