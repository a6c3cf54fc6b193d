// ConfigPorts: configuration mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2): an address
// is written to port 0xcf8, the register is read or written at 0xcfc. One bus, up to 32 devices,
// one function each.
//
// Port 0xcf9, which lies in the middle of the address register, belongs to whoever resets the
// machine: byte accesses there are handed on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "vmm/bus/bus_device.h"
#include "vmm/pci/function.h"

namespace hull::pci {

class ConfigPorts final : public BusDevice {
 public:
  static constexpr uint64_t kPort = 0xcf8;
  static constexpr uint64_t kPorts = 8;
  static constexpr uint32_t kSlots = 32;

  // `reset_port` answers bytes at 0xcf9; it outlives this.
  explicit ConfigPorts(BusDevice& reset_port) : reset_port_(reset_port) {}

  // Puts `function` into `slot` (below kSlots), before the guest runs. It outlives this.
  void Insert(uint32_t slot, Function& function);

  void Read(uint64_t offset, std::span<std::byte> data) override;
  void Write(uint64_t offset, std::span<const std::byte> data) override;

 private:
  // What the address register selects: null when nothing is there.
  struct Selected {
    Function* function;
    uint32_t dword;  // offset in its configuration space
  };
  Selected Select() const;

  BusDevice& reset_port_;
  std::array<Function*, kSlots> functions_ = {};
  mutable std::mutex mutex_;
  uint32_t address_ = 0;  // under mutex_
};

}  // namespace hull::pci
