// The machine's own controls, as the guest sees them: a page of registers (power-off, panic
// notification) and two ports of the PC that Linux resets a machine by. What the guest does with
// them goes to SystemEvents.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/bus/bus_device.h"

namespace hull {

// Called on vCPU threads; returns soon.
class SystemEvents {
 public:
  virtual ~SystemEvents() = default;
  virtual void OnPowerOff() = 0;
  virtual void OnReset() = 0;
  // The guest's kernel says that it has panicked. It runs on for a moment, to print why.
  virtual void OnPanic() = 0;
  // The driver that will say so is there: from now on the guest can speak for itself.
  virtual void OnPanicDriverFound() = 0;
};

// A page of MMIO. What is not a register reads as zero and ignores writes.
class SystemControlPage final : public BusDevice {
 public:
  static constexpr uint64_t kSizeBytes = 0x1000;

  // The power register (32 bits, reads as zero): kPowerOffValue or kResetValue, written to it, end
  // the VM.
  static constexpr uint64_t kPowerOffset = 0;
  static constexpr uint64_t kPowerBytes = 0x10;
  static constexpr uint32_t kPowerOffValue = 0x5555;
  static constexpr uint32_t kResetValue = 0x7777;

  // The panic register (8 bits) of pvpanic (QEMU: docs/specs/pvpanic): reads as what it
  // understands, takes what has happened.
  static constexpr uint64_t kPanicOffset = 0x800;
  static constexpr uint64_t kPanicBytes = 2;
  static constexpr uint8_t kPanicked = 1;

  explicit SystemControlPage(SystemEvents& events) : events_(events) {}

  void Read(uint64_t offset, std::span<std::byte> data) override;
  void Write(uint64_t offset, std::span<const std::byte> data) override;

 private:
  SystemEvents& events_;
};

// Port 0xcf9, the reset control register that reboot=pci uses.
class ResetPort final : public BusDevice {
 public:
  static constexpr uint64_t kPort = 0xcf9;
  static constexpr uint64_t kPorts = 1;

  explicit ResetPort(SystemEvents& events) : events_(events) {}

  void Read(uint64_t offset, std::span<std::byte> data) override;
  void Write(uint64_t offset, std::span<const std::byte> data) override;

 private:
  SystemEvents& events_;
};

// Port 0x64, where a keyboard controller would be: command 0xfe resets the machine. It reads as
// zero
// ("not busy"), for Linux would wait for an absent controller to become so.
class KeyboardPort final : public BusDevice {
 public:
  static constexpr uint64_t kPort = 0x64;
  static constexpr uint64_t kPorts = 1;

  explicit KeyboardPort(SystemEvents& events) : events_(events) {}

  void Read(uint64_t offset, std::span<std::byte> data) override;
  void Write(uint64_t offset, std::span<const std::byte> data) override;

 private:
  SystemEvents& events_;
};

}  // namespace hull
