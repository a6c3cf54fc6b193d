// Names of vendors, devices and classes, from pci.ids (Debian's package of that name).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/devices/host_tree.h"

namespace hull::devices {

class PciNames {
 public:
  // A larger file is not read: it cannot be pci.ids, which has 1.4 MB.
  static constexpr uint64_t kMaxFileBytes = uint64_t{16} << 20U;

  // Without names: every name is empty.
  PciNames() = default;
  // The text of pci.ids. Lines that do not fit its syntax are passed over; of two entries with one
  // number the first counts.
  explicit PciNames(std::string text);
  // /usr/share/misc/pci.ids, else /usr/share/hwdata/pci.ids, else none.
  static PciNames Load(const HostTree& host);

  bool empty() const { return vendors_.empty() && classes_.empty(); }

  // Empty when there is none. Control characters are escaped, and a name ends after 200 bytes.
  std::string Vendor(uint16_t vendor) const;
  std::string Device(uint16_t vendor, uint16_t device) const;
  // `class_code`: the 24 bits of class, subclass and programming interface. The name of the
  // subclass, or of the class where that has none.
  std::string Class(uint32_t class_code) const;

 private:
  // A vendor or class, and the lines below it.
  struct Entry {
    uint32_t number = 0;
    size_t name = 0;   // where its name begins
    size_t lines = 0;  // where the line below begins
  };

  std::string NameAt(size_t position) const;
  const Entry* Find(const std::vector<Entry>& entries, uint32_t number) const;
  // The name of `number` (of `digits` digits) among the lines that are indented once below `entry`.
  std::string Below(const Entry& entry, uint32_t number, size_t digits) const;

  std::string text_;
  std::vector<Entry> vendors_;  // sorted
  std::vector<Entry> classes_;
};

}  // namespace hull::devices
