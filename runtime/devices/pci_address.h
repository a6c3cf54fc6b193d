// The address of a PCI function on the host: domain, bus, device, function.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull::devices {

struct PciAddress {
  uint32_t domain = 0;  // 16 bits, or more behind Intel's VMD
  uint8_t bus = 0;
  uint8_t device = 0;    // 0 to 31
  uint8_t function = 0;  // 0 to 7

  auto operator<=>(const PciAddress&) const = default;

  // As sysfs writes it: "0000:01:00.0".
  std::string ToString() const;
};

// "0000:01:00.0", or "01:00.0" in domain 0. Hexadecimal, in either case. kInvalidArgument.
Result<PciAddress> ParsePciAddress(std::string_view text);

}  // namespace hull::devices
