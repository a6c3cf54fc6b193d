// The smallest KVM guest: real-mode code that writes "hello" to a port and halts. Exit status 0 if
// it did, else 1. Stands in for hull where the lab itself is tested.
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace {

constexpr unsigned kCodeAddress = 0x1000;
constexpr unsigned kPort = 0x10;
// mov si, 0x100d; next: lodsb; test al, al; jz end; out 0x10, al; jmp next; end: hlt; "hello\0"
constexpr unsigned char kCode[] = {0xbe, 0x0d, 0x10, 0xac, 0x84, 0xc0, 0x74, 0x04, 0xe6, kPort,
                                   0xeb, 0xf7, 0xf4, 'h',  'e',  'l',  'l',  'o',  0};

int Fail(const char* what) {
  perror(what);
  return 1;
}

}  // namespace

int main() {
  const int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) return Fail("/dev/kvm");
  const int vm = ioctl(kvm, KVM_CREATE_VM, 0UL);
  if (vm < 0) return Fail("KVM_CREATE_VM");
  // VT-x needs these two for real mode; AMD-V does not care.
  ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000UL);
  auto* memory = static_cast<char*>(
      mmap(nullptr, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  memcpy(memory + kCodeAddress, kCode, sizeof kCode);
  kvm_userspace_memory_region region{};
  region.memory_size = 0x2000;
  region.userspace_addr = reinterpret_cast<unsigned long>(memory);
  if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) != 0)
    return Fail("KVM_SET_USER_MEMORY_REGION");
  const int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0UL);
  if (vcpu < 0) return Fail("KVM_CREATE_VCPU");
  const auto run_bytes = static_cast<size_t>(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0UL));
  auto* run =
      static_cast<kvm_run*>(mmap(nullptr, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0));
  kvm_sregs special{};
  ioctl(vcpu, KVM_GET_SREGS, &special);
  special.cs.base = 0;
  special.cs.selector = 0;
  ioctl(vcpu, KVM_SET_SREGS, &special);
  kvm_regs registers{};
  registers.rip = kCodeAddress;
  registers.rflags = 2;
  ioctl(vcpu, KVM_SET_REGS, &registers);

  std::string said;
  for (;;) {
    if (ioctl(vcpu, KVM_RUN, 0UL) != 0) return Fail("KVM_RUN");
    if (run->exit_reason == KVM_EXIT_HLT) break;
    if (run->exit_reason != KVM_EXIT_IO || run->io.port != kPort) {
      fprintf(stderr, "unexpected exit %u\n", run->exit_reason);
      return 1;
    }
    said += *(reinterpret_cast<char*>(run) + run->io.data_offset);
  }
  puts(said.c_str());
  return said == "hello" ? 0 : 1;
}
