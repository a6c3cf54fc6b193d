#include "vmm/virtio/vsock/packet.h"

#include <endian.h>

#include <bit>
#include <cstring>

namespace hull::vsock {

Header Decode(std::span<const std::byte, kHeaderBytes> bytes) {
  WireHeader wire;
  std::memcpy(&wire, bytes.data(), sizeof(wire));
  return Header{
      .source_cid = le64toh(wire.src_cid),
      .destination_cid = le64toh(wire.dst_cid),
      .source_port = le32toh(wire.src_port),
      .destination_port = le32toh(wire.dst_port),
      .payload_bytes = le32toh(wire.len),
      .type = le16toh(wire.type),
      .op = le16toh(wire.op),
      .flags = le32toh(wire.flags),
      .buf_alloc = le32toh(wire.buf_alloc),
      .fwd_cnt = le32toh(wire.fwd_cnt),
  };
}

HeaderBytes Encode(const Header& header) {
  WireHeader wire{};
  wire.src_cid = htole64(header.source_cid);
  wire.dst_cid = htole64(header.destination_cid);
  wire.src_port = htole32(header.source_port);
  wire.dst_port = htole32(header.destination_port);
  wire.len = htole32(header.payload_bytes);
  wire.type = htole16(header.type);
  wire.op = htole16(header.op);
  wire.flags = htole32(header.flags);
  wire.buf_alloc = htole32(header.buf_alloc);
  wire.fwd_cnt = htole32(header.fwd_cnt);
  return std::bit_cast<HeaderBytes>(wire);
}

}  // namespace hull::vsock
