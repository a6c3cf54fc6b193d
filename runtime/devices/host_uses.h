// What the host itself uses its PCI devices for: what would be lost if one of them were given away.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/devices/host_tree.h"
#include "runtime/devices/pci_device.h"

namespace hull::devices {

struct HostUse {
  enum class Kind {
    kFileSystem,  // a mounted file system is on it
    kSwap,        // swap is on it
    kClaimed,     // the kernel holds one of its disks: an array, ZFS, a mount that is not seen here
    kDefaultRoute,  // the way to the network
    kDisplay,       // the only display that shows anything
    kVfioUser,      // a process has it open through VFIO: a running VM
  };
  Kind kind = Kind::kFileSystem;
  std::string text;  // "nvme0n1p2 is mounted at /home"; fit for a terminal
};

// A look at the whole host, taken once. Of network and mounts, those of the caller's namespaces.
class HostUses {
 public:
  // Reads all of procfs and sysfs that it needs; on this host it also asks the kernel whether a
  // disk is claimed, which wants root (without, that is left out). `host` outlives what is
  // returned.
  static HostUses Look(const HostTree& host);

  // Only who has which device open through VFIO: all that can be said of one that has left the
  // host's drivers, and much less to read.
  static HostUses LookForVms(const HostTree& host);

  // At most kMaxUses, the first that were found.
  std::vector<HostUse> Of(const PciDevice& device) const;

  static constexpr size_t kMaxUses = 8;

 private:
  explicit HostUses(const HostTree& host) : host_(host) {}

  void LookAtMounts();
  void LookAtSwap();
  void LookAtBtrfs();
  void LookAtClaims();
  void LookAtRoutes();
  void LookAtDisplays();
  void LookAtVfio();

  void Add(const PciAddress& address, HostUse::Kind kind, std::string text);
  // `name`: of /sys/class/block; and all that is below it: a partition's disk, an array's members.
  void AddBlock(const std::string& name, HostUse::Kind kind, const std::string& text);
  // A directory that the machine above shares with this one through a virtio device.
  void AddShare(std::string_view type, const std::string& tag, const std::string& point);
  void AddNetwork(const std::string& name, const std::string& text);
  // The PCI function that a path of sysfs goes through last.
  std::set<PciAddress> FunctionsOf(const std::string& class_path) const;

  const HostTree& host_;
  std::map<PciAddress, std::vector<HostUse>> uses_;
  std::map<std::string, std::string, std::less<>> vfio_users_;  // "12", "devices/vfio3": by whom
};

}  // namespace hull::devices
