// What a vCPU is set up with, as plain values, so that whoever computes it (vmm/arch) needs no KVM.
// Register names and bits: Intel SDM volume 3, AMD APM volume 2.
#pragma once

#include <cstdint>

namespace hull {

// One answer of the CPUID instruction.
struct CpuidEntry {
  uint32_t leaf = 0;
  uint32_t subleaf = 0;
  bool has_subleaf = false;  // the answer depends on ECX
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;

  bool operator==(const CpuidEntry&) const = default;
};

struct Msr {
  uint32_t index = 0;
  uint64_t value = 0;

  bool operator==(const Msr&) const = default;
};

// A segment register, the hidden part included.
struct SegmentState {
  uint64_t base = 0;
  uint32_t limit = 0;
  uint16_t selector = 0;
  uint8_t type = 0;  // the descriptor's type field
  bool code_or_data = false;
  bool long_mode = false;
  bool default_size_32 = false;
  bool granularity_4k = false;

  bool operator==(const SegmentState&) const = default;
};

// The state in which a vCPU enters code; what is not named here stays as after a reset.
struct EntryState {
  uint64_t rip = 0;
  uint64_t rsi = 0;
  uint64_t rsp = 0;
  uint64_t cr0 = 0;
  uint64_t cr3 = 0;
  uint64_t cr4 = 0;
  uint64_t efer = 0;
  SegmentState code;
  SegmentState data;  // DS, ES, FS, GS and SS
  SegmentState task;
};

}  // namespace hull
