// A test of `hull run --device` in a lab with an IOMMU and the devices that scripts/lib/vfio-lab
// gives it.
#pragma once

#include <string>
#include <vector>

#include "tests/integration/harness.h"

namespace hull::integration {

// PCI ids, as sysfs writes them.
inline constexpr const char* kNvmeIds = "0x1b36 0x0010";
inline constexpr const char* kEduIds = "0x1234 0x11e8";
inline constexpr const char* kVgaIds = "0x1234 0x1111";
inline constexpr const char* kMemoryIds = "0x1af4 0x1110";

// Host network cards of the lab, joined by a cable.
inline constexpr const char* kPassedMac = "52:54:00:00:00:01";
inline constexpr const char* kStayingMac = "52:54:00:00:00:02";

// A shell and /bin/passthrough-guest.
inline constexpr const char* kGuestImage = "test/passthrough";
inline constexpr const char* kToolsImage = "sample/disk-tools";

// What `script` prints, without its last newline; it has to succeed.
std::string Says(const std::string& script);

bool Contains(const Ended& ended, const std::string& text);
// How often `part` is in `text`.
size_t Count(const std::string& text, const std::string& part);

class PassthroughTest : public HullTest {
 protected:
  static void SetUpTestSuite();
  // Every device is the host's again, every container gone, no page pinned.
  void TearDown() override;

  // Addresses of the host's devices with these ids, sorted. Fails the test when there is none.
  static std::vector<std::string> Find(const std::string& ids);
  // The edu that has a group of its own, and the one that shares its with an e1000 at function 0.
  static std::string Edu();
  static std::string GroupMate();
  // The address of the NVMe controller with this serial number, and of the network card.
  static std::string Disk(const std::string& serial);
  static std::string Card(const std::string& mac);
  static std::string DriverOf(const std::string& address);

  // To vfio-pci, by force if they have no reset.
  static void Bind(const std::vector<std::string>& addresses);
  static Ended Device(std::vector<std::string> arguments);

  // hull run --rm FLAGS... with a --device for each address.
  static Ended Run(const std::vector<std::string>& addresses, const std::vector<std::string>& words,
                   const RunOptions& options = {});
  // `bash -c script` with $device for the first address, $flags for `--device`s of all, and
  // `wait_log CONTAINER PATTERN` until its log has that.
  static Ended Script(const std::vector<std::string>& addresses, const std::string& script,
                      const RunOptions& options = {});

  static bool HasIntelIommu();
  // The host's kernel's messages since the last ClearKernelLog.
  static std::string KernelLog();
  static void ClearKernelLog();
  // Of the whole host: pages that are pinned for devices.
  static std::string PinnedPages();
};

}  // namespace hull::integration
