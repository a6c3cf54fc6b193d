// linux/vfio.h, with what Debian 12's copy of it (Linux 6.1) does not know yet, and the part of
// linux/iommufd.h (Linux 6.2) that hull uses. For vmm/vfio only.
#pragma once

#include <linux/vfio.h>

#include <cstdint>

namespace hull::vfio {

// Linux 6.6: Documentation/driver-api/vfio.rst, "IOMMUFD and vfio_iommu_type1".
struct BindIommufd {
  uint32_t argsz;
  uint32_t flags;
  int32_t iommufd;
  uint32_t out_devid;
};
struct AttachIommufd {
  uint32_t argsz;
  uint32_t flags;
  uint32_t pt_id;
};
inline constexpr unsigned long kBindIommufd = _IO(VFIO_TYPE, VFIO_BASE + 18);
inline constexpr unsigned long kAttachIommufd = _IO(VFIO_TYPE, VFIO_BASE + 19);

// Documentation/userspace-api/iommufd.rst.
struct IoasAlloc {
  uint32_t size;
  uint32_t flags;
  uint32_t out_ioas_id;
};
struct IoasMap {
  uint32_t size;
  uint32_t flags;
  uint32_t ioas_id;
  uint32_t reserved;
  uint64_t user_va;
  uint64_t length;
  uint64_t iova;
};
inline constexpr uint32_t kIoasMapFixedIova = 1;
inline constexpr uint32_t kIoasMapWriteable = 2;
inline constexpr uint32_t kIoasMapReadable = 4;
inline constexpr unsigned long kIoasAlloc = _IO(';', 0x81);
inline constexpr unsigned long kIoasMap = _IO(';', 0x85);

static_assert(sizeof(BindIommufd) == 16);
static_assert(sizeof(IoasMap) == 40);

}  // namespace hull::vfio
