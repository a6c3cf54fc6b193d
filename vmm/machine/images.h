// The files that the machine's pmem and block devices show, opened and laid out.
#pragma once

#include <vector>

#include "vmm/api/vm_config.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/virtio/block/disk_content.h"
#include "vmm/virtio/pmem/pmem_content.h"

namespace hull {

struct OpenedPmem {
  PmemContent content;
  std::vector<UniqueFd> files;  // what content refers to; may be closed once it is mapped
};

// Errors name the file: kNotFound, kPermissionDenied, kInvalidArgument for an empty file or one
// that is no regular file.
Result<OpenedPmem> OpenPmem(const api::PmemConfig& config);
Result<DiskContent> OpenDisk(const api::BlockConfig& config);

}  // namespace hull
