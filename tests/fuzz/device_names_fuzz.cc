// pci.ids, with numbers to look up before it (six bytes: vendor, device, class and subclass); then
// the same text as a PCI address and as docker's --gpus.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/devices/gpu_request.h"
#include "runtime/devices/pci_address.h"
#include "runtime/devices/pci_names.h"
#include "vmm/base/check.h"

namespace {

void CheckName(const std::string& name) {
  // A name is cut at 200 bytes, each of which may take four when it is escaped.
  HULL_CHECK(name.size() <= 800);
  HULL_CHECK(std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20U && c != '\t';
  }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hull::devices;
  std::array<uint8_t, 6> numbers{};
  const size_t taken = std::min(size, numbers.size());
  std::copy_n(data, taken, numbers.begin());
  // SAFETY: bytes seen as characters; the view ends where the input does.
  const std::string_view text(reinterpret_cast<const char*>(data) + taken, size - taken);
  const auto vendor = static_cast<uint16_t>(numbers[0] << 8U | numbers[1]);
  const auto device = static_cast<uint16_t>(numbers[2] << 8U | numbers[3]);
  const PciNames names{std::string(text)};
  CheckName(names.Vendor(vendor));
  CheckName(names.Device(vendor, device));
  CheckName(names.Class(static_cast<uint32_t>(numbers[4]) << 16U | static_cast<uint32_t>(numbers[5])
                                                                       << 8U));
  // A device has no name where its vendor has no entry.
  if (names.Vendor(vendor).empty() && text.find("  ") == std::string_view::npos) {
    HULL_CHECK(names.Device(vendor, device).empty());
  }
  if (const hull::Result<PciAddress> address = ParsePciAddress(text)) {
    HULL_CHECK(ParsePciAddress(address->ToString()) == *address);
  }
  if (const hull::Result<GpuRequest> request = ParseGpuRequest(text)) {
    HULL_CHECK(request->devices.empty() || !(request->all || request->count));
    HULL_CHECK(request->all || request->count || !request->devices.empty());
  }
  return 0;
}
