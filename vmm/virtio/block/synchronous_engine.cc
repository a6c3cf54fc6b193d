#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <memory>

#include "vmm/virtio/block/disk_engine.h"

namespace hull::block {
namespace {

ssize_t Execute(const DiskOperation& operation) {
  const auto offset = static_cast<off_t>(operation.offset);
  const auto size = static_cast<off_t>(operation.size_bytes);
  const auto count = static_cast<int>(operation.vector_count);
  switch (operation.kind) {
    case DiskOperation::Kind::kRead:
      return preadv(operation.fd, operation.vectors, count, offset);
    case DiskOperation::Kind::kWrite:
      return pwritev(operation.fd, operation.vectors, count, offset);
    case DiskOperation::Kind::kWriteDurable:
      return pwritev2(operation.fd, operation.vectors, count, offset, RWF_DSYNC);
    case DiskOperation::Kind::kFlush:
      return fdatasync(operation.fd);
    case DiskOperation::Kind::kPunchHole:
      return fallocate(operation.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);
    case DiskOperation::Kind::kZeroRange:
      return fallocate(operation.fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, size);
  }
  return -1;
}

class SynchronousEngine final : public DiskEngine {
 public:
  void Start(DiskOperation& operation) override { started_.push_back(&operation); }

  void Submit() override {
    Work();
    TellClients();
  }

  void Drain() override { Work(); }

  std::string_view name() const override { return "synchronous"; }

 private:
  void Work() {
    // Done() may start more.
    while (!started_.empty()) {
      DiskOperation* operation = started_.front();
      started_.pop_front();
      ssize_t result = 0;
      do {
        result = Execute(*operation);
      } while (result < 0 && errno == EINTR);
      operation->Done(result < 0 ? -errno : static_cast<int>(result));
    }
  }

  std::deque<DiskOperation*> started_;
};

}  // namespace

std::unique_ptr<DiskEngine> DiskEngine::CreateSynchronous() {
  return std::make_unique<SynchronousEngine>();
}

}  // namespace hull::block
