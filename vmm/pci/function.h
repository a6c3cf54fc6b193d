// Function: one function of a device on the PCI bus, as the guest's configuration accesses see it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hull::pci {

// Conventional configuration space. The extended one (PCI Express) cannot be reached through the
// ports that this machine has.
inline constexpr uint32_t kConfigBytes = 256;

// Called on vCPU threads, several at once. Accesses are 1, 2 or 4 bytes and do not leave the dword
// at `offset`.
class Function {
 public:
  virtual ~Function() = default;

  virtual uint32_t ReadConfig(uint32_t offset, size_t size_bytes) = 0;
  virtual void WriteConfig(uint32_t offset, size_t size_bytes, uint32_t value) = 0;
};

}  // namespace hull::pci
