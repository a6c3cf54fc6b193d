// How programs in a guest of the tests drive a passed-through device, and say what came of it.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace hull::integration {

inline constexpr uint64_t kPageBytes = 4096;

// "RESULT what ok more" on standard output, or "RESULT what failed more".
void Say(const std::string& what, bool ok, const std::string& more = "");

// The first line; empty when there is none.
std::string ReadText(const std::filesystem::path& path);
void WriteText(const std::filesystem::path& path, const std::string& text);

// False when `ready` is not true within five seconds of waiting.
template <typename Ready>
bool WaitFor(Ready ready) {
  for (int i = 0; i < 500 && !ready(); ++i) ::usleep(10'000);
  return ready();
}

size_t Cpus();

// A line of /proc/interrupts.
struct InterruptLine {
  std::string number;            // of the interrupt
  std::vector<uint64_t> counts;  // by CPU
  std::string rest;              // its kind, and whose it is

  bool Names(const std::string& text) const { return rest.find(text) != std::string::npos; }
};
std::vector<InterruptLine> Interrupts();

// Where a page of this process is in the guest's memory; 0 when the kernel does not say.
uint64_t PhysicalAddress(const void* page);

// edu: QEMU's teaching device (docs/specs/edu.txt), through VFIO.
class Edu {
 public:
  // kNone: a guest's VFIO, without an IOMMU there; takes the device from its driver. kType1: a
  // host's, where the device is bound to vfio-pci already.
  enum class Iommu { kNone, kType1 };
  // Wants root, and devtmpfs on /dev.
  explicit Edu(const std::string& address, Iommu iommu = Iommu::kNone);
  Edu(const Edu&) = delete;
  Edu& operator=(const Edu&) = delete;
  ~Edu();
  // Nothing else may be called otherwise.
  bool valid() const { return registers_ != nullptr; }

  uint32_t Get(uint32_t offset) const { return registers_[offset / 4]; }
  void Set(uint32_t offset, uint32_t value) const { registers_[offset / 4] = value; }
  void Set64(uint32_t offset, uint64_t value) const;
  // Between the guest's memory and the device's own 4 KiB at kBuffer. False when it does not end.
  bool Dma(uint64_t from, uint64_t to, uint64_t size_bytes, bool to_memory) const;
  // With an IOMMU: lets the device reach this page at `device_address`.
  bool Map(void* page, uint64_t device_address) const;
  // Waits for three interrupts of the kind (VFIO_PCI_INTX_IRQ_INDEX, ...), asking for each.
  bool Interrupt(uint32_t index) const;
  // The same on every CPU in turn, to which the interrupt is moved: whether it comes there, and no
  // more often than it is asked for.
  bool InterruptEveryCpu(uint32_t index) const;

  // Whoever uses more than 2 KiB of it ends QEMU 7.2.
  static constexpr uint64_t kBuffer = 0x40000;
  static constexpr uint64_t kBufferBytes = 2048;

 private:
  bool Listen(uint32_t index, int event) const;
  void Unlisten(uint32_t index) const;
  bool RaiseOnce(uint32_t index, int event, uint32_t bits) const;

  int container_ = -1;
  int group_ = -1;
  int fd_ = -1;
  volatile uint32_t* registers_ = nullptr;
};

// What can be found out without its interrupts and without memory: identity and 5!.
bool EduIsItself(const Edu& edu);

}  // namespace hull::integration
