#include "vmm/kvm/vcpu_exit.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "vmm/kvm/kvm_header.h"

namespace hull {
namespace {

// What the kernel shares with a vCPU: the structure and a page of port data behind it.
class VcpuExitTest : public testing::Test {
 protected:
  static constexpr size_t kBytes = 2 * 4096;
  kvm_run* run() { return reinterpret_cast<kvm_run*>(page_.data()); }
  VcpuExit Decode() { return DecodeExit(run(), kBytes); }
  std::byte* At(size_t offset) { return page_.data() + offset; }

  void SetIo(uint8_t direction, uint8_t size, uint32_t count, uint64_t offset) {
    run()->exit_reason = KVM_EXIT_IO;
    run()->io.direction = direction;
    run()->io.size = size;
    run()->io.port = 0x3f8;
    run()->io.count = count;
    run()->io.data_offset = offset;
  }

 private:
  alignas(4096) std::array<std::byte, kBytes> page_ = {};
};

TEST_F(VcpuExitTest, PortStringWriteGivesAllItems) {
  SetIo(KVM_EXIT_IO_OUT, 2, 3, 4096);
  const VcpuExit exit = Decode();
  EXPECT_EQ(exit.kind, ExitKind::kPortWrite);
  EXPECT_EQ(exit.address, 0x3f8U);
  EXPECT_EQ(exit.item_bytes, 2U);
  EXPECT_EQ(exit.data.data(), At(4096));
  EXPECT_EQ(exit.data.size(), 6U);
}

TEST_F(VcpuExitTest, PortReadGivesRoom) {
  SetIo(KVM_EXIT_IO_IN, 4, 1, 4096);
  EXPECT_EQ(Decode().kind, ExitKind::kPortRead);
  EXPECT_EQ(Decode().data.size(), 4U);
}

TEST_F(VcpuExitTest, PortDataOutsideThePageIsNeverTouched) {
  SetIo(KVM_EXIT_IO_OUT, 4, 1, kBytes - 3);
  EXPECT_EQ(Decode().kind, ExitKind::kUnknown);
  SetIo(KVM_EXIT_IO_OUT, 4, UINT32_MAX, 4096);
  EXPECT_EQ(Decode().kind, ExitKind::kUnknown);
  SetIo(KVM_EXIT_IO_OUT, 4, 1, UINT64_MAX - 2);
  EXPECT_EQ(Decode().kind, ExitKind::kUnknown);
  SetIo(KVM_EXIT_IO_OUT, 4, 1, 0);
  EXPECT_EQ(Decode().kind, ExitKind::kUnknown);
  SetIo(KVM_EXIT_IO_OUT, 0, 1, 4096);
  EXPECT_EQ(Decode().kind, ExitKind::kUnknown);
}

TEST_F(VcpuExitTest, MmioGivesAddressAndBytes) {
  run()->exit_reason = KVM_EXIT_MMIO;
  run()->mmio.phys_addr = 0xd000'0050;
  run()->mmio.len = 4;
  run()->mmio.is_write = 1;
  const uint32_t value = 7;
  std::memcpy(run()->mmio.data, &value, sizeof(value));
  VcpuExit exit = Decode();
  EXPECT_EQ(exit.kind, ExitKind::kMmioWrite);
  EXPECT_EQ(exit.address, 0xd000'0050U);
  ASSERT_EQ(exit.data.size(), 4U);
  EXPECT_EQ(exit.data[0], std::byte{7});
  run()->mmio.is_write = 0;
  EXPECT_EQ(Decode().kind, ExitKind::kMmioRead);
  run()->mmio.len = 9;
  EXPECT_EQ(Decode().kind, ExitKind::kUnknown);
}

TEST_F(VcpuExitTest, EndsAreToldApart) {
  run()->exit_reason = KVM_EXIT_SHUTDOWN;
  EXPECT_EQ(Decode().kind, ExitKind::kShutdown);
  run()->exit_reason = KVM_EXIT_INTERNAL_ERROR;
  run()->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
  EXPECT_EQ(Decode().Describe(), "KVM could not emulate an instruction of the guest");
  run()->exit_reason = KVM_EXIT_FAIL_ENTRY;
  run()->fail_entry.hardware_entry_failure_reason = 0x80000021;
  EXPECT_EQ(Decode().Describe(),
            "the processor refused to enter the guest (hardware reason 0x80000021)");
  run()->exit_reason = KVM_EXIT_DEBUG;
  EXPECT_EQ(Decode().Describe(), "KVM exit unknown (4)");
  EXPECT_EQ((VcpuExit{.kind = ExitKind::kFailed, .address = EFAULT}).Describe(),
            "KVM_RUN: Bad address");
}

}  // namespace
}  // namespace hull
