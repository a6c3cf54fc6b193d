#include "vmm/machine/debug_port.h"

#include <gtest/gtest.h>

namespace hull {
namespace {

void Send(DebugPort& port, uint64_t offset, uint8_t value) {
  port.Write(offset, std::as_bytes(std::span(&value, 1)));
}

TEST(DebugPortTest, BytesReachTheSinkAndAreKept) {
  std::string seen;
  DebugPort port([&](std::span<const std::byte> data) { seen += static_cast<char>(data[0]); });
  // As Linux's earlyprintk sets a port up: divisor, then 8n1.
  Send(port, 3, 0x83);
  Send(port, 0, 1);
  Send(port, 1, 0);
  Send(port, 3, 0x03);
  Send(port, 0, 'h');
  Send(port, 0, 'i');
  EXPECT_EQ(seen, "hi");
  EXPECT_EQ(port.Output(), "hi");
}

TEST(DebugPortTest, TransmitterIsAlwaysReady) {
  DebugPort port(nullptr);
  std::byte status = {};
  port.Read(5, std::span(&status, 1));
  EXPECT_EQ(status, std::byte{0x60});
}

TEST(DebugPortTest, StrangeAccessesDoNothing) {
  DebugPort port(nullptr);
  const uint32_t wide = 0x4141'4141;
  port.Write(0, std::as_bytes(std::span(&wide, 1)));
  EXPECT_EQ(port.Output(), "");
  uint64_t value = UINT64_MAX;
  port.Read(2, std::as_writable_bytes(std::span(&value, 1)));
  EXPECT_EQ(value, 0U);
}

TEST(DebugPortTest, EndlessOutputIsBounded) {
  DebugPort port(nullptr);
  for (size_t i = 0; i < DebugPort::kKeptOutputBytes + 10; ++i) {
    Send(port, 0, static_cast<uint8_t>('a' + i % 26));
  }
  EXPECT_EQ(port.Output().size(), DebugPort::kKeptOutputBytes);
}

}  // namespace
}  // namespace hull
