// ChainWalk: follows one descriptor chain and checks all of it (virtio 1.2, 2.7.5). For VirtQueue.
#pragma once

#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/virtio/descriptor_chain.h"
#include "vmm/virtio/ring_layout.h"

namespace hull {

class ChainWalk {
 public:
  // The sum of a chain's lengths is below this (2.7.5: at most 2^32 bytes; the used length has 32
  // bits).
  static constexpr uint64_t kMaximumChainBytes = UINT32_MAX;

  // `maximum_descriptors` is the queue's size. Fills `body`, which is empty.
  ChainWalk(const GuestMemory& memory, bool allow_indirect, uint32_t maximum_descriptors,
            DescriptorChain::Body& body)
      : memory_(memory),
        allow_indirect_(allow_indirect),
        maximum_descriptors_(maximum_descriptors),
        body_(body) {}

  // Follows the chain that begins at `head` of the queue's table. kCorrupt when it is not credible.
  Status Follow(const GuestSlice& table, uint16_t head);

 private:
  enum class Table { kQueue, kIndirect };

  Status FollowIn(Table kind, const GuestSlice& table, uint16_t first);
  Status FollowIndirect(const ::vring_desc& descriptor);
  Status Add(const ::vring_desc& descriptor);

  const GuestMemory& memory_;
  const bool allow_indirect_;
  const uint32_t maximum_descriptors_;
  DescriptorChain::Body& body_;
  uint32_t descriptors_ = 0;
};

}  // namespace hull
