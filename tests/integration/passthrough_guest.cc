// What a container of the passthrough tests tries its devices with. It runs without libraries, in
// the container as on the host.
//
//   passthrough-guest edu ADDRESS [BEYOND...]       everything that edu can do; DMA to and from
//   each
//                                                   address BEYOND, which must change nothing here
//   passthrough-guest host ADDRESS                  the same on a host, where edu is on vfio-pci
//   passthrough-guest region ADDRESS N write|check WORD
//                                                   region N of the device: words made of WORD at
//                                                   its beginning, in its middle and at its end
//   passthrough-guest show                          the PCI bus: address, ids, class, regions
#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "tests/integration/guest_device.h"

namespace hull::integration {
namespace {

constexpr const char kDevices[] = "/sys/bus/pci/devices";

// A page of this process that stays where it is.
class DmaPage {
 public:
  DmaPage()
      : bytes_(static_cast<uint8_t*>(::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED,
                                            -1, 0))) {}
  std::span<uint8_t> bytes() const { return {bytes_, Edu::kBufferBytes}; }
  // Where the device finds it: 0 for nowhere.
  uint64_t device_address() const { return mapped_ != 0 ? mapped_ : PhysicalAddress(bytes_); }
  void MapAt(const Edu& edu, uint64_t address) {
    if (edu.Map(bytes_, address)) mapped_ = address;
  }

 private:
  uint8_t* bytes_;
  uint64_t mapped_ = 0;
};

uint8_t Pattern(size_t i) {
  return static_cast<uint8_t>(i * 7 + 3);
}

bool MovesMemoryBothWays(const Edu& edu, const DmaPage& page) {
  const std::span<uint8_t> bytes = page.bytes();
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = Pattern(i);
  const uint64_t address = page.device_address();
  if (address == 0 || !edu.Dma(address, Edu::kBuffer, bytes.size(), false)) return false;
  std::ranges::fill(bytes, uint8_t{0});
  if (!edu.Dma(Edu::kBuffer, address, bytes.size(), true)) return false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != Pattern(i)) return false;
  }
  return true;
}

// Writes there what the device has, and reads there. What a refused read leaves in the device is
// what was there, zeroes or ones: anything else would be somebody's memory.
bool ReachesNothing(const Edu& edu, const DmaPage& page, uint64_t beyond) {
  const std::span<uint8_t> bytes = page.bytes();
  edu.Dma(Edu::kBuffer, beyond, bytes.size(), true);
  edu.Dma(beyond, Edu::kBuffer, bytes.size(), false);
  std::ranges::fill(bytes, uint8_t{0x5a});
  if (!edu.Dma(Edu::kBuffer, page.device_address(), bytes.size(), true)) return false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != Pattern(i) && bytes[i] != 0 && bytes[i] != 0xff) return false;
  }
  return true;
}

int TryEdu(const std::string& address, const std::vector<std::string>& beyond) {
  const Edu edu(address);
  if (!edu.valid()) {
    Say("edu", false, "cannot be opened");
    return 1;
  }
  Say("edu identity", EduIsItself(edu));
  if (beyond.empty()) {
    Say("edu intx", edu.Interrupt(VFIO_PCI_INTX_IRQ_INDEX));
    Say("edu msi", edu.Interrupt(VFIO_PCI_MSI_IRQ_INDEX));
    Say("edu intx again", edu.Interrupt(VFIO_PCI_INTX_IRQ_INDEX));
  }
  const DmaPage page;
  Say("edu dma", MovesMemoryBothWays(edu, page));
  for (const std::string& text : beyond) {
    Say("edu beyond " + text, ReachesNothing(edu, page, std::strtoull(text.c_str(), nullptr, 16)));
  }
  if (!beyond.empty()) Say("edu dma again", MovesMemoryBothWays(edu, page));
  Say("edu end", true);
  return 0;
}

// The same by the host's own VFIO and IOMMU, without a virtual machine.
int TryHost(const std::string& address) {
  const Edu edu(address, Edu::Iommu::kType1);
  if (!edu.valid()) {
    Say("edu", false, "cannot be opened");
    return 1;
  }
  constexpr uint64_t kMapped = 0x10'0000;
  constexpr uint64_t kNotMapped = 0x20'0000;
  Say("edu identity", EduIsItself(edu));
  Say("edu intx", edu.Interrupt(VFIO_PCI_INTX_IRQ_INDEX));
  Say("edu msi", edu.Interrupt(VFIO_PCI_MSI_IRQ_INDEX));
  DmaPage page;
  page.MapAt(edu, kMapped);
  Say("edu dma", MovesMemoryBothWays(edu, page));
  Say("edu beyond", ReachesNothing(edu, page, kNotMapped));
  Say("edu end", true);
  return 0;
}

int TryRegion(const std::string& address, const std::string& number, bool is_write, uint64_t word) {
  const std::filesystem::path device = std::filesystem::path(kDevices) / address;
  WriteText(device / "enable", "1");
  struct stat info = {};
  const int fd = ::open((device / ("resource" + number)).c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0 || ::fstat(fd, &info) != 0 || info.st_size < static_cast<off_t>(kPageBytes)) {
    Say("region", false, "cannot be opened");
    return 1;
  }
  const auto size = static_cast<uint64_t>(info.st_size);
  bool ok = true;
  for (const uint64_t at : {uint64_t{0}, size / 2, size - kPageBytes}) {
    void* const mapped =
        ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(at));
    if (mapped == MAP_FAILED) {
      ok = false;
      break;
    }
    auto* const place = static_cast<volatile uint64_t*>(mapped);
    if (is_write) *place = at ^ word;
    ok = ok && *place == (at ^ word);
    ::munmap(mapped, kPageBytes);
  }
  ::close(fd);
  Say("region " + std::to_string(size >> 20U) + " MiB", ok);
  return ok ? 0 : 1;
}

int Show() {
  std::vector<std::filesystem::path> devices;
  for (const auto& entry : std::filesystem::directory_iterator(kDevices)) {
    devices.push_back(entry.path());
  }
  std::ranges::sort(devices);
  for (const std::filesystem::path& device : devices) {
    std::cout << device.filename().string() << " " << ReadText(device / "vendor") << " "
              << ReadText(device / "device") << " " << ReadText(device / "class");
    std::ifstream resources(device / "resource");
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t flags = 0;
    for (int i = 0; i < 6 && resources >> std::hex >> first >> last >> flags; ++i) {
      if (last != 0) std::cout << " " << i << ":" << std::dec << ((last - first + 1) >> 10U) << "K";
    }
    std::cout << "\n";
  }
  return 0;
}

int Main(const std::vector<std::string>& words) {
  if (words.size() == 1 && words[0] == "show") return Show();
  if (words.size() >= 2 && words[0] == "edu") {
    return TryEdu(words[1], {words.begin() + 2, words.end()});
  }
  if (words.size() == 2 && words[0] == "host") return TryHost(words[1]);
  if (words.size() == 5 && words[0] == "region") {
    return TryRegion(words[1], words[2], words[3] == "write",
                     std::strtoull(words[4].c_str(), nullptr, 16));
  }
  std::cerr << "passthrough-guest: see the head of its source\n";
  return 2;
}

}  // namespace
}  // namespace hull::integration

int main(int count, char** arguments) {
  return hull::integration::Main({arguments + 1, arguments + count});
}
