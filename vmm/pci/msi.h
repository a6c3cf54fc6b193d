// Message-signalled interrupts as the guest sets them up: the MSI capability and the MSI-X
// capability with its table. PCI Local Bus Specification 3.0, 6.8.
//
// Both keep what the guest wrote and tell a VectorOwner what it comes to. Neither has a lock: the
// function that owns them has one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/kvm/interrupt_routes.h"
#include "vmm/pci/config_space.h"

namespace hull::pci {

// Who makes the interrupts happen.
class VectorOwner {
 public:
  virtual ~VectorOwner() = default;

  // The guest has switched `count` vectors on; all are masked until OnUnmask.
  virtual void OnEnable(uint32_t count) = 0;
  virtual void OnDisable() = 0;
  // Between the two. From now on vector `index` raises `message`; also when that has changed.
  virtual void OnUnmask(uint32_t index, const MsiMessage& message) = 0;
  // What happens now is kept for when it is unmasked.
  virtual void OnMask(uint32_t index) = 0;
};

// The MSI capability at `offset` of a configuration space.
class MsiCapability {
 public:
  // What a device's capability promises.
  struct Shape {
    uint32_t offset;
    uint32_t log2_vectors;  // 0 to 5
    bool is_64_bit;
    bool has_masks;
  };
  static Shape ReadShape(uint32_t offset, uint16_t control);
  static uint32_t SizeBytes(const Shape& shape);

  // Puts the capability's registers into `space` (its header is the caller's).
  MsiCapability(const Shape& shape, ConfigSpace& space, VectorOwner& owner);

  // A write that touches the capability has gone into the space.
  void AfterWrite();

 private:
  uint32_t MaskOffset() const;

  const Shape shape_;
  ConfigSpace& space_;
  VectorOwner& owner_;
  uint32_t enabled_vectors_ = 0;  // 0: off
  std::vector<bool> unmasked_;
};

// The MSI-X capability at `offset`, and its table, which lies in one of the function's regions.
class MsixCapability {
 public:
  static constexpr uint32_t kCapabilityBytes = 12;
  static constexpr uint32_t kEntryBytes = 16;
  static constexpr uint32_t kMaxVectors = 2048;

  struct Shape {
    uint32_t offset;
    uint32_t vectors;       // 1 to kMaxVectors
    uint32_t table_bar;     // register
    uint32_t table_offset;  // in its region
    uint32_t pending_bar;
    uint32_t pending_offset;

    uint32_t table_bytes() const { return vectors * kEntryBytes; }
  };
  static Shape ReadShape(uint32_t offset, uint16_t control, uint32_t table, uint32_t pending);

  MsixCapability(const Shape& shape, ConfigSpace& space, VectorOwner& owner);

  const Shape& shape() const { return shape_; }
  // A write that touches the capability has gone into the space.
  void AfterWrite();

  // An access to the table, inside of it; `offset` is from its start. Any size and alignment; what
  // is no aligned dword or qword reads as all ones and is not written (6.8.2: "must use aligned
  // full DWORD or aligned full QWORD transactions; otherwise, the result is undefined").
  void ReadTable(uint32_t offset, std::span<std::byte> data) const;
  void WriteTable(uint32_t offset, std::span<const std::byte> data);

 private:
  struct Entry {
    uint64_t address = 0;
    uint32_t data = 0;
    uint32_t control = 1;   // masked, as after a reset
    bool unmasked = false;  // as the owner was told
  };

  uint32_t ReadDword(uint32_t offset) const;
  void WriteDword(uint32_t offset, uint32_t value);
  // Tells the owner what the entry comes to now.
  void Update(uint32_t index, bool message_changed);

  const Shape shape_;
  ConfigSpace& space_;
  VectorOwner& owner_;
  std::vector<Entry> entries_;
  bool enabled_ = false;
  bool all_masked_ = false;
};

}  // namespace hull::pci
