// The queue against a second opinion: a walk of the same chain written as plainly as the
// specification has it. Both must agree on whether there is a chain, whether it is credible, and on
// its sizes.
#include <linux/virtio_config.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "tests/fakes/fake_guest.h"
#include "tests/fakes/fake_ring.h"
#include "tests/fakes/fake_signals.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/hostile_guest.h"
#include "vmm/base/check.h"
#include "vmm/virtio/ring_layout.h"
#include "vmm/virtio/virt_queue.h"

namespace hull {
namespace {

constexpr uint16_t kSize = 16;

struct Sizes {
  uint64_t readable = 0;
  uint64_t writable = 0;
};

// All descriptors of a chain in order, or nothing if it does not end as it should.
std::optional<std::vector<::vring_desc>> Descriptors(FakeRing& ring, uint16_t head, bool indirect) {
  const GuestMemory& memory = ring.guest().memory();
  std::vector<::vring_desc> found;
  uint64_t table = ring.descriptor_table().value();
  uint64_t count = kSize;
  bool inside = false;
  uint64_t index = head;
  while (true) {
    if (index >= count) return std::nullopt;
    const auto descriptor = memory.ReadObject<::vring_desc>(GuestAddress(table + 16 * index));
    if (!descriptor) return std::nullopt;
    if ((descriptor->flags & VRING_DESC_F_INDIRECT) != 0) {
      if (!indirect || inside || (descriptor->flags & VRING_DESC_F_NEXT) != 0) return std::nullopt;
      if (descriptor->len == 0 || descriptor->len % 16 != 0) return std::nullopt;
      if (!memory.Readable(GuestAddress(descriptor->addr), descriptor->len)) return std::nullopt;
      table = descriptor->addr;
      count = descriptor->len / 16;
      inside = true;
      index = 0;
      continue;
    }
    found.push_back(*descriptor);
    if (found.size() > kSize) return std::nullopt;
    if ((descriptor->flags & VRING_DESC_F_NEXT) == 0) return found;
    index = descriptor->next;
  }
}

std::optional<Sizes> SecondOpinion(FakeRing& ring, uint16_t head, bool indirect) {
  const auto descriptors = Descriptors(ring, head, indirect);
  if (!descriptors) return std::nullopt;
  Sizes sizes;
  bool any_writable = false;
  for (const ::vring_desc& descriptor : *descriptors) {
    const bool writable = (descriptor.flags & VRING_DESC_F_WRITE) != 0;
    if (descriptor.len == 0) {
      if (!writable && any_writable) return std::nullopt;
      continue;
    }
    if (!writable && any_writable) return std::nullopt;
    any_writable = any_writable || writable;
    const GuestAddress at(descriptor.addr);
    const GuestMemory& memory = ring.guest().memory();
    const bool there = writable ? memory.Writable(at, descriptor.len).has_value()
                                : memory.Readable(at, descriptor.len).has_value();
    if (!there) return std::nullopt;
    (writable ? sizes.writable : sizes.readable) += descriptor.len;
  }
  if (sizes.readable + sizes.writable > UINT32_MAX) return std::nullopt;
  return sizes;
}

// One run of a queue over the input.
class Run {
 public:
  Run(FuzzInput& input, uint64_t features)
      : input_(input),
        indirect_(((features >> VIRTIO_RING_F_INDIRECT_DESC) & 1U) != 0),
        ring_(guest_, kSize, features),
        queue_(ring_.Config().Activate(guest_.memory(), features, signals_).value()) {}

  void Go() {
    HostileGuest hostile(input_, HostileGuest::RingMemory::kApart);
    while (!input_.empty()) {
      switch (input_.Below(6)) {
        case 0:
          Pop();
          break;
        case 1:
          if (!chains_.empty()) Complete();
          break;
        case 2:
          queue_.NotifyGuest();
          break;
        default:
          hostile.Act(ring_);
          break;
      }
    }
    for (DescriptorChain& chain : chains_) std::move(chain).Abandon();
  }

 private:
  void Pop() {
    const auto ahead = static_cast<uint16_t>(ring_.available_index() - popped_);
    // What the queue has seen may be more than what the index says now; it may go on with that.
    const bool seen = static_cast<uint16_t>(seen_ - popped_) != 0;
    const bool jumped = !seen && ahead > kSize;
    const bool empty = !seen && ahead == 0;
    const auto slot = static_cast<uint16_t>(popped_ % kSize);
    const auto head = guest_.memory().ReadObject<uint16_t>(
        GuestAddress(ring_.available_ring().value() + ring::AvailableEntryOffset(slot)));
    const std::optional<Sizes> sizes = SecondOpinion(ring_, *head, indirect_);
    Result<std::optional<DescriptorChain>> popped = queue_.Pop();
    if (broken_ || jumped) {
      HULL_CHECK(!popped.has_value());
      broken_ = true;
      return;
    }
    if (empty) {
      HULL_CHECK(popped.has_value() && !popped->has_value());
      return;
    }
    if (!seen) seen_ = ring_.available_index();
    const bool credible = sizes.has_value() && chains_.size() < kSize;
    HULL_CHECK(popped.has_value() == credible);
    broken_ = !credible;
    if (broken_) return;
    HULL_CHECK(popped->has_value());
    HULL_CHECK((*popped)->readable_bytes() == sizes->readable);
    HULL_CHECK((*popped)->writable_bytes() == sizes->writable);
    ++popped_;
    chains_.push_back(std::move(**popped));
  }

  // Reads and writes some of a chain and gives it back.
  void Complete() {
    const size_t which = input_.Below(static_cast<uint32_t>(chains_.size()));
    DescriptorChain chain = std::move(chains_[which]);
    chains_.erase(chains_.begin() + static_cast<ptrdiff_t>(which));
    std::string buffer(input_.Take<uint8_t>(), '\0');
    const auto bytes = std::as_writable_bytes(std::span(buffer));
    HULL_CHECK(chain.reader().Read(bytes) == std::min(buffer.size(), chain.readable_bytes()));
    chain.reader().Skip(input_.Take<uint16_t>());
    const uint64_t written = std::min(buffer.size(), chain.writable_bytes());
    HULL_CHECK(chain.writer().Write(bytes) == written);
    IoVectors vectors;
    const uint64_t taken = chain.writer().Take(input_.Take<uint16_t>(), vectors);
    HULL_CHECK(vectors.total_bytes() == taken);
    HULL_CHECK(written + taken <= chain.writable_bytes());
    const uint16_t before = ring_.used_index();
    queue_.Complete(std::move(chain));
    const auto entry = guest_.memory().ReadObject<::vring_used_elem>(
        GuestAddress(ring_.used_ring().value() + ring::UsedEntryOffset(before % kSize)));
    HULL_CHECK(entry->len == written + taken);
    HULL_CHECK(ring_.used_index() == static_cast<uint16_t>(before + 1));
  }

  FuzzInput& input_;
  const bool indirect_;
  FakeGuest guest_;
  FakeSignals signals_;
  FakeRing ring_;
  VirtQueue queue_;
  std::vector<DescriptorChain> chains_;
  uint16_t popped_ = 0;
  uint16_t seen_ = 0;
  bool broken_ = false;
};

}  // namespace
}  // namespace hull

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hull::SilenceLog();
  hull::FuzzInput input(data, size);
  uint64_t features = uint64_t{1} << VIRTIO_F_VERSION_1;
  if (input.Below(2) != 0) features |= uint64_t{1} << VIRTIO_RING_F_EVENT_IDX;
  if (input.Below(4) != 0) features |= uint64_t{1} << VIRTIO_RING_F_INDIRECT_DESC;
  hull::Run(input, features).Go();
  return 0;
}
