// PID 1 of a guest of tests/bench/passthrough: reads pages of 4 KiB at random places of an NVMe
// disk, with as many requests at once as it is told, and ends the machine. Words of the kernel's
// command line: reads=N depth=N; idle=SECONDS: does nothing for so long; restart (a machine that
// cannot be switched off). Before what counts, and behind it, it executes CPUID with a leaf that
// nobody else asks for: an exit that the host's trace shows. It says what idle CPUs do.
#include <cpuid.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

namespace {

constexpr uint64_t kBlockBytes = 4096;
constexpr size_t kMaxDepth = 64;
constexpr uint64_t kWarmUpReads = 200;
constexpr uint32_t kBeginMark = 0x5a5a'0001;
constexpr uint32_t kEndMark = 0x5a5a'0002;
constexpr uint64_t kDiskBytes = 32ULL << 20U;  // of what is there

uint64_t Word(const std::string& line, const std::string& name, uint64_t otherwise) {
  const size_t at = line.find(" " + name + "=");
  if (at == std::string::npos) return otherwise;
  return std::strtoull(line.c_str() + at + name.size() + 2, nullptr, 10);
}

void Mark(uint32_t leaf) {
  uint32_t a = 0, b = 0, c = 0, d = 0;
  __cpuid(leaf, a, b, c, d);
}

int OpenDisk() {
  for (int i = 0; i < 1000; ++i) {
    const int fd = ::open("/dev/nvme0n1", O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd >= 0) return fd;
    ::usleep(10'000);
  }
  return -1;
}

// The same places for everybody.
class Places {
 public:
  uint64_t Next() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state_ >> 33U) % (kDiskBytes / kBlockBytes) * kBlockBytes;
  }

 private:
  uint64_t state_ = 1;
};

bool ReadAll(int fd, uint64_t reads, size_t depth) {
  aio_context_t context = 0;
  if (::syscall(SYS_io_setup, kMaxDepth, &context) != 0) return false;
  std::array<iocb, kMaxDepth> requests = {};
  std::array<io_event, kMaxDepth> events = {};
  auto* const buffers =
      static_cast<char*>(std::aligned_alloc(kBlockBytes, kMaxDepth * kBlockBytes));
  Places places;
  uint64_t begun = 0;
  const auto begin = [&](size_t slot) {
    iocb& request = requests[slot];
    request.aio_data = slot;
    request.aio_lio_opcode = IOCB_CMD_PREAD;
    request.aio_fildes = static_cast<uint32_t>(fd);
    request.aio_buf = reinterpret_cast<uintptr_t>(buffers + slot * kBlockBytes);
    request.aio_nbytes = kBlockBytes;
    request.aio_offset = static_cast<int64_t>(places.Next());
    iocb* one = &request;
    ++begun;
    return ::syscall(SYS_io_submit, context, 1, &one) == 1;
  };
  for (size_t slot = 0; slot < depth && begun < reads; ++slot) {
    if (!begin(slot)) return false;
  }
  for (uint64_t done = 0; done < reads;) {
    const long count = ::syscall(SYS_io_getevents, context, 1, depth, events.data(), nullptr);
    if (count <= 0) return false;
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      if (events[i].res != static_cast<int64_t>(kBlockBytes)) return false;
      ++done;
      if (begun < reads && !begin(events[i].data)) return false;
    }
  }
  return true;
}

}  // namespace

int main() {
  ::mount("proc", "/proc", "proc", 0, nullptr);
  ::mount("dev", "/dev", "devtmpfs", 0, nullptr);
  ::mount("sysfs", "/sys", "sysfs", 0, nullptr);
  std::string line;
  std::getline(std::ifstream("/proc/cmdline"), line);
  line = " " + line;
  const uint64_t reads = Word(line, "reads", 0);
  std::string idle_driver;
  std::getline(std::ifstream("/sys/devices/system/cpu/cpuidle/current_driver"), idle_driver);
  std::cout << "idle driver " << idle_driver << "\n";
  bool ok = true;
  if (const uint64_t seconds = Word(line, "idle", 0); seconds != 0) {
    Mark(kBeginMark);
    ::sleep(static_cast<unsigned>(seconds));
    Mark(kEndMark);
  }
  if (reads != 0) {
    const int fd = OpenDisk();
    const auto depth = static_cast<size_t>(Word(line, "depth", 1));
    ok = fd >= 0 && ReadAll(fd, kWarmUpReads, depth);
    Mark(kBeginMark);
    ok = ok && ReadAll(fd, reads, depth);
    Mark(kEndMark);
  }
  std::cout << (ok ? "bench ok" : "bench failed") << "\n" << std::flush;
  ::sync();
  ::reboot(line.find(" restart") != std::string::npos ? RB_AUTOBOOT : RB_POWER_OFF);
  return 1;
}
