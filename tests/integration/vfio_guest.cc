// PID 1 of the guest of the vfio tests: tries each device on its PCI bus that it knows, says one
// line about each thing tried ("edu dma ok"), and switches the machine off.
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

namespace {

constexpr uint64_t kPage = 4096;

void Say(const std::string& what, bool ok, const std::string& more = "") {
  std::cout << "RESULT " << what << (ok ? " ok" : " failed") << (more.empty() ? "" : " ") << more
            << "\n"
            << std::flush;
}

std::string ReadText(const std::filesystem::path& path) {
  std::string text;
  std::getline(std::ifstream(path), text);
  return text;
}

void WriteText(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << text << std::flush;
}

template <typename Ready>
bool WaitFor(Ready ready) {
  for (int i = 0; i < 500 && !ready(); ++i) ::usleep(10'000);
  return ready();
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
  ::close(fd);
  std::ifstream interrupts("/proc/interrupts");
  uint64_t count = 0;
  for (std::string line; std::getline(interrupts, line);) {
    if (line.find("nvme0q1") != std::string::npos && line.find("MSI") != std::string::npos) {
      count += std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10);
    }
  }
  Say("nvme interrupts", count >= 64, std::to_string(count));
}

// --- edu: QEMU's teaching device (docs/specs/edu.txt), driven through the guest's own VFIO.
// -------
class Edu {
 public:
  explicit Edu(const std::string& address) {
    const std::filesystem::path device = "/sys/bus/pci/devices/" + address;
    WriteText("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "1");
    WriteText(device / "driver_override", "vfio-pci");
    WriteText("/sys/bus/pci/drivers_probe", address);
    const std::string group = std::filesystem::read_symlink(device / "iommu_group").filename();
    const int container = ::open("/dev/vfio/vfio", O_RDWR);
    const int group_fd = ::open(("/dev/vfio/noiommu-" + group).c_str(), O_RDWR);
    ::ioctl(group_fd, VFIO_GROUP_SET_CONTAINER, &container);
    ::ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU);
    fd_ = ::ioctl(group_fd, VFIO_GROUP_GET_DEVICE_FD, address.c_str());
    const uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    vfio_region_info config = {};
    config.argsz = sizeof(config);
    config.index = VFIO_PCI_CONFIG_REGION_INDEX;
    ::ioctl(fd_, VFIO_DEVICE_GET_REGION_INFO, &config);
    if (::pwrite(fd_, &command, 2, static_cast<off_t>(config.offset) + PCI_COMMAND) != 2) return;
    void* const mapped = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (mapped != MAP_FAILED) registers_ = static_cast<volatile uint32_t*>(mapped);
  }
  bool valid() const { return registers_ != nullptr; }

  uint32_t Get(uint32_t offset) const { return registers_[offset / 4]; }
  void Set(uint32_t offset, uint32_t value) const { registers_[offset / 4] = value; }
  void Set64(uint32_t offset, uint64_t value) const {
    *reinterpret_cast<volatile uint64_t*>(registers_ + offset / 4) = value;
  }
  // False when the device does not end it.
  bool Dma(uint64_t from, uint64_t to, uint64_t size_bytes, bool to_memory) const {
    Set64(0x80, from);
    Set64(0x88, to);
    Set64(0x90, size_bytes);
    Set64(0x98, to_memory ? 3 : 1);
    return WaitFor([&] { return (Get(0x98) & 1) == 0; });
  }
  // Waits for one interrupt of the kind after asking for one.
  bool Interrupt(uint32_t index) const {
    const int event = ::eventfd(0, EFD_NONBLOCK);
    std::array<char, sizeof(vfio_irq_set) + sizeof(int)> buffer = {};
    vfio_irq_set set = {};
    set.argsz = buffer.size();
    set.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    set.index = index;
    set.count = 1;
    std::memcpy(buffer.data(), &set, sizeof(set));
    std::memcpy(buffer.data() + sizeof(set), &event, sizeof(event));
    if (::ioctl(fd_, VFIO_DEVICE_SET_IRQS, buffer.data()) != 0) return false;
    bool came = true;
    for (uint32_t round = 0; round < 3 && came; ++round) {
      Set(0x60, 1U << round);
      pollfd wait = {.fd = event, .events = POLLIN, .revents = 0};
      came = ::poll(&wait, 1, 5000) == 1 && Get(0x24) == 1U << round;
      Set(0x64, 1U << round);
      uint64_t count = 0;
      came = came && ::read(event, &count, sizeof(count)) == sizeof(count);
      if (index == VFIO_PCI_INTX_IRQ_INDEX) {
        vfio_irq_set unmask = {};
        unmask.argsz = sizeof(unmask);
        unmask.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
        unmask.count = 1;
        ::ioctl(fd_, VFIO_DEVICE_SET_IRQS, &unmask);
      }
    }
    set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
    set.count = 0;
    set.argsz = sizeof(set);
    ::ioctl(fd_, VFIO_DEVICE_SET_IRQS, &set);
    return came;
  }

 private:
  int fd_ = -1;
  volatile uint32_t* registers_ = nullptr;
};

uint64_t PhysicalAddress(const void* page) {
  const int fd = ::open("/proc/self/pagemap", O_RDONLY);
  uint64_t entry = 0;
  const auto at = static_cast<off_t>(reinterpret_cast<uintptr_t>(page) / kPage * sizeof(entry));
  if (::pread(fd, &entry, sizeof(entry), at) != sizeof(entry)) entry = 0;
  ::close(fd);
  return (entry & ((1ULL << 55U) - 1)) * kPage;
}

void TryEdu(const std::string& address) {
  const Edu edu(address);
  if (!edu.valid()) return Say("edu", false, "cannot be opened");
  Say("edu identity", (edu.Get(0) & 0xffff) == 0x00ed);
  edu.Set(0x08, 5);
  Say("edu factorial", WaitFor([&] { return (edu.Get(0x20) & 1) == 0; }) && edu.Get(0x08) == 120);
  Say("edu intx", edu.Interrupt(VFIO_PCI_INTX_IRQ_INDEX));
  Say("edu msi", edu.Interrupt(VFIO_PCI_MSI_IRQ_INDEX));
  Say("edu intx again", edu.Interrupt(VFIO_PCI_INTX_IRQ_INDEX));
  constexpr uint64_t kBuffer =
      0x40000;  // in the device, 4 KiB of which QEMU 7.2 aborts at the last
  constexpr uint64_t kBytes = 2048;
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

int main() {
  ::mount("proc", "/proc", "proc", 0, nullptr);
  ::mount("sysfs", "/sys", "sysfs", 0, nullptr);
  ::mount("dev", "/dev", "devtmpfs", 0, nullptr);
  const std::filesystem::path devices = "/sys/bus/pci/devices";
  if (std::filesystem::exists(devices)) {
    for (const auto& entry : std::filesystem::directory_iterator(devices)) {
      const std::string id = ReadText(entry.path() / "vendor") + ReadText(entry.path() / "device");
      const std::string kind = ReadText(entry.path() / "class");
      Say("device " + entry.path().filename().string(), true, id + " " + kind);
      if (kind == "0x010802") TryNvme();
      if (id == "0x12340x11e8") TryEdu(entry.path().filename());
      if (id == "0x1af40x1110") TryMemory(entry.path().filename());
    }
  } else {
    Say("no pci", true);
  }
  Say("end", true);
  if (ReadText("/proc/cmdline").find("linger") != std::string::npos) ::pause();
  ::sync();
  ::reboot(RB_POWER_OFF);
}
