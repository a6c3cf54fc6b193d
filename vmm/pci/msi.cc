#include "vmm/pci/msi.h"

#include <linux/pci_regs.h>

#include <algorithm>
#include <cstring>

#include "vmm/base/check.h"

namespace hull::pci {
namespace {

constexpr uint32_t kMsiVectors = 32;
constexpr uint32_t kMsiLog2Vectors = 5;
constexpr uint32_t kMultipleCapableShift = 1;
constexpr uint32_t kMultipleEnabledShift = 4;
constexpr uint32_t kThreeBits = 7;
constexpr uint32_t kLow = 0xffff'ffff;

bool IsAlignedTo(uint32_t offset, size_t size_bytes) {
  return (size_bytes == 4 || size_bytes == 8) && offset % size_bytes == 0;
}

}  // namespace

MsiCapability::Shape MsiCapability::ReadShape(uint32_t offset, uint16_t control) {
  return {
      .offset = offset,
      .log2_vectors = std::min((control >> kMultipleCapableShift) & kThreeBits, kMsiLog2Vectors),
      .is_64_bit = (control & PCI_MSI_FLAGS_64BIT) != 0,
      .has_masks = (control & PCI_MSI_FLAGS_MASKBIT) != 0};
}

uint32_t MsiCapability::SizeBytes(const Shape& shape) {
  const uint32_t with_data = shape.is_64_bit ? 14 : 10;
  return shape.has_masks ? with_data + 10 : with_data;
}

MsiCapability::MsiCapability(const Shape& shape, ConfigSpace& space, VectorOwner& owner)
    : shape_(shape), space_(space), owner_(owner) {
  const uint32_t control = (shape.log2_vectors << kMultipleCapableShift) |
                           (shape.is_64_bit ? uint32_t{PCI_MSI_FLAGS_64BIT} : 0U) |
                           (shape.has_masks ? uint32_t{PCI_MSI_FLAGS_MASKBIT} : 0U);
  space_.Set(shape.offset + PCI_MSI_FLAGS, 2, control);
  space_.SetWritable(shape.offset + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
  space_.SetWritable(shape.offset + PCI_MSI_ADDRESS_LO, 4, ~uint32_t{3});
  if (shape.is_64_bit) space_.SetWritable(shape.offset + PCI_MSI_ADDRESS_HI, 4, kLow);
  space_.SetWritable(shape.offset + (shape.is_64_bit ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2,
                     0xffff);
  if (shape.has_masks) {
    const uint32_t vectors = uint32_t{1} << shape.log2_vectors;
    space_.SetWritable(MaskOffset(), 4,
                       vectors == kMsiVectors ? kLow : (uint32_t{1} << vectors) - 1);
  }
}

uint32_t MsiCapability::MaskOffset() const {
  return shape_.offset + (shape_.is_64_bit ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);
}

void MsiCapability::AfterWrite() {
  const uint32_t control = space_.Read(shape_.offset + PCI_MSI_FLAGS, 2);
  const uint32_t asked =
      std::min((control >> kMultipleEnabledShift) & kThreeBits, shape_.log2_vectors);
  const uint32_t vectors =
      (control & PCI_MSI_FLAGS_ENABLE) != 0 ? uint32_t{1} << asked : uint32_t{0};
  if (vectors != enabled_vectors_) {
    if (enabled_vectors_ != 0) owner_.OnDisable();
    enabled_vectors_ = vectors;
    unmasked_.assign(vectors, false);
    if (vectors != 0) owner_.OnEnable(vectors);
  }
  MsiMessage message;
  message.address = space_.Read(shape_.offset + PCI_MSI_ADDRESS_LO, 4);
  if (shape_.is_64_bit) {
    message.address |= uint64_t{space_.Read(shape_.offset + PCI_MSI_ADDRESS_HI, 4)} << 32U;
  }
  const uint32_t data =
      space_.Read(shape_.offset + (shape_.is_64_bit ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2);
  const uint32_t masks = shape_.has_masks ? space_.Read(MaskOffset(), 4) : 0;
  for (uint32_t i = 0; i < vectors; ++i) {
    const bool unmask = ((masks >> i) & 1U) == 0;
    // 6.8.1.3: the function may change the low bits, one value for each vector.
    message.data = (data & ~(vectors - 1)) | i;
    if (unmask) {
      owner_.OnUnmask(i, message);
    } else if (unmasked_[i]) {
      owner_.OnMask(i);
    }
    unmasked_[i] = unmask;
  }
}

MsixCapability::Shape MsixCapability::ReadShape(uint32_t offset, uint16_t control, uint32_t table,
                                                uint32_t pending) {
  return {.offset = offset,
          .vectors = (control & uint32_t{PCI_MSIX_FLAGS_QSIZE}) + 1,
          .table_bar = table & PCI_MSIX_TABLE_BIR,
          .table_offset = table & PCI_MSIX_TABLE_OFFSET,
          .pending_bar = pending & PCI_MSIX_PBA_BIR,
          .pending_offset = pending & PCI_MSIX_PBA_OFFSET};
}

MsixCapability::MsixCapability(const Shape& shape, ConfigSpace& space, VectorOwner& owner)
    : shape_(shape), space_(space), owner_(owner), entries_(shape.vectors) {
  HULL_CHECK(shape.vectors >= 1 && shape.vectors <= kMaxVectors);
  space_.Set(shape.offset + PCI_MSIX_FLAGS, 2, shape.vectors - 1);
  space_.SetWritable(shape.offset + PCI_MSIX_FLAGS, 2,
                     PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
  space_.Set(shape.offset + PCI_MSIX_TABLE, 4, shape.table_offset | shape.table_bar);
  space_.Set(shape.offset + PCI_MSIX_PBA, 4, shape.pending_offset | shape.pending_bar);
}

void MsixCapability::AfterWrite() {
  const uint32_t control = space_.Read(shape_.offset + PCI_MSIX_FLAGS, 2);
  const bool enable = (control & PCI_MSIX_FLAGS_ENABLE) != 0;
  all_masked_ = (control & PCI_MSIX_FLAGS_MASKALL) != 0;
  if (enable != enabled_) {
    enabled_ = enable;
    for (Entry& entry : entries_) entry.unmasked = false;
    if (enable) {
      owner_.OnEnable(shape_.vectors);
    } else {
      owner_.OnDisable();
    }
  }
  for (uint32_t i = 0; i < shape_.vectors; ++i) Update(i, false);
}

void MsixCapability::Update(uint32_t index, bool message_changed) {
  Entry& entry = entries_[index];
  const bool unmask =
      enabled_ && !all_masked_ && (entry.control & PCI_MSIX_ENTRY_CTRL_MASKBIT) == 0;
  if (unmask && (!entry.unmasked || message_changed)) {
    owner_.OnUnmask(index, {.address = entry.address, .data = entry.data});
  } else if (!unmask && entry.unmasked) {
    owner_.OnMask(index);
  }
  entry.unmasked = unmask;
}

uint32_t MsixCapability::ReadDword(uint32_t offset) const {
  const Entry& entry = entries_[offset / kEntryBytes];
  switch (offset % kEntryBytes) {
    case PCI_MSIX_ENTRY_LOWER_ADDR:
      return static_cast<uint32_t>(entry.address);
    case PCI_MSIX_ENTRY_UPPER_ADDR:
      return static_cast<uint32_t>(entry.address >> 32U);
    case PCI_MSIX_ENTRY_DATA:
      return entry.data;
    default:
      return entry.control;
  }
}

void MsixCapability::WriteDword(uint32_t offset, uint32_t value) {
  Entry& entry = entries_[offset / kEntryBytes];
  switch (offset % kEntryBytes) {
    case PCI_MSIX_ENTRY_LOWER_ADDR:
      // 6.8.2.7: the two low bits must be zero.
      entry.address = (entry.address & ~uint64_t{kLow}) | (value & ~uint32_t{3});
      break;
    case PCI_MSIX_ENTRY_UPPER_ADDR:
      entry.address = (entry.address & kLow) | (uint64_t{value} << 32U);
      break;
    case PCI_MSIX_ENTRY_DATA:
      entry.data = value;
      break;
    default:
      entry.control = value & PCI_MSIX_ENTRY_CTRL_MASKBIT;
      break;
  }
}

void MsixCapability::ReadTable(uint32_t offset, std::span<std::byte> data) const {
  std::ranges::fill(data, std::byte{0xff});
  if (!IsAlignedTo(offset, data.size())) return;
  for (size_t at = 0; at < data.size(); at += sizeof(uint32_t)) {
    const uint32_t value = ReadDword(offset + static_cast<uint32_t>(at));
    std::memcpy(data.data() + at, &value, sizeof(value));
  }
}

void MsixCapability::WriteTable(uint32_t offset, std::span<const std::byte> data) {
  if (!IsAlignedTo(offset, data.size())) return;
  for (size_t at = 0; at < data.size(); at += sizeof(uint32_t)) {
    uint32_t value = 0;
    std::memcpy(&value, data.data() + at, sizeof(value));
    WriteDword(offset + static_cast<uint32_t>(at), value);
  }
  Update(offset / kEntryBytes, offset % kEntryBytes < PCI_MSIX_ENTRY_VECTOR_CTRL);
}

}  // namespace hull::pci
