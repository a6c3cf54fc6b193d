// MemoryPinner: makes the guest's memory present and pins it for the machine's devices, on threads
// of its own, so that the control loop can meanwhile tell how far it is, and end it.
//
// Nearly all of the work is the host's zeroing of pages. So several threads make pages present, and
// one of them gives the host's IOMMU what is complete, in the order of the addresses.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "vmm/api/outcome.h"
#include "vmm/base/result.h"
#include "vmm/memory/guest_range.h"

namespace hull {

class MemoryPinner {
 public:
  // The least time between two reports of progress.
  static constexpr std::chrono::milliseconds kReportInterval{1000};
  // What one thread makes present in one go: as long may ending it take.
  static constexpr uint64_t kPopulatedBytes = 64ULL << 20U;
  // What is pinned in one go. VFIO keeps at most 65,535 mappings: with these, 16 TiB.
  static constexpr uint64_t kPinnedBytes = 256ULL << 20U;

  // What it works with, on the pinner's threads. Both get pieces that cross none of the ranges.
  struct Steps {
    // Several at once. May do nothing: pinning makes present what is not.
    std::function<void(const GuestRange&)> populate;
    std::function<Status(const GuestRange&)> pin;
  };
  struct Events {
    // About once a second.
    std::function<void(const api::PinningProgress&)> on_progress;
    // Last of all, and not after Cancel: success, or why a piece could not be pinned.
    std::function<void(Status)> on_end;
  };

  // `threads` at least 1.
  MemoryPinner(const std::vector<GuestRange>& ranges, size_t threads, Steps steps, Events events);
  // Cancels.
  ~MemoryPinner();
  MemoryPinner(const MemoryPinner&) = delete;
  MemoryPinner& operator=(const MemoryPinner&) = delete;

  // Called once.
  void Start();
  // Waits for what the threads are doing, and no more happens. From another thread than theirs.
  void Cancel();

  // How many threads are worth their while for so much memory on this host.
  static size_t ThreadsFor(uint64_t total_bytes);

 private:
  // A piece that is pinned, and how much of it is to be made present before that.
  struct Chunk {
    GuestRange range;
    size_t unpopulated;  // pieces; under mutex_
  };
  struct Piece {
    GuestRange range;
    size_t chunk;
  };

  void Pin();
  Status PinAll();
  // Makes the next piece present that nobody has begun with; false when there is none.
  bool PopulateNext();
  void WaitFor(size_t chunk);
  void Report(uint64_t done_bytes);

  const Steps steps_;
  const Events events_;
  const size_t thread_count_;
  uint64_t total_bytes_ = 0;
  std::vector<Chunk> chunks_;
  std::vector<Piece> pieces_;
  std::atomic<size_t> next_piece_ = 0;
  std::atomic<bool> cancelled_ = false;
  std::chrono::steady_clock::time_point reported_;  // of the thread that pins
  std::mutex mutex_;
  std::condition_variable populated_;
  std::vector<std::thread> threads_;
};

}  // namespace hull
