// ContainerSpace: an AddressSpace by VFIO's groups and one container with a type 1 IOMMU (Linux,
// Documentation/driver-api/vfio.rst).
#pragma once

#include <map>
#include <memory>
#include <string>

#include "vmm/vfio/address_space.h"

namespace hull::vfio {

class ContainerSpace final : public AddressSpace {
 public:
  static Result<std::unique_ptr<ContainerSpace>> Create(Host& host);

  Result<OpenedDevice> Open(const std::string& address) override;
  Status Map(const GuestRange& range, uint64_t host_address, DmaAccess access) override;

 private:
  ContainerSpace(Host& host, UniqueFd container) : host_(host), container_(std::move(container)) {}

  // The group's descriptor, in the container.
  Result<UniqueFd> OpenGroup(const std::string& number, const std::string& address);

  Host& host_;
  UniqueFd container_;
  bool has_iommu_ = false;
  std::map<std::string, UniqueFd> groups_;  // by number
};

}  // namespace hull::vfio
