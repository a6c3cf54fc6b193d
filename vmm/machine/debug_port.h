// DebugPort: a serial port that only sends, at 0x3f8, for kernels that die before their console is
// there
// ("console": {"early": true}; Linux: earlyprintk=serial,0x3f8,115200 with a debug kernel). Always
// ready, no interrupts; each character is a VM exit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>

#include "vmm/bus/bus_device.h"
#include "vmm/virtio/console/output_ring.h"

namespace hull {

class DebugPort final : public BusDevice {
 public:
  static constexpr uint64_t kPort = 0x3f8;
  static constexpr uint64_t kPorts = 8;
  static constexpr size_t kKeptOutputBytes = size_t{64} * 1024;

  // Called with each byte, on a vCPU thread, one at a time.
  using Sink = std::function<void(std::span<const std::byte>)>;
  explicit DebugPort(Sink sink) : sink_(std::move(sink)) {}

  // The last bytes that were sent. Any thread.
  std::string Output() const;

  void Read(uint64_t offset, std::span<std::byte> data) override;
  void Write(uint64_t offset, std::span<const std::byte> data) override;

 private:
  const Sink sink_;
  mutable std::mutex mutex_;
  OutputRing output_{kKeptOutputBytes};  // under mutex_
  bool divisor_access_ = false;          // under mutex_
};

}  // namespace hull
