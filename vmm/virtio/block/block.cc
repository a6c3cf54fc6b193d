#include "vmm/virtio/block/block.h"

#include <endian.h>
#include <linux/virtio_ids.h>

#include <array>
#include <cstring>
#include <utility>

#include "vmm/base/check.h"
#include "vmm/virtio/block/request.h"

namespace hull {
namespace {

static_assert(offsetof(virtio_blk_config, capacity) == 0);
static_assert(offsetof(virtio_blk_config, size_max) == 8);
static_assert(offsetof(virtio_blk_config, seg_max) == 12);
static_assert(offsetof(virtio_blk_config, blk_size) == 20);
static_assert(offsetof(virtio_blk_config, max_discard_sectors) == 36);
static_assert(offsetof(virtio_blk_config, max_write_zeroes_sectors) == 48);
static_assert(offsetof(virtio_blk_config, write_zeroes_may_unmap) == 56);

constexpr QueueIndex kRequestQueue{0};
constexpr std::array<uint16_t, 1> kQueueSizes{block::kQueueSize};

constexpr uint64_t Bit(unsigned feature) {
  return uint64_t{1} << feature;
}

virtio_blk_config ConfigOf(uint64_t sectors) {
  virtio_blk_config config{};
  config.capacity = htole64(sectors);
  config.size_max = htole32(block::kMaxSegmentBytes);
  config.seg_max = htole32(block::kMaxSegments);
  config.blk_size = htole32(DiskContent::kSectorBytes);
  config.max_discard_sectors = htole32(block::kMaxRangeSectors);
  config.max_discard_seg = htole32(block::kMaxDiscardRanges);
  config.discard_sector_alignment = htole32(block::kDiscardAlignmentSectors);
  config.max_write_zeroes_sectors = htole32(block::kMaxRangeSectors);
  config.max_write_zeroes_seg = htole32(block::kMaxWriteZeroesRanges);
  config.write_zeroes_may_unmap = 1;
  return config;
}

std::string_view Verb(uint32_t type) {
  switch (type) {
    case VIRTIO_BLK_T_IN:
      return "read";
    case VIRTIO_BLK_T_OUT:
      return "write";
    case VIRTIO_BLK_T_FLUSH:
      return "flush";
    case VIRTIO_BLK_T_DISCARD:
      return "discard";
    default:
      return "write zeroes";
  }
}

}  // namespace

Block::Block(Options options, block::DiskMap map, block::DiskEngine& engine)
    : options_(std::move(options)),
      name_("block " + options_.id),
      map_(std::move(map)),
      engine_(engine),
      config_(ConfigOf(map_.sectors())) {
  engine_.AddClient(*this);
}

Block::~Block() {
  if (!in_flight_.closed()) in_flight_.Close([] {});
  engine_.Drain();
  engine_.RemoveClient(*this);
}

Result<std::unique_ptr<Block>> Block::Create(Options options, DiskContent content,
                                             block::DiskEngine& engine) {
  HULL_ASSIGN_WITHIN("block " + options.id, block::DiskMap map,
                     block::DiskMap::Create(std::move(content), options.read_only));
  return std::unique_ptr<Block>(new Block(std::move(options), std::move(map), engine));
}

uint32_t Block::device_id() const {
  return VIRTIO_ID_BLOCK;
}

uint64_t Block::features() const {
  uint64_t features = Bit(VIRTIO_BLK_F_SIZE_MAX) | Bit(VIRTIO_BLK_F_SEG_MAX) |
                      Bit(VIRTIO_BLK_F_BLK_SIZE) | Bit(VIRTIO_BLK_F_FLUSH);
  if (options_.read_only) return features | Bit(VIRTIO_BLK_F_RO);
  features |= Bit(VIRTIO_BLK_F_WRITE_ZEROES);
  if (options_.discard) features |= Bit(VIRTIO_BLK_F_DISCARD);
  return features;
}

std::span<const uint16_t> Block::queue_sizes() const {
  return kQueueSizes;
}

void Block::ReadConfig(uint64_t offset, std::span<std::byte> out) const {
  ReadConfigFrom(std::as_bytes(std::span(&config_, 1)), offset, out);
}

Status Block::Activate(Activation activation) {
  HULL_CHECK(!requests_ && activation.queues.size() == 1);
  requests_ = std::move(activation.queues[0]);
  driver_ = activation.driver;
  // virtio 1.2, 5.2.5.1: a driver that cannot flush may take every write to be on the medium when
  // it is answered.
  write_through_ = (activation.features & Bit(VIRTIO_BLK_F_FLUSH)) == 0;
  broken_ = false;
  if (in_flight_.closed()) in_flight_.Open();
  return {};
}

Status Block::OnQueueNotified(QueueIndex /*queue*/) {
  if (!requests_ || broken_ || in_flight_.closed()) return {};
  Status status = Work();
  broken_ = !status;
  return status;
}

Status Block::Work() {
  Status status;
  for (uint32_t seen = 0; status; ++seen) {
    if (seen == block::kRequestsPerTurn) {
      driver_->NotifyAgain(kRequestQueue);
      break;
    }
    Result<std::optional<DescriptorChain>> chain = requests_->Pop();
    if (!chain) {
      status = Fail(std::move(chain).error());
    } else if (*chain) {
      status = Begin(std::move(**chain));
    } else {
      break;
    }
  }
  engine_.Submit();
  return status;
}

Status Block::Begin(DescriptorChain chain) {
  std::optional<Gate::Pass> pass = in_flight_.Enter();
  HULL_CHECK(pass.has_value());  // closed only by Reset, which takes the queue away
  if (spare_requests_.empty()) {
    // At most as many as the queue is long: each holds a chain of it.
    all_requests_.push_back(std::make_unique<block::Request>(*this));
    spare_requests_.push_back(all_requests_.back().get());
  }
  block::Request* request = spare_requests_.back();
  spare_requests_.pop_back();
  if (request->Begin(std::move(chain), std::move(*pass))) return {};
  spare_requests_.push_back(request);
  guest_errors_.Add();
  return Fail(ErrorCode::kInvalidArgument, "request without room for its status");
}

void Block::Finish(block::Request& request) {
  DescriptorChain chain = request.TakeChain();
  const std::optional<Gate::Pass> pass = request.TakePass();
  spare_requests_.push_back(&request);
  if (in_flight_.closed()) {
    // The driver has reset the device. The pass may be the last one, whose end answers it.
    std::move(chain).Abandon();
    return;
  }
  if (request.type() == VIRTIO_BLK_T_IN) bytes_read_.Add(request.moved_bytes());
  if (request.type() == VIRTIO_BLK_T_OUT) bytes_written_.Add(request.moved_bytes());

  // The status is the last writable byte, wherever the descriptors are cut (virtio 1.2, 5.2.6).
  ChainWriter& writer = chain.writer();
  IoVectors passed_over;
  while (writer.remaining_bytes() > 1) {
    passed_over.Clear();
    writer.Take(writer.remaining_bytes() - 1, passed_over);
  }
  const uint8_t status = request.status();
  HULL_CHECK(writer.WriteObject(status));
  // The used length is what was written from the front on, and the status may lie behind a gap.
  if (request.written_bytes() + sizeof(status) < chain.writable_bytes())
    writer.LimitUsed(request.written_bytes());
  requests_->Complete(std::move(chain));
  answered_ = true;
}

void Block::AfterDone() {
  if (!std::exchange(answered_, false) || !requests_) return;
  requests_->NotifyGuest();
}

void Block::CountError(const block::Request& request, int error_number) {
  host_errors_.Add();
  if (limit_.Allow())
    log::Warn("{}: {} at sector {}: {}", name_, Verb(request.type()), request.sector(),
              std::strerror(error_number));
}

void Block::Reset(Task done) {
  if (in_flight_.closed()) {  // never active, or reset twice
    done();
    return;
  }
  auto finish = std::make_shared<Task>(std::move(done));
  in_flight_.Close([this, finish] {
    requests_.reset();
    driver_ = nullptr;
    (*finish)();
  });
}

CounterReadings Block::Counters() const {
  return {{"reads", reads_.value()},
          {"writes", writes_.value()},
          {"flushes", flushes_.value()},
          {"discards", discards_.value()},
          {"write_zeroes", write_zeroes_.value()},
          {"bytes_read", bytes_read_.value()},
          {"bytes_written", bytes_written_.value()},
          {"host_errors", host_errors_.value()},
          {"guest_errors", guest_errors_.value()}};
}

}  // namespace hull
