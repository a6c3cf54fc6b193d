#include "vmm/kvm/vm.h"

#include <sys/ioctl.h>

#include "vmm/kvm/kvm_header.h"

namespace hull {
namespace {

// Four pages in the hole below 4 GiB that VT-x without "unrestricted guest" needs for real mode:
// three for a task state segment, one for page tables. AMD-V takes and ignores them.
constexpr uint64_t kIdentityMapAddress = 0xfffb'c000;
constexpr unsigned long kTssAddress = 0xfffb'd000;

// In poll mode the next read gives the waiting interrupt and not the mask: what a probe reads back
// is not what it wrote.
Status HidePic(int vm) {
  kvm_irqchip chip = {};
  chip.chip_id = KVM_IRQCHIP_PIC_MASTER;
  chip.chip.pic.elcr_mask = 0xf8;  // as after a reset
  chip.chip.pic.poll = 1;
  if (::ioctl(vm, KVM_SET_IRQCHIP, &chip) != 0) return FailErrno("KVM_SET_IRQCHIP");
  return {};
}

struct Irqfd {
  int fd;
  uint32_t gsi;
  uint32_t flags = 0;
  int resample_fd = 0;
};

Status SetIrqfd(int vm, const Irqfd& irqfd) {
  kvm_irqfd request = {};
  request.fd = static_cast<uint32_t>(irqfd.fd);
  request.gsi = irqfd.gsi;
  request.flags = irqfd.flags;
  request.resamplefd = static_cast<uint32_t>(irqfd.resample_fd);
  if (::ioctl(vm, KVM_IRQFD, &request) != 0) {
    return FailErrno("KVM_IRQFD for interrupt {}", irqfd.gsi);
  }
  return {};
}

}  // namespace

Result<Vm> Vm::Create(UniqueFd fd, size_t run_bytes, bool can_prefault) {
  uint64_t identity_map = kIdentityMapAddress;
  if (::ioctl(fd.get(), KVM_SET_IDENTITY_MAP_ADDR, &identity_map) != 0) {
    return FailErrno("KVM_SET_IDENTITY_MAP_ADDR");
  }
  if (::ioctl(fd.get(), KVM_SET_TSS_ADDR, kTssAddress) != 0) return FailErrno("KVM_SET_TSS_ADDR");
  if (::ioctl(fd.get(), KVM_CREATE_IRQCHIP, 0UL) != 0) return FailErrno("KVM_CREATE_IRQCHIP");
  return Vm(std::move(fd), run_bytes, can_prefault);
}

Status Vm::AddMemory(const GuestMemory& memory) {
  for (const HostMappings::Mapping& mapping : HostMappings::Of(memory)) {
    HULL_TRY(AddMapping(mapping));
  }
  return {};
}

Status Vm::AddMapping(const HostMappings::Mapping& mapping) {
  kvm_userspace_memory_region region = {};
  region.slot = next_slot_;
  region.flags = mapping.read_only ? KVM_MEM_READONLY : 0;
  region.guest_phys_addr = mapping.range.start().value();
  region.memory_size = mapping.range.size_bytes();
  region.userspace_addr = mapping.host_address;
  if (::ioctl(fd_.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0) {
    return FailErrno("KVM_SET_USER_MEMORY_REGION for {} bytes at {:#x}", region.memory_size,
                     region.guest_phys_addr);
  }
  ++next_slot_;
  return {};
}

Status Vm::RouteInterrupts() {
  HULL_TRY(routes_->Load());
  return HidePic(fd_.get());
}

Status Vm::ConnectInterrupt(int event_fd, InterruptLine line) {
  return SetIrqfd(fd_.get(), {.fd = event_fd, .gsi = line.number});
}

Status Vm::ConnectLevelInterrupt(int event_fd, int resample_fd, InterruptLine line) {
  return SetIrqfd(fd_.get(), {.fd = event_fd,
                              .gsi = line.number,
                              .flags = KVM_IRQFD_FLAG_RESAMPLE,
                              .resample_fd = resample_fd});
}

void Vm::DisconnectInterrupt(int event_fd, InterruptLine line) {
  // Fails only when it is not connected.
  static_cast<void>(
      SetIrqfd(fd_.get(), {.fd = event_fd, .gsi = line.number, .flags = KVM_IRQFD_FLAG_DEASSIGN}));
}

Status Vm::ConnectMessage(int event_fd, MsiRoute route) {
  return SetIrqfd(fd_.get(), {.fd = event_fd, .gsi = route.number});
}

void Vm::DisconnectMessage(int event_fd, MsiRoute route) {
  DisconnectInterrupt(event_fd, InterruptLine{route.number});
}

Status Vm::ConnectNotification(int event_fd, GuestAddress address, uint32_t size_bytes,
                               uint32_t value) {
  kvm_ioeventfd request = {};
  request.datamatch = value;
  request.addr = address.value();
  request.len = size_bytes;
  request.fd = event_fd;
  request.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
  if (::ioctl(fd_.get(), KVM_IOEVENTFD, &request) != 0) {
    return FailErrno("KVM_IOEVENTFD at {:#x}", address.value());
  }
  return {};
}

Status Vm::AddVfioFile(int fd) {
  if (!vfio_device_.valid()) {
    kvm_create_device device = {};
    device.type = KVM_DEV_TYPE_VFIO;
    if (::ioctl(fd_.get(), KVM_CREATE_DEVICE, &device) != 0) {
      return FailErrno("KVM_CREATE_DEVICE for VFIO");
    }
    vfio_device_.Reset(static_cast<int>(device.fd));
  }
  // SAFETY: the kernel reads an int through this number.
  kvm_device_attr attribute = {.flags = 0,
                               .group = KVM_DEV_VFIO_GROUP,
                               .attr = KVM_DEV_VFIO_GROUP_ADD,
                               .addr = reinterpret_cast<uintptr_t>(&fd)};
  if (::ioctl(vfio_device_.get(), KVM_SET_DEVICE_ATTR, &attribute) != 0) {
    return FailErrno("KVM_DEV_VFIO_GROUP_ADD");
  }
  return {};
}

Result<Vcpu> Vm::CreateVcpu(uint32_t id) {
  const int fd = ::ioctl(fd_.get(), KVM_CREATE_VCPU, static_cast<unsigned long>(id));
  if (fd < 0) return FailErrno("KVM_CREATE_VCPU {}", id);
  return Vcpu::Create(UniqueFd(fd), run_bytes_, can_prefault_);
}

}  // namespace hull
