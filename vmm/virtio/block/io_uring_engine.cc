#include <fcntl.h>
#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "vmm/base/check.h"
#include "vmm/base/log.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event/watch.h"
#include "vmm/virtio/block/disk_engine.h"

namespace hull::block {
namespace {

// Small on purpose: the ring's pages count against what a VMM may use for itself. What does not fit
// waits in `waiting_`.
constexpr unsigned kRingEntries = 64;
// The kernel's own threads for operations that would block, for files and for everything else. Its
// default, four for each CPU, is more than one guest is worth.
constexpr unsigned kMaxWorkers = 4;

// liburing's ring, which is a C struct that must stay where it is.
class Ring {
 public:
  static Result<std::unique_ptr<Ring>> Create() {
    auto ring = std::unique_ptr<Ring>(new Ring);
    if (const int error = io_uring_queue_init(kRingEntries, &ring->ring_, 0); error < 0)
      return Fail(
          Error(ErrorCode::kUnavailable, Error::FromErrno(-error, "io_uring_setup").message()));
    ring->made_ = true;
    return ring;
  }
  ~Ring() {
    if (made_) io_uring_queue_exit(&ring_);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  io_uring* get() { return &ring_; }

 private:
  Ring() = default;
  io_uring ring_{};
  bool made_ = false;
};

void Prepare(io_uring_sqe* entry, DiskOperation& operation) {
  switch (operation.kind) {
    case DiskOperation::Kind::kRead:
      io_uring_prep_readv(entry, operation.fd, operation.vectors, operation.vector_count,
                          operation.offset);
      break;
    case DiskOperation::Kind::kWrite:
      io_uring_prep_writev(entry, operation.fd, operation.vectors, operation.vector_count,
                           operation.offset);
      break;
    case DiskOperation::Kind::kWriteDurable:
      io_uring_prep_writev2(entry, operation.fd, operation.vectors, operation.vector_count,
                            operation.offset, RWF_DSYNC);
      break;
    case DiskOperation::Kind::kFlush:
      io_uring_prep_fsync(entry, operation.fd, IORING_FSYNC_DATASYNC);
      break;
    case DiskOperation::Kind::kPunchHole:
      io_uring_prep_fallocate(entry, operation.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                              static_cast<off_t>(operation.offset),
                              static_cast<off_t>(operation.size_bytes));
      break;
    case DiskOperation::Kind::kZeroRange:
      io_uring_prep_fallocate(entry, operation.fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                              static_cast<off_t>(operation.offset),
                              static_cast<off_t>(operation.size_bytes));
      break;
  }
  io_uring_sqe_set_data(entry, &operation);
}

class IoUringEngine final : public DiskEngine {
 public:
  IoUringEngine(std::unique_ptr<Ring> ring, UniqueFd wake)
      : ring_(std::move(ring)), wake_(std::move(wake)) {}
  ~IoUringEngine() override { HULL_CHECK(in_flight_ == 0 && waiting_.empty() && again_.empty()); }

  Status Watch(EventLoop& loop) {
    HULL_ASSIGN(watch_, hull::Watch::Create(loop, wake_.get(), [this] { OnWake(); }));
    watch_->WatchReadable(true);
    return {};
  }

  void Start(DiskOperation& operation) override { waiting_.push_back(&operation); }

  void Submit() override {
    HULL_CHECK(!submitting_);
    submitting_ = true;
    waiting_.insert(waiting_.end(), again_.begin(), again_.end());
    again_.clear();
    // While we look ourselves, the kernel need not wake us.
    io_uring_cq_eventfd_toggle(ring_->get(), false);
    do {
      FillRing();
      if (io_uring_sq_ready(ring_->get()) > 0) SubmitToKernel();
    } while (Reap() > 0);
    io_uring_cq_eventfd_toggle(ring_->get(), true);
    submitting_ = false;
    // What was completed between the last look and the switch has woken nobody.
    if (io_uring_cq_ready(ring_->get()) > 0 || !again_.empty()) WakeLater();
    TellClients();
  }

  void Drain() override {
    while (true) {
      waiting_.insert(waiting_.end(), again_.begin(), again_.end());
      again_.clear();
      FillRing();
      if (in_flight_ == 0) return;
      const int result = io_uring_submit_and_wait(ring_->get(), 1);
      HULL_CHECK(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY);
      Reap();
    }
  }

  std::string_view name() const override { return "io_uring"; }

 private:
  void FillRing() {
    // Never more in flight than completions fit into the ring.
    while (!waiting_.empty() && in_flight_ < kRingEntries) {
      io_uring_sqe* entry = io_uring_get_sqe(ring_->get());
      if (entry == nullptr) return;
      Prepare(entry, *waiting_.front());
      waiting_.pop_front();
      ++in_flight_;
    }
  }

  void SubmitToKernel() {
    int result = 0;
    do {
      result = io_uring_submit(ring_->get());
    } while (result == -EINTR);
    // EAGAIN, EBUSY: the kernel is short of memory; the entries stay in the ring, and the next
    // completion or wake-up tries again.
    if (result < 0) {
      if (limit_.Allow()) log::Warn("io_uring_submit: error {}", -result);
      WakeLater();
    }
  }

  // Returns how many completions there were.
  unsigned Reap() {
    unsigned reaped = 0;
    io_uring_cqe* entry = nullptr;
    while (io_uring_peek_cqe(ring_->get(), &entry) == 0) {
      // SAFETY: set by Prepare; the operation outlives its completion (DiskOperation's contract).
      auto* operation = static_cast<DiskOperation*>(io_uring_cqe_get_data(entry));
      const int result = entry->res;
      io_uring_cqe_seen(ring_->get(), entry);
      --in_flight_;
      ++reaped;
      if (result == -EINTR || result == -EAGAIN) {
        // The kernel is short of something. Not at once: that could go on for ever.
        again_.push_back(operation);
      } else {
        operation->Done(result);
      }
    }
    return reaped;
  }

  void WakeLater() { HULL_CHECK(eventfd_write(wake_.get(), 1) == 0); }

  void OnWake() {
    eventfd_t count = 0;
    // EAGAIN: the wake-up was for completions that have been seen meanwhile.
    static_cast<void>(eventfd_read(wake_.get(), &count));
    Submit();
  }

  std::unique_ptr<Ring> ring_;
  UniqueFd wake_;
  std::unique_ptr<hull::Watch> watch_;
  std::deque<DiskOperation*> waiting_;
  std::vector<DiskOperation*> again_;  // to be tried again, later
  unsigned in_flight_ = 0;
  bool submitting_ = false;
  log::RateLimit limit_;
};

bool SupportsAll(io_uring* ring) {
  io_uring_probe* probe = io_uring_get_probe_ring(ring);
  if (probe == nullptr) return false;
  bool supported = true;
  for (const int operation :
       {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE})
    supported = supported && io_uring_opcode_supported(probe, operation) != 0;
  io_uring_free_probe(probe);
  return supported;
}

}  // namespace

Result<std::unique_ptr<DiskEngine>> DiskEngine::CreateIoUring(EventLoop& loop) {
  HULL_ASSIGN(std::unique_ptr<Ring> ring, Ring::Create());
  if (!SupportsAll(ring->get()))
    return Fail(ErrorCode::kUnavailable, "io_uring lacks an operation that disks need");
  std::array<unsigned, 2> workers{kMaxWorkers, kMaxWorkers};
  // An old kernel without this call keeps its own limit.
  static_cast<void>(io_uring_register_iowq_max_workers(ring->get(), workers.data()));
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return FailErrno("eventfd");
  if (const int error = io_uring_register_eventfd(ring->get(), wake.get()); error < 0)
    return Fail(Error::FromErrno(-error, "io_uring_register_eventfd"));
  auto engine = std::make_unique<IoUringEngine>(std::move(ring), std::move(wake));
  HULL_TRY(engine->Watch(loop));
  return engine;
}

std::unique_ptr<DiskEngine> DiskEngine::Create(EventLoop& loop) {
  Result<std::unique_ptr<DiskEngine>> engine = CreateIoUring(loop);
  if (engine) return std::move(engine).value();
  log::Warn("disks work without io_uring, and slower: {}", engine.error().ToString());
  return CreateSynchronous();
}

}  // namespace hull::block
