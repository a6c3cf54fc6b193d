#include "tests/integration/guest_device.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

namespace hull::integration {

void Say(const std::string& what, bool ok, const std::string& more) {
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

size_t Cpus() {
  return static_cast<size_t>(::sysconf(_SC_NPROCESSORS_ONLN));
}

std::vector<InterruptLine> Interrupts() {
  std::vector<InterruptLine> lines;
  std::ifstream file("/proc/interrupts");
  std::string text;
  std::getline(file, text);  // the heading
  while (std::getline(file, text)) {
    std::istringstream words(text);
    InterruptLine line;
    words >> line.number;
    if (line.number.empty()) continue;
    line.number.pop_back();
    for (uint64_t count = 0; line.counts.size() < Cpus() && words >> count;) {
      line.counts.push_back(count);
    }
    line.counts.resize(Cpus());
    words.clear();
    std::getline(words, line.rest);
    lines.push_back(line);
  }
  return lines;
}

uint64_t PhysicalAddress(const void* page) {
  const int fd = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  uint64_t entry = 0;
  const auto at =
      static_cast<off_t>(reinterpret_cast<uintptr_t>(page) / kPageBytes * sizeof(entry));
  if (::pread(fd, &entry, sizeof(entry), at) != sizeof(entry)) entry = 0;
  ::close(fd);
  return (entry & ((1ULL << 55U) - 1)) * kPageBytes;
}

Edu::Edu(const std::string& address, Iommu iommu) {
  const std::filesystem::path device = "/sys/bus/pci/devices/" + address;
  if (iommu == Iommu::kNone) {
    WriteText("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "1");
    WriteText(device / "driver_override", "vfio-pci");
    WriteText("/sys/bus/pci/drivers_probe", address);
  }
  std::error_code error;
  const std::string group = std::filesystem::read_symlink(device / "iommu_group", error).filename();
  const std::string node = (iommu == Iommu::kNone ? "/dev/vfio/noiommu-" : "/dev/vfio/") + group;
  container_ = ::open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
  group_ = ::open(node.c_str(), O_RDWR | O_CLOEXEC);
  if (::ioctl(group_, VFIO_GROUP_SET_CONTAINER, &container_) != 0) return;
  const int kind = iommu == Iommu::kNone ? VFIO_NOIOMMU_IOMMU : VFIO_TYPE1v2_IOMMU;
  if (::ioctl(container_, VFIO_SET_IOMMU, kind) != 0) return;
  fd_ = ::ioctl(group_, VFIO_GROUP_GET_DEVICE_FD, address.c_str());
  const uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
  vfio_region_info config = {};
  config.argsz = sizeof(config);
  config.index = VFIO_PCI_CONFIG_REGION_INDEX;
  ::ioctl(fd_, VFIO_DEVICE_GET_REGION_INFO, &config);
  if (::pwrite(fd_, &command, 2, static_cast<off_t>(config.offset) + PCI_COMMAND) != 2) return;
  void* const mapped = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (mapped != MAP_FAILED) registers_ = static_cast<volatile uint32_t*>(mapped);
}

Edu::~Edu() {
  if (registers_ != nullptr) ::munmap(const_cast<uint32_t*>(registers_), kPageBytes);
  for (const int fd : {fd_, group_, container_}) {
    if (fd >= 0) ::close(fd);
  }
}

void Edu::Set64(uint32_t offset, uint64_t value) const {
  // SAFETY: the device has 64-bit registers at these offsets, all multiples of eight.
  *reinterpret_cast<volatile uint64_t*>(registers_ + offset / 4) = value;
}

bool Edu::Dma(uint64_t from, uint64_t to, uint64_t size_bytes, bool to_memory) const {
  Set64(0x80, from);
  Set64(0x88, to);
  Set64(0x90, size_bytes);
  Set64(0x98, to_memory ? 3 : 1);
  return WaitFor([&] { return (Get(0x98) & 1) == 0; });
}

bool Edu::Map(void* page, uint64_t device_address) const {
  vfio_iommu_type1_dma_map map = {};
  map.argsz = sizeof(map);
  map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  map.vaddr = reinterpret_cast<uintptr_t>(page);
  map.iova = device_address;
  map.size = kPageBytes;
  return ::ioctl(container_, VFIO_IOMMU_MAP_DMA, &map) == 0;
}

bool Edu::Listen(uint32_t index, int event) const {
  std::array<char, sizeof(vfio_irq_set) + sizeof(int)> buffer = {};
  vfio_irq_set set = {};
  set.argsz = buffer.size();
  set.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  set.index = index;
  set.count = 1;
  std::memcpy(buffer.data(), &set, sizeof(set));
  std::memcpy(buffer.data() + sizeof(set), &event, sizeof(event));
  return ::ioctl(fd_, VFIO_DEVICE_SET_IRQS, buffer.data()) == 0;
}

void Edu::Unlisten(uint32_t index) const {
  vfio_irq_set set = {};
  set.argsz = sizeof(set);
  set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
  set.index = index;
  ::ioctl(fd_, VFIO_DEVICE_SET_IRQS, &set);
}

// Lets the device raise it, waits for it, and takes it back.
bool Edu::RaiseOnce(uint32_t index, int event, uint32_t bits) const {
  Set(0x60, bits);
  pollfd wait = {.fd = event, .events = POLLIN, .revents = 0};
  bool came = ::poll(&wait, 1, 5000) == 1 && Get(0x24) == bits;
  Set(0x64, bits);
  uint64_t count = 0;
  came = came && ::read(event, &count, sizeof(count)) == sizeof(count);
  if (index == VFIO_PCI_INTX_IRQ_INDEX) {
    vfio_irq_set unmask = {};
    unmask.argsz = sizeof(unmask);
    unmask.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
    unmask.count = 1;
    ::ioctl(fd_, VFIO_DEVICE_SET_IRQS, &unmask);
  }
  return came;
}

bool Edu::Interrupt(uint32_t index) const {
  const int event = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  bool came = Listen(index, event);
  for (uint32_t round = 0; round < 3 && came; ++round) came = RaiseOnce(index, event, 1U << round);
  Unlisten(index);
  ::close(event);
  return came;
}

bool Edu::InterruptEveryCpu(uint32_t index) const {
  const auto counted = [](size_t cpu) -> uint64_t {
    for (const InterruptLine& line : Interrupts()) {
      if (line.Names("vfio-")) return line.counts[cpu];
    }
    return 0;
  };
  const int event = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  bool came = Listen(index, event);
  for (uint32_t round = 0; round < 3 * Cpus() && came; ++round) {
    const size_t cpu = round % Cpus();
    for (const InterruptLine& line : Interrupts()) {
      if (!line.Names("vfio-")) continue;
      WriteText("/proc/irq/" + line.number + "/smp_affinity_list", std::to_string(cpu));
    }
    // Linux moves an interrupt to another CPU when it comes next, or later while an earlier move is
    // being cleaned up.
    uint64_t before = counted(cpu);
    const uint64_t at_first = before;
    for (int i = 0; i < 10 && came && before == at_first; ++i) {
      came = RaiseOnce(index, event, 1U << round);
      before = counted(cpu);
    }
    came = came && RaiseOnce(index, event, 2U << round);
    const uint64_t after = counted(cpu);
    if (came && after == before + 1) continue;
    std::cout << "interrupt of kind " << index << ", round " << round << ": "
              << (came ? "came" : "did not come") << ", on CPU " << cpu << " " << before << " and "
              << after << "\n";
    came = false;
  }
  Unlisten(index);
  ::close(event);
  return came;
}

bool EduIsItself(const Edu& edu) {
  constexpr uint32_t kIdentity = 0x00ed;
  if ((edu.Get(0) & 0xffff) != kIdentity) return false;
  edu.Set(0x08, 5);
  return WaitFor([&] { return (edu.Get(0x20) & 1) == 0; }) && edu.Get(0x08) == 120;
}

}  // namespace hull::integration
