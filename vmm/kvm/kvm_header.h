// linux/kvm.h, with what Debian 12's copy of it (Linux 6.1) does not know yet. For vmm/kvm only.
#pragma once

#include <linux/kvm.h>

#ifndef KVM_CAP_PRE_FAULT_MEMORY
// Linux 6.11: Documentation/virt/kvm/api.rst, 4.143.
#define KVM_CAP_PRE_FAULT_MEMORY 236
#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
struct kvm_pre_fault_memory {
  __u64 gpa;
  __u64 size;
  __u64 flags;
  __u64 padding[5];
};
#endif

static_assert(sizeof(kvm_pre_fault_memory) == 64);
