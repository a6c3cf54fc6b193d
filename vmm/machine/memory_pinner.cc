#include "vmm/machine/memory_pinner.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <utility>

#include "vmm/base/check.h"

namespace hull {
namespace {

// More threads than this only wait for the host's memory.
constexpr size_t kMaxThreads = 8;
// What is worth a thread of its own.
constexpr uint64_t kBytesPerThread = 256ULL << 20U;

// `range` in pieces that end at multiples of `size_bytes`, so that huge pages stay whole.
std::vector<GuestRange> Split(const GuestRange& range, uint64_t size_bytes) {
  std::vector<GuestRange> pieces;
  uint64_t at = range.start().value();
  const uint64_t end = range.end().value();
  while (at < end) {
    const uint64_t next = std::min(end, (at / size_bytes + 1) * size_bytes);
    pieces.push_back(GuestRange::Make(GuestAddress(at), next - at).value_or(GuestRange()));
    at = next;
  }
  return pieces;
}

size_t UsableProcessors() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return static_cast<size_t>(CPU_COUNT(&set));
}

}  // namespace

MemoryPinner::MemoryPinner(const std::vector<GuestRange>& ranges, size_t threads, Steps steps,
                           Events events)
    : steps_(std::move(steps)), events_(std::move(events)), thread_count_(threads) {
  HULL_CHECK(threads > 0);
  for (const GuestRange& range : ranges) {
    total_bytes_ += range.size_bytes();
    for (const GuestRange& chunk : Split(range, kPinnedBytes)) {
      const std::vector<GuestRange> pieces = Split(chunk, kPopulatedBytes);
      for (const GuestRange& piece : pieces) {
        pieces_.push_back({.range = piece, .chunk = chunks_.size()});
      }
      chunks_.push_back({.range = chunk, .unpopulated = pieces.size()});
    }
  }
}

MemoryPinner::~MemoryPinner() {
  Cancel();
}

size_t MemoryPinner::ThreadsFor(uint64_t total_bytes) {
  const size_t wanted = std::max<uint64_t>(1, total_bytes / kBytesPerThread);
  return std::min({wanted, kMaxThreads, std::max<size_t>(1, UsableProcessors())});
}

void MemoryPinner::Start() {
  reported_ = std::chrono::steady_clock::now();
  for (size_t i = 0; i < thread_count_; ++i) {
    threads_.emplace_back([this, i] {
      ::pthread_setname_np(::pthread_self(), "pin");
      if (i == 0) {
        Pin();
        return;
      }
      while (PopulateNext()) {
      }
    });
  }
}

void MemoryPinner::Cancel() {
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  populated_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void MemoryPinner::Pin() {
  Status status = PinAll();
  // For whoever still makes pages present, when it was no success.
  next_piece_ = pieces_.size();
  if (!cancelled_) events_.on_end(std::move(status));
}

Status MemoryPinner::PinAll() {
  uint64_t done_bytes = 0;
  for (size_t i = 0; i < chunks_.size(); ++i) {
    WaitFor(i);
    if (cancelled_) return {};
    HULL_TRY(steps_.pin(chunks_[i].range));
    done_bytes += chunks_[i].range.size_bytes();
    Report(done_bytes);
  }
  return {};
}

// The thread that pins helps with the rest before it waits for the others.
void MemoryPinner::WaitFor(size_t chunk) {
  const auto is_ready = [this, chunk] { return cancelled_ || chunks_[chunk].unpopulated == 0; };
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (is_ready()) return;
    }
    if (!PopulateNext()) break;
  }
  std::unique_lock lock(mutex_);
  populated_.wait(lock, is_ready);
}

bool MemoryPinner::PopulateNext() {
  if (cancelled_) return false;
  const size_t index = next_piece_.fetch_add(1, std::memory_order_relaxed);
  if (index >= pieces_.size()) return false;
  steps_.populate(pieces_[index].range);
  {
    const std::lock_guard lock(mutex_);
    --chunks_[pieces_[index].chunk].unpopulated;
  }
  populated_.notify_all();
  return true;
}

void MemoryPinner::Report(uint64_t done_bytes) {
  const auto now = std::chrono::steady_clock::now();
  if (now - reported_ < kReportInterval) return;
  reported_ = now;
  events_.on_progress({.done_bytes = done_bytes, .total_bytes = total_bytes_});
}

}  // namespace hull
