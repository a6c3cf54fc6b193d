// Device: a PCI device that the host's vfio-pci driver holds for us: its regions, its interrupts,
// its reset. Linux, include/uapi/linux/vfio.h.
//
// Reads and writes of regions from any thread; the rest by one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vfio/host.h"

namespace hull::vfio {

// VFIO's index of an interrupt kind (VFIO_PCI_INTX_IRQ_INDEX, ...).
struct InterruptKind {
  uint32_t index;
};

class Device {
 public:
  // A stretch of a region.
  struct Piece {
    uint64_t offset_bytes;
    uint64_t size_bytes;

    bool operator==(const Piece&) const = default;
  };
  struct Region {
    uint64_t size_bytes = 0;   // 0: there is none
    uint64_t file_offset = 0;  // in the device's descriptor
    std::vector<Piece> mappable;
  };
  struct Interrupts {
    uint32_t count = 0;     // 0: the device has none of the kind
    bool can_grow = false;  // vectors can be added while others are in use
  };
  static constexpr uint32_t kBarRegions = 6;

  // `fd` is the device's, in an address space already. `name` is for messages.
  static Result<Device> Create(Host& host, UniqueFd fd, std::string name);

  const std::string& name() const { return name_; }
  int fd() const { return fd_.get(); }
  Host& host() const { return *host_; }
  const Region& bar(uint32_t index) const { return bars_[index]; }
  Interrupts InterruptsOf(InterruptKind kind) const;

  // 1, 2 or 4 bytes; all ones when the device does not answer.
  uint32_t ReadConfig(uint32_t offset, size_t size_bytes) const;
  // 1 to 4 bytes.
  void WriteConfig(uint32_t offset, size_t size_bytes, uint32_t value) const;
  // Inside of the region. All ones when the device does not answer.
  void ReadBar(uint32_t index, uint64_t offset, std::span<std::byte> data) const;
  void WriteBar(uint32_t index, uint64_t offset, std::span<const std::byte> data) const;

  // Interrupt `number` of its kind signals `event_fd` from now on (-1: nothing). The first of a
  // kind switches the kind on; INTx, MSI and MSI-X exclude each other.
  Status Signal(InterruptKind kind, uint32_t number, int event_fd) const;
  // A signal of `event_fd` lets a level-triggered interrupt, which the host masks as it comes,
  // happen again.
  Status UnmaskBy(InterruptKind kind, int event_fd) const;
  // No more of the kind.
  void Silence(InterruptKind kind) const;

  // Takes the device back to its state after power-on, where the host can.
  Status Reset() const;
  bool can_reset() const { return can_reset_; }

 private:
  Device(Host& host, UniqueFd fd, std::string name)
      : host_(&host), fd_(std::move(fd)), name_(std::move(name)) {}

  Status ReadInfo();
  Result<Region> ReadRegion(uint32_t index) const;
  Status SetInterrupts(InterruptKind kind, uint32_t number, uint32_t flags, const int* fd) const;

  Host* host_;
  UniqueFd fd_;
  std::string name_;
  bool can_reset_ = false;
  Region config_;
  std::array<Region, kBarRegions> bars_;
};

}  // namespace hull::vfio
