// How an image's layers become devices of the virtual machine, and what the agent is told about
// them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/api/vm_config.h"
#include "vmm/base/result.h"

namespace hull {

// Layers on pmem are mounted with DAX: no page cache in the guest, pages shared by all VMs through
// the host's. It costs the guest 64 bytes of struct page for each 4 KiB of device, so images that
// would take more than this part of the guest's memory go to a virtio-blk disk.
inline constexpr uint64_t kPmemBytesPerMemoryByte = 2;

struct LayerFile {
  std::string name;  // for the partition table: the diff id
  std::string path;
  uint64_t size_bytes = 0;
};

struct LayerDevice {
  std::string device;  // in the guest: "/dev/pmem1p3"
  bool dax = false;

  bool operator==(const LayerDevice&) const = default;
};

enum class LayerTransport { kAutomatic, kPmem, kBlock };

struct DeviceLayout {
  std::vector<api::PmemConfig> pmem;  // [0] is the guest's own root
  std::vector<api::BlockConfig> block;
  std::vector<LayerDevice> layers;  // lowest first
  std::vector<LayerDevice> attachments;
  std::string scratch_device;  // empty: no disk for the writable layer
};

// `scratch_path`: the file of the writable layer's disk, empty for none. `attachments`: further
// read-only file systems, behind the layers on their device. Errors: kInvalidArgument without
// layers or with more than one device can show.
Result<DeviceLayout> MakeDeviceLayout(const std::string& guest_root,
                                      const std::vector<LayerFile>& layers,
                                      const std::string& scratch_path, uint64_t memory_bytes,
                                      LayerTransport transport = LayerTransport::kAutomatic,
                                      const std::vector<LayerFile>& attachments = {});

}  // namespace hull
