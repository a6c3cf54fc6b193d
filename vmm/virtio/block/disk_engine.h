// DiskEngine: what carries out a disk's operations on the host's files. One for all disks of a VM,
// on the I/O loop.
//
// Two kinds. With io_uring, operations run beside the loop; completions wake it through an eventfd.
// Where the host refuses io_uring (kernel.io_uring_disabled, a container's seccomp filter),
// operations run on the loop itself by preadv, pwritev and the like: slower, and a slow disk then
// delays the VM's other devices, but correct. A user behind such a filter can do nothing about it,
// so hull runs there and says so once, rather than refuse to start.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/event/event_loop.h"

namespace hull::block {

// One operation on one file. Made by a disk, which keeps it (and what it points to) alive and in
// place from Start() until Done().
class DiskOperation {
 public:
  enum class Kind {
    kRead,          // into `vectors`
    kWrite,         // from `vectors`
    kWriteDurable,  // the same, and on the medium before it is done (RWF_DSYNC)
    kFlush,         // what was written before is on the medium (fdatasync)
    kPunchHole,     // [offset, offset + size) reads as zeroes and takes no space
    kZeroRange,     // [offset, offset + size) reads as zeroes and keeps its space
  };

  virtual ~DiskOperation() = default;
  // Called once for each Start(), on the loop, maybe inside DiskEngine::Submit. `result` is the
  // number of bytes for reads and writes (fewer than asked: call it short), 0 for the others, or
  // -errno. May start the operation again, or destroy it.
  virtual void Done(int result) = 0;

  Kind kind = Kind::kRead;
  int fd = -1;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;         // kPunchHole, kZeroRange
  const iovec* vectors = nullptr;  // kRead, kWrite, kWriteDurable
  uint32_t vector_count = 0;
};

class DiskEngine {
 public:
  // A disk, as far as the engine knows it.
  class Client {
   public:
    // Some operations were done, and no more are for now: the time to tell the guest, once.
    virtual void AfterDone() = 0;

   protected:
    ~Client() = default;
  };

  // io_uring if the host allows it, else the other kind, with a warning in the log.
  static std::unique_ptr<DiskEngine> Create(EventLoop& loop);
  // kUnavailable when the host refuses io_uring.
  static Result<std::unique_ptr<DiskEngine>> CreateIoUring(EventLoop& loop);
  static std::unique_ptr<DiskEngine> CreateSynchronous();

  // All operations must be done before.
  virtual ~DiskEngine() = default;

  // Takes an operation in; nothing is done before Submit().
  virtual void Start(DiskOperation& operation) = 0;
  // Gives the kernel all that was started, in one system call, and calls Done() for what the kernel
  // could finish at once (reads from the page cache). Not to be called from Done().
  virtual void Submit() = 0;
  // Waits until nothing is in flight. For a disk's end, when the loop does not run any more.
  virtual void Drain() = 0;
  // "io_uring" or "synchronous", for the log and the counters.
  virtual std::string_view name() const = 0;

  // A client is removed before it ends.
  void AddClient(Client& client) { clients_.push_back(&client); }
  void RemoveClient(Client& client) { std::erase(clients_, &client); }

 protected:
  void TellClients() {
    for (Client* client : clients_) client->AfterDone();
  }

 private:
  std::vector<Client*> clients_;  // never null; not owned
};

}  // namespace hull::block
