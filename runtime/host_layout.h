// Where hull's own files are on this host.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull {

struct HostLayout {
  std::string store_root;   // images, writable layers, records: /var/lib/hull
  std::string run_root;     // running sandboxes; gone after a reboot: /run/hull
  std::string vmm_program;  // hull-vmm
  std::string kernel;       // vmlinux
  std::string pci_kernel;   // vmlinux-pci: of machines with passed-through devices
  std::string guest_root;   // guest.erofs

  std::string ContainersDirectory() const { return store_root + "/containers"; }
  std::string ContainerDirectory(std::string_view id) const;
  std::string RunDirectory(std::string_view id) const;
};

// From flags (empty: not given), then HULL_ROOT, HULL_RUN, HULL_VMM, HULL_KERNEL (both kernels),
// HULL_GUEST_ROOT, then the places relative to this executable. Nothing is opened.
Result<HostLayout> FindHostLayout(std::string_view root_flag = {},
                                  std::string_view state_flag = {});

}  // namespace hull
