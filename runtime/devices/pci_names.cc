#include "runtime/devices/pci_names.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "vmm/base/escape.h"

namespace hull::devices {
namespace {

constexpr size_t kMaxNameBytes = 200;
constexpr size_t kVendorDigits = 4;
constexpr size_t kClassDigits = 2;

// The line that begins at `position`, without its end.
std::string_view LineAt(std::string_view text, size_t position) {
  return text.substr(position, text.find('\n', position) - position);
}

size_t NextLine(std::string_view text, size_t position) {
  const size_t end = text.find('\n', position);
  return end == std::string_view::npos ? text.size() : end + 1;
}

// "8086  Intel Corporation": `digits` digits, two blanks, a name.
std::optional<uint32_t> NumberOf(std::string_view line, size_t digits) {
  if (line.size() < digits + 3 || line.substr(digits, 2) != "  ") return std::nullopt;
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + digits, number, 16);
  if (error != std::errc() || end != line.data() + digits) return std::nullopt;
  return number;
}

}  // namespace

PciNames::PciNames(std::string text) : text_(std::move(text)) {
  for (size_t at = 0; at < text_.size(); at = NextLine(text_, at)) {
    // What is indented belongs to an entry and is looked at when that is asked for.
    if (text_[at] == '\t' || text_[at] == '#' || text_[at] == '\n') continue;
    std::string_view line = LineAt(text_, at);
    const bool is_class = line.starts_with("C ");
    const size_t start = is_class ? 2 : 0;
    const size_t digits = is_class ? kClassDigits : kVendorDigits;
    const std::optional<uint32_t> number = NumberOf(line.substr(start), digits);
    if (!number) continue;
    (is_class ? classes_ : vendors_)
        .push_back({*number, at + start + digits + 2, NextLine(text_, at)});
  }
  const auto by_number = [](const Entry& a, const Entry& b) { return a.number < b.number; };
  std::stable_sort(vendors_.begin(), vendors_.end(), by_number);
  std::stable_sort(classes_.begin(), classes_.end(), by_number);
}

PciNames PciNames::Load(const HostTree& host) {
  for (const char* path : {"/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"}) {
    std::string text = host.Read(path, kMaxFileBytes);
    if (!text.empty()) return PciNames(std::move(text));
  }
  return {};
}

std::string PciNames::NameAt(size_t position) const {
  return EscapeControl(LineAt(text_, position).substr(0, kMaxNameBytes));
}

const PciNames::Entry* PciNames::Find(const std::vector<Entry>& entries, uint32_t number) const {
  const auto found =
      std::lower_bound(entries.begin(), entries.end(), number,
                       [](const Entry& entry, uint32_t wanted) { return entry.number < wanted; });
  return found == entries.end() || found->number != number ? nullptr : &*found;
}

std::string PciNames::Below(const Entry& entry, uint32_t number, size_t digits) const {
  for (size_t at = entry.lines; at < text_.size(); at = NextLine(text_, at)) {
    if (text_[at] == '#' || text_[at] == '\n') continue;
    if (text_[at] != '\t') break;
    if (NumberOf(LineAt(text_, at + 1), digits) == number) return NameAt(at + 1 + digits + 2);
  }
  return {};
}

std::string PciNames::Vendor(uint16_t vendor) const {
  const Entry* const entry = Find(vendors_, vendor);
  return entry == nullptr ? std::string() : NameAt(entry->name);
}

std::string PciNames::Device(uint16_t vendor, uint16_t device) const {
  const Entry* const entry = Find(vendors_, vendor);
  return entry == nullptr ? std::string() : Below(*entry, device, kVendorDigits);
}

std::string PciNames::Class(uint32_t class_code) const {
  const Entry* const entry = Find(classes_, (class_code >> 16U) & 0xffU);
  if (entry == nullptr) return {};
  std::string name = Below(*entry, (class_code >> 8U) & 0xffU, kClassDigits);
  return name.empty() ? NameAt(entry->name) : name;
}

}  // namespace hull::devices
