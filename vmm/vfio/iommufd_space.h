// IommufdSpace: an AddressSpace by iommufd and each device's own node (Linux,
// Documentation/userspace-api/iommufd.rst).
#pragma once

#include <memory>
#include <string>

#include "vmm/vfio/address_space.h"

namespace hull::vfio {

class IommufdSpace final : public AddressSpace {
 public:
  // Fails where /dev/iommu is missing.
  static Result<std::unique_ptr<IommufdSpace>> Create(Host& host);

  Result<OpenedDevice> Open(const std::string& address) override;
  Status Map(const GuestRange& range, uint64_t host_address, DmaAccess access) override;

 private:
  IommufdSpace(Host& host, UniqueFd iommufd, uint32_t ioas)
      : host_(host), iommufd_(std::move(iommufd)), ioas_(ioas) {}

  Host& host_;
  UniqueFd iommufd_;
  uint32_t ioas_;
};

}  // namespace hull::vfio
