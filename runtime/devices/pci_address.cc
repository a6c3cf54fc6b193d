#include "runtime/devices/pci_address.h"

#include <charconv>
#include <optional>

#include "vmm/base/escape.h"

namespace hull::devices {
namespace {

constexpr size_t kMaxTextBytes = 32;
constexpr uint32_t kMaxDevice = 31;
constexpr uint32_t kMaxFunction = 7;

// `text` as a whole: `least` to `most` hexadecimal digits.
std::optional<uint32_t> Hexadecimal(std::string_view text, size_t least, size_t most) {
  if (text.size() < least || text.size() > most) return std::nullopt;
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<PciAddress> Parse(std::string_view text) {
  PciAddress address;
  const size_t last = text.rfind(':');
  if (last == std::string_view::npos) return std::nullopt;
  const std::string_view front = text.substr(0, last);
  const std::string_view slot = text.substr(last + 1);
  const size_t first = front.find(':');
  if (first != std::string_view::npos) {
    const std::optional<uint32_t> domain = Hexadecimal(front.substr(0, first), 4, 8);
    if (!domain) return std::nullopt;
    address.domain = *domain;
  }
  const std::optional<uint32_t> bus =
      Hexadecimal(first == std::string_view::npos ? front : front.substr(first + 1), 2, 2);
  const size_t dot = slot.find('.');
  if (!bus || dot == std::string_view::npos) return std::nullopt;
  const std::optional<uint32_t> device = Hexadecimal(slot.substr(0, dot), 2, 2);
  const std::optional<uint32_t> function = Hexadecimal(slot.substr(dot + 1), 1, 1);
  if (!device || !function || *device > kMaxDevice || *function > kMaxFunction) return std::nullopt;
  address.bus = static_cast<uint8_t>(*bus);
  address.device = static_cast<uint8_t>(*device);
  address.function = static_cast<uint8_t>(*function);
  return address;
}

}  // namespace

std::string PciAddress::ToString() const {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", domain, bus, device, function);
}

Result<PciAddress> ParsePciAddress(std::string_view text) {
  if (text.size() <= kMaxTextBytes) {
    if (const std::optional<PciAddress> address = Parse(text)) return *address;
  }
  return Fail(
      Error(ErrorCode::kInvalidArgument,
            fmt::format("'{}' is no PCI address", EscapeControl(text.substr(0, kMaxTextBytes))))
          .WithHint("write it as hull device ls shows it: 0000:01:00.0, or 01:00.0"));
}

}  // namespace hull::devices
