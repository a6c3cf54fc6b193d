// PID 1 of the guest of the vfio tests: tries each device on its PCI bus that it knows, says one
// line about each thing tried ("edu dma ok"), and switches the machine off.
#include <fcntl.h>
#include <linux/vfio.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <string>

#include "tests/integration/guest_device.h"

namespace hull::integration {
namespace {

constexpr uint64_t kPage = kPageBytes;

// This thread goes on on that CPU.
void GoTo(size_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::sched_setaffinity(0, sizeof(set), &set);
}

// --- A disk: the first block says what is there, the block after the last gets a copy. -----------
void TryNvme() {
  const char* const disk = "/dev/nvme0n1";
  if (!WaitFor([&] { return ::access(disk, F_OK) == 0; })) return Say("nvme", false, "no disk");
  const int fd = ::open(disk, O_RDWR | O_DIRECT);
  auto* const buffer = static_cast<char*>(std::aligned_alloc(kPage, kPage));
  const bool has_read = fd >= 0 && ::pread(fd, buffer, kPage, 0) == kPage;
  Say("nvme read", has_read, std::string(buffer, ::strnlen(buffer, 32)));
  bool wrote = has_read;
  for (off_t i = 1; i <= 64 && wrote; ++i) wrote = ::pwrite(fd, buffer, kPage, i * 4096) == kPage;
  Say("nvme write", wrote && ::fsync(fd) == 0);
  // Each CPU has a queue and a vector of its own (managed by the driver), and its interrupts.
  for (size_t cpu = 0; cpu < Cpus(); ++cpu) {
    GoTo(cpu);
    for (off_t i = 0; i < 64 && wrote; ++i) wrote = ::pread(fd, buffer, kPage, i * 4096) == kPage;
  }
  ::close(fd);
  for (size_t cpu = 0; cpu < Cpus(); ++cpu) {
    const std::string queue = "nvme0q" + std::to_string(cpu + 1);
    uint64_t here = 0;
    uint64_t elsewhere = 0;
    for (const InterruptLine& line : Interrupts()) {
      if (!line.Names(queue) || !line.Names("MSI")) continue;
      for (size_t i = 0; i < Cpus(); ++i) (i == cpu ? here : elsewhere) += line.counts[i];
    }
    Say("nvme interrupts " + std::to_string(cpu), wrote && here >= 64 && elsewhere == 0,
        std::to_string(here) + " " + std::to_string(elsewhere));
  }
}

// --- edu: QEMU's teaching device.
// -----------------------------------------------------------------
void TryEdu(const std::string& address) {
  const Edu edu(address);
  if (!edu.valid()) return Say("edu", false, "cannot be opened");
  Say("edu identity", (edu.Get(0) & 0xffff) == 0x00ed);
  edu.Set(0x08, 5);
  Say("edu factorial", WaitFor([&] { return (edu.Get(0x20) & 1) == 0; }) && edu.Get(0x08) == 120);
  Say("edu intx", edu.InterruptEveryCpu(VFIO_PCI_INTX_IRQ_INDEX));
  Say("edu msi", edu.InterruptEveryCpu(VFIO_PCI_MSI_IRQ_INDEX));
  Say("edu intx again", edu.InterruptEveryCpu(VFIO_PCI_INTX_IRQ_INDEX));
  constexpr uint64_t kBuffer = Edu::kBuffer;
  constexpr uint64_t kBytes = Edu::kBufferBytes;
  auto* const page =
      static_cast<uint8_t*>(::mmap(nullptr, kPage, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0));
  for (size_t i = 0; i < kBytes; ++i) page[i] = static_cast<uint8_t>(i * 7 + 3);
  const uint64_t physical = PhysicalAddress(page);
  bool ok = physical != 0 && edu.Dma(physical, kBuffer, kBytes, false);
  std::memset(page, 0, kPage);
  ok = ok && edu.Dma(kBuffer, physical, kBytes, true);
  for (size_t i = 0; i < kBytes && ok; ++i) ok = page[i] == static_cast<uint8_t>(i * 7 + 3);
  Say("edu dma", ok);
  // Behind the guest's memory: the IOMMU has nothing there.
  std::memset(page, 0x5a, kPage);
  constexpr uint64_t kWrittenBeyond = 0xc00'0000;
  constexpr uint64_t kReadBeyond = 0xd00'0000;
  edu.Dma(kBuffer, kWrittenBeyond, kBytes, true);
  edu.Dma(kReadBeyond, kBuffer, kBytes, false);
  edu.Dma(kBuffer, physical, kBytes, true);
  // What a refused read leaves in the device is its own: what was there, zeroes or ones. Anything
  // else would be somebody's memory.
  bool nothing = true;
  for (size_t i = 0; i < kBytes && nothing; ++i) {
    nothing = page[i] == static_cast<uint8_t>(i * 7 + 3) || page[i] == 0 || page[i] == 0xff;
  }
  Say("edu beyond", nothing);
}

// The device has a pool, which this program's memory is not in.
void TryEduOutsideThePool(const std::string& address) {
  const Edu edu(address);
  if (!edu.valid()) return Say("edu", false, "cannot be opened");
  auto* const page =
      static_cast<uint8_t*>(::mmap(nullptr, kPage, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0));
  std::memset(page, 0x5a, kPage);
  const uint64_t physical = PhysicalAddress(page);
  // Its buffer has zeroes.
  bool untouched = physical != 0 && edu.Dma(Edu::kBuffer, physical, Edu::kBufferBytes, true);
  edu.Dma(physical, Edu::kBuffer, Edu::kBufferBytes, false);
  for (size_t i = 0; i < kPage && untouched; ++i) untouched = page[i] == 0x5a;
  std::ostringstream text;
  text << std::hex << "0x" << physical;
  Say("edu outside", untouched, text.str());
}

// The device writes into memory until the machine ends.
void WriteForEver(const std::string& address) {
  const Edu edu(address);
  const size_t bytes = 64 * kPage;
  auto* const pages =
      static_cast<uint8_t*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0));
  if (!edu.valid() || pages == MAP_FAILED) return Say("dma", false);
  for (size_t i = 0;; i = (i + kPage) % bytes) {
    edu.Dma(Edu::kBuffer, PhysicalAddress(pages + i), Edu::kBufferBytes, true);
    if (i == 0) Say("dma", true);
  }
}

// --- ivshmem: memory behind region 2.
// -------------------------------------------------------------
void TryMemory(const std::string& address) {
  const std::filesystem::path device = "/sys/bus/pci/devices/" + address;
  WriteText(device / "enable", "1");
  struct stat info = {};
  const int fd = ::open((device / "resource2").c_str(), O_RDWR);
  if (fd < 0 || ::fstat(fd, &info) != 0) return Say("ivshmem", false, "no region");
  const auto size = static_cast<uint64_t>(info.st_size);
  bool ok = size != 0;
  for (const uint64_t at : {uint64_t{0}, size / 2, size - kPage}) {
    void* const mapped =
        ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(at));
    if (mapped == MAP_FAILED) {
      ok = false;
      break;
    }
    auto* const word = static_cast<volatile uint64_t*>(mapped);
    *word = at ^ 0x1234'5678'9abc'def0;
    ok = ok && *word == (at ^ 0x1234'5678'9abc'def0);
  }
  Say("ivshmem " + std::to_string(size >> 20U), ok);
}

}  // namespace

int GuestMain() {
  ::mount("proc", "/proc", "proc", 0, nullptr);
  ::mount("sysfs", "/sys", "sysfs", 0, nullptr);
  ::mount("dev", "/dev", "devtmpfs", 0, nullptr);
  const std::filesystem::path devices = "/sys/bus/pci/devices";
  const bool writes_for_ever = ReadText("/proc/cmdline").find("dma-for-ever") != std::string::npos;
  const bool has_pool = ReadText("/proc/cmdline").find("outside-pool") != std::string::npos;
  if (std::filesystem::exists(devices)) {
    for (const auto& entry : std::filesystem::directory_iterator(devices)) {
      const std::string id = ReadText(entry.path() / "vendor") + ReadText(entry.path() / "device");
      const std::string kind = ReadText(entry.path() / "class");
      Say("device " + entry.path().filename().string(), true, id + " " + kind);
      if (writes_for_ever && id == "0x12340x11e8") WriteForEver(entry.path().filename());
      if (kind == "0x010802") TryNvme();
      if (id == "0x12340x11e8") {
        (has_pool ? TryEduOutsideThePool : TryEdu)(entry.path().filename());
      }
      if (id == "0x1af40x1110") TryMemory(entry.path().filename());
    }
  } else {
    Say("no pci", true);
  }
  Say("end", true);
  if (ReadText("/proc/cmdline").find("linger") != std::string::npos) ::pause();
  ::sync();
  ::reboot(RB_POWER_OFF);
  return 1;
}

}  // namespace hull::integration

int main() {
  return hull::integration::GuestMain();
}
