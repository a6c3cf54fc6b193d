#include "vmm/virtio/block/request.h"

#include <endian.h>
#include <linux/virtio_blk.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>
#include <variant>

#include "vmm/base/check.h"
#include "vmm/base/checked.h"
#include "vmm/virtio/block/block.h"

namespace hull::block {
namespace {

static_assert(sizeof(virtio_blk_outhdr) == 16);
static_assert(offsetof(virtio_blk_outhdr, type) == 0);
static_assert(offsetof(virtio_blk_outhdr, sector) == 8);
static_assert(sizeof(virtio_blk_discard_write_zeroes) == 16);
static_assert(offsetof(virtio_blk_discard_write_zeroes, num_sectors) == 8);
static_assert(offsetof(virtio_blk_discard_write_zeroes, flags) == 12);

constexpr uint64_t kSectorBytes = DiskContent::kSectorBytes;
constexpr uint64_t kStatusBytes = 1;

// Written again and again where a file system cannot zero a range; nobody writes to it.
alignas(kZeroPageBytes) std::array<std::byte, kZeroPageBytes> zero_page{};

}  // namespace

bool Request::Begin(DescriptorChain chain, Gate::Pass pass) {
  if (chain.writable_bytes() < kStatusBytes) {
    std::move(chain).Abandon();
    return false;
  }
  chain_ = std::move(chain);
  pass_ = std::move(pass);
  moved_ = left_ = offset_ = 0;
  type_ = UINT32_MAX;
  ranges_.clear();
  unmap_ = writing_zeroes_ = false;
  Dispatch();
  return true;
}

void Request::Dispatch() {
  const auto header = chain_->reader().ReadObject<virtio_blk_outhdr>();
  if (!header) return EndGuestError(VIRTIO_BLK_S_IOERR);
  type_ = le32toh(header->type);
  switch (type_) {
    case VIRTIO_BLK_T_IN:
      return BeginRead(le64toh(header->sector));
    case VIRTIO_BLK_T_OUT:
      return BeginWrite(le64toh(header->sector));
    case VIRTIO_BLK_T_FLUSH:
      return BeginFlush();
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
      return BeginRanges();
    case VIRTIO_BLK_T_GET_ID:
      return AnswerId();
    default:
      return EndGuestError(VIRTIO_BLK_S_UNSUPP);
  }
}

bool Request::InCapacity(uint64_t sector, uint64_t bytes) const {
  const std::optional<uint64_t> end = CheckedAdd(sector, bytes / kSectorBytes);
  return end && *end <= device_.map_.sectors();
}

void Request::BeginRead(uint64_t sector) {
  left_ = chain_->writable_bytes() - kStatusBytes;
  if (left_ % kSectorBytes != 0 || !InCapacity(sector, left_))
    return EndGuestError(VIRTIO_BLK_S_IOERR);
  offset_ = sector * kSectorBytes;
  device_.reads_.Add();
  Continue();
}

void Request::BeginWrite(uint64_t sector) {
  left_ = chain_->reader().remaining_bytes();
  // virtio 1.2, 5.2.6.2: a write to a read-only disk is an I/O error, and nothing is written.
  if (device_.options_.read_only || left_ % kSectorBytes != 0 || !InCapacity(sector, left_))
    return EndGuestError(VIRTIO_BLK_S_IOERR);
  offset_ = sector * kSectorBytes;
  device_.writes_.Add();
  Continue();
}

void Request::BeginFlush() {
  device_.flushes_.Add();
  if (device_.options_.read_only) return End(VIRTIO_BLK_S_OK);
  const auto part = std::get<DiskMap::FilePart>(device_.map_.At(0).what);
  kind = Kind::kFlush;
  fd = part.fd;
  device_.engine_.Start(*this);
}

void Request::BeginRanges() {
  const bool discard = type_ == VIRTIO_BLK_T_DISCARD;
  const uint64_t feature = uint64_t{1}
                           << (discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES);
  if ((device_.features() & feature) == 0) return EndGuestError(VIRTIO_BLK_S_UNSUPP);
  (discard ? device_.discards_ : device_.write_zeroes_).Add();
  if (!ReadRanges(discard ? kMaxDiscardRanges : kMaxWriteZeroesRanges)) return;
  Continue();
}

// Copies and checks all ranges before the first one is touched. False when the request has been
// ended.
bool Request::ReadRanges(size_t maximum) {
  const uint64_t bytes = chain_->reader().remaining_bytes();
  const uint64_t count = bytes / sizeof(virtio_blk_discard_write_zeroes);
  if (bytes % sizeof(virtio_blk_discard_write_zeroes) != 0 || count == 0 || count > maximum) {
    EndGuestError(VIRTIO_BLK_S_IOERR);
    return false;
  }
  while (const auto wire = chain_->reader().ReadObject<virtio_blk_discard_write_zeroes>()) {
    const uint32_t flags = le32toh(wire->flags);
    const uint64_t sector = le64toh(wire->sector);
    const uint32_t sectors = le32toh(wire->num_sectors);
    // virtio 1.2, 5.2.6.2: unknown flags, and "unmap" with a discard, are not supported.
    const bool may_unmap = type_ == VIRTIO_BLK_T_WRITE_ZEROES;
    unmap_ = (flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0;
    if ((flags & ~uint32_t{VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP}) != 0 || (unmap_ && !may_unmap)) {
      EndGuestError(VIRTIO_BLK_S_UNSUPP);
      return false;
    }
    if (sectors > kMaxRangeSectors || !InCapacity(sector, sectors * kSectorBytes)) {
      EndGuestError(VIRTIO_BLK_S_IOERR);
      return false;
    }
    if (sectors > 0) ranges_.push_back({sector * kSectorBytes, sectors * kSectorBytes});
  }
  return true;
}

void Request::AnswerId() {
  std::array<char, VIRTIO_BLK_ID_BYTES> id{};
  const std::string& text = device_.options_.id;
  std::copy_n(text.begin(), std::min(text.size(), id.size()), id.begin());
  const uint64_t room = chain_->writable_bytes() - kStatusBytes;
  const auto bytes = std::as_bytes(std::span(id));
  moved_ = chain_->writer().Write(bytes.first(std::min<uint64_t>(room, bytes.size())));
  End(VIRTIO_BLK_S_OK);
}

void Request::Continue() {
  switch (type_) {
    case VIRTIO_BLK_T_IN:
      return ContinueRead();
    case VIRTIO_BLK_T_OUT:
      return ContinueWrite();
    case VIRTIO_BLK_T_FLUSH:
      return End(VIRTIO_BLK_S_OK);
    default:
      return writing_zeroes_ ? ContinueZeroes() : ContinueRanges();
  }
}

void Request::ContinueRead() {
  while (left_ > 0) {
    const DiskMap::Part part = device_.map_.At(offset_);
    const uint64_t bytes = std::min(left_, part.size_bytes);
    if (const auto* file = std::get_if<DiskMap::FilePart>(&part.what)) {
      io_.Clear();
      chain_->writer().Take(bytes, io_);
      fd = file->fd;
      return Execute(Kind::kRead, file->file_offset);
    }
    if (const auto* filling = std::get_if<DiskMap::FillingPart>(&part.what)) {
      chain_->writer().Write(filling->data.first(bytes));
    } else {
      chain_->writer().Fill(bytes, std::byte{0});
    }
    offset_ += bytes;
    left_ -= bytes;
    moved_ += bytes;
  }
  End(VIRTIO_BLK_S_OK);
}

void Request::ContinueWrite() {
  if (left_ == 0) return End(VIRTIO_BLK_S_OK);
  const auto file = std::get<DiskMap::FilePart>(device_.map_.At(offset_).what);
  io_.Clear();
  chain_->reader().Take(left_, io_);
  fd = file.fd;
  Execute(device_.write_through_ ? Kind::kWriteDurable : Kind::kWrite, file.file_offset);
}

void Request::ContinueRanges() {
  if (ranges_.empty()) return End(VIRTIO_BLK_S_OK);
  const Range range = ranges_.back();
  const auto file = std::get<DiskMap::FilePart>(device_.map_.At(range.offset).what);
  const bool punch = type_ == VIRTIO_BLK_T_DISCARD || unmap_;
  offset_ = range.offset;
  kind = punch ? Kind::kPunchHole : Kind::kZeroRange;
  fd = file.fd;
  offset = file.file_offset;
  size_bytes = range.size_bytes;
  device_.engine_.Start(*this);
}

// Puts zeroes into what is left of the last range.
void Request::ContinueZeroes() {
  Range& range = ranges_.back();
  if (range.size_bytes == 0) {
    ranges_.pop_back();
    if (ranges_.empty()) return End(VIRTIO_BLK_S_OK);
    return ContinueZeroes();
  }
  io_.Clear();
  uint64_t bytes = std::min<uint64_t>(range.size_bytes, kZeroPageBytes * kZeroPagesAtOnce);
  left_ = 0;
  while (left_ < bytes) {
    const size_t piece = std::min<uint64_t>(kZeroPageBytes, bytes - left_);
    HULL_CHECK(io_.AppendHost(std::span(zero_page).first(piece)));
    left_ += piece;
  }
  offset_ = range.offset;
  range.offset += bytes;
  range.size_bytes -= bytes;
  const auto file = std::get<DiskMap::FilePart>(device_.map_.At(offset_).what);
  fd = file.fd;
  Execute(device_.write_through_ ? Kind::kWriteDurable : Kind::kWrite, file.file_offset);
}

void Request::Execute(Kind operation, uint64_t at) {
  kind = operation;
  offset = at;
  vectors = io_.data();
  vector_count = static_cast<uint32_t>(io_.count());
  device_.engine_.Start(*this);
}

void Request::Done(int result) {
  // The driver waits for its reset: what is done is done, the rest is not begun.
  if (device_.in_flight_.closed()) return End(VIRTIO_BLK_S_IOERR);
  const bool refused = result == -EOPNOTSUPP || result == -EINVAL;
  if (type_ == VIRTIO_BLK_T_WRITE_ZEROES && !writing_zeroes_ && refused) {
    writing_zeroes_ = true;
    return Continue();
  }
  if (result < 0) return EndHostError(-result);
  if (kind == Kind::kPunchHole || kind == Kind::kZeroRange) {
    ranges_.pop_back();
    return Continue();
  }
  if (kind == Kind::kFlush) return Continue();
  // A file that ends before the disk does has been cut short behind our back.
  if (result == 0) return EndHostError(EIO);
  const auto bytes = static_cast<uint64_t>(result);
  io_.DropFront(bytes);
  offset_ += bytes;
  left_ -= bytes;
  if (!writing_zeroes_) moved_ += bytes;
  if (!io_.empty()) return Execute(kind, offset + bytes);
  Continue();
}

void Request::End(uint8_t status) {
  status_ = status;
  device_.Finish(*this);
}

void Request::EndGuestError(uint8_t status) {
  device_.guest_errors_.Add();
  End(status);
}

void Request::EndHostError(int error_number) {
  device_.CountError(*this, error_number);
  const bool unsupported = error_number == EOPNOTSUPP && type_ == VIRTIO_BLK_T_DISCARD;
  End(unsupported ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR);
}

}  // namespace hull::block
