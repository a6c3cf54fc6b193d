#include "vmm/virtio/chain_walk.h"

namespace hull {
namespace {

template <typename... Args>
tl::unexpected<Error> Refuse(fmt::format_string<Args...> format, Args&&... args) {
  return Fail(ErrorCode::kCorrupt, format, std::forward<Args>(args)...);
}

}  // namespace

Status ChainWalk::Follow(const GuestSlice& table, uint16_t head) {
  HULL_TRY(FollowIn(Table::kQueue, table, head));
  body_.reader.Start(std::span(body_.slices).first(body_.readable_count), body_.readable_bytes);
  body_.writer.Start(std::span(body_.slices).subspan(body_.readable_count), body_.writable_bytes);
  return {};
}

Status ChainWalk::FollowIn(Table kind, const GuestSlice& table, uint16_t first) {
  const uint64_t count = table.size_bytes() / sizeof(::vring_desc);
  uint16_t index = first;
  for (;;) {
    if (index >= count) return Refuse("descriptor {} of a table of {}", index, count);
    const auto descriptor = table.ReadObject<::vring_desc>(index * sizeof(::vring_desc));
    if ((descriptor.flags & VRING_DESC_F_INDIRECT) != 0) {
      if (kind == Table::kIndirect) return Refuse("an indirect table inside an indirect table");
      return FollowIndirect(descriptor);
    }
    // 2.7.5.3.1: a chain is never longer than the queue. Also what ends a walk in circles.
    if (++descriptors_ > maximum_descriptors_) {
      return Refuse("a chain of more than {} descriptors", maximum_descriptors_);
    }
    HULL_TRY(Add(descriptor));
    if ((descriptor.flags & VRING_DESC_F_NEXT) == 0) return {};
    index = descriptor.next;
  }
}

Status ChainWalk::FollowIndirect(const ::vring_desc& descriptor) {
  if (!allow_indirect_) return Refuse("an indirect table that was not agreed on");
  // 2.7.5.3.1: it ends the chain. Its write flag is to be ignored (2.7.5.3.2).
  if ((descriptor.flags & VRING_DESC_F_NEXT) != 0)
    return Refuse("a chain behind its indirect table");
  if (descriptor.len % sizeof(::vring_desc) != 0) {
    return Refuse("an indirect table of {} bytes", descriptor.len);
  }
  const auto table = memory_.Readable(GuestAddress(descriptor.addr), descriptor.len);
  if (!table) return Refuse("no memory at {:#x} for an indirect table", descriptor.addr);
  return FollowIn(Table::kIndirect, *table, 0);
}

Status ChainWalk::Add(const ::vring_desc& descriptor) {
  const bool is_writable = (descriptor.flags & VRING_DESC_F_WRITE) != 0;
  // 2.7.4.2: readable descriptors first.
  if (!is_writable && body_.readable_count < body_.slices.size()) {
    return Refuse("a readable descriptor behind a writable one");
  }
  // The specification neither forbids an empty descriptor nor gives it a meaning.
  if (descriptor.len == 0) return {};
  if (descriptor.len > kMaximumChainBytes - body_.readable_bytes - body_.writable_bytes) {
    return Refuse("a chain of more than {} bytes", kMaximumChainBytes);
  }
  const GuestAddress address(descriptor.addr);
  const auto slice = is_writable ? memory_.Writable(address, descriptor.len)
                                 : memory_.Readable(address, descriptor.len);
  if (!slice) {
    return Refuse("no {} memory at {:#x} for {} bytes", is_writable ? "writable" : "readable",
                  descriptor.addr, descriptor.len);
  }
  body_.slices.push_back(*slice);
  if (is_writable) {
    body_.writable_bytes += descriptor.len;
  } else {
    body_.readable_bytes += descriptor.len;
    ++body_.readable_count;
  }
  return {};
}

}  // namespace hull
