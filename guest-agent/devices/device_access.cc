#include "guest-agent/devices/device_access.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "vmm/base/file.h"

namespace hull::agent {
namespace {

constexpr uint32_t kMaxEntries = 16 * 4096;  // as many devices as a request may have, times nodes

// The table's key, as the program builds it on its stack.
struct Key {
  uint32_t type = 0;
  uint32_t major = 0;
  uint32_t minor = 0;
};
static_assert(sizeof(Key) == 12);
static_assert(offsetof(bpf_cgroup_dev_ctx, access_type) == 0);
static_assert(offsetof(bpf_cgroup_dev_ctx, major) == 4);
static_assert(offsetof(bpf_cgroup_dev_ctx, minor) == 8);

// Beyond all minors, which have 20 bits.
constexpr uint32_t kAnyMinor = ~uint32_t{0};

uint32_t TypeOf(bool block) {
  return block ? uint32_t{BPF_DEVCG_DEV_BLOCK} : uint32_t{BPF_DEVCG_DEV_CHAR};
}

Key KeyOf(const DeviceNode& node) {
  return {.type = TypeOf(node.block), .major = node.major, .minor = node.minor};
}

uint64_t Pointer(const void* pointer) {
  // SAFETY: bpf(2) takes addresses as 64-bit numbers.
  return reinterpret_cast<uint64_t>(pointer);
}

int Bpf(bpf_cmd command, bpf_attr* attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, attributes, sizeof(*attributes)));
}

bpf_attr Zero() {
  bpf_attr attributes;
  // The kernel refuses bytes that are set where it knows none; a union's initialiser does not reach
  // them all.
  std::memset(&attributes, 0, sizeof(attributes));
  return attributes;
}

UniqueFd CreateMap(bpf_map_type type, uint32_t key_bytes, uint32_t value_bytes, uint32_t entries,
                   uint32_t flags) {
  bpf_attr attributes = Zero();
  attributes.map_type = type;
  attributes.key_size = key_bytes;
  attributes.value_size = value_bytes;
  attributes.max_entries = entries;
  attributes.map_flags = flags;
  return UniqueFd(Bpf(BPF_MAP_CREATE, &attributes));
}

Status UpdateMap(int map, const void* key, const void* value) {
  bpf_attr attributes = Zero();
  attributes.map_fd = static_cast<uint32_t>(map);
  attributes.key = Pointer(key);
  attributes.value = Pointer(value);
  attributes.flags = BPF_ANY;
  if (Bpf(BPF_MAP_UPDATE_ELEM, &attributes) != 0) return FailErrno("device cgroup: table");
  return {};
}

constexpr bpf_insn Instruction(int code, int target, int source, int16_t offset, int32_t value) {
  return {.code = static_cast<uint8_t>(code),
          .dst_reg = static_cast<uint8_t>(target & 0xf),
          .src_reg = static_cast<uint8_t>(source & 0xf),
          .off = offset,
          .imm = value};
}

// r0 = table has {type, major, minor} or {type, major, any} of the request? 1 : what crun's program
// says.
Result<UniqueFd> LoadProgram(int table, int programs) {
  const std::array code = {
      Instruction(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0),
      // access_type: the type in its lower half, the access in its upper.
      Instruction(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, 0, 0),
      Instruction(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff),
      Instruction(BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, BPF_REG_2, -12, 0),
      Instruction(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, 4, 0),
      Instruction(BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, BPF_REG_2, -8, 0),
      Instruction(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, 8, 0),
      Instruction(BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, BPF_REG_2, -4, 0),
      Instruction(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, table),
      Instruction(0, 0, 0, 0, 0),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0),
      Instruction(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -12),
      Instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
      Instruction(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 7, 0),
      // Once more for all of its kind.
      Instruction(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, -1),
      Instruction(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, table),
      Instruction(0, 0, 0, 0, 0),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0),
      Instruction(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -12),
      Instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
      Instruction(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 2, 0),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1),
      Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_6, 0, 0),
      Instruction(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0, programs),
      Instruction(0, 0, 0, 0, 0),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, 0),
      // Does not come back, unless the table of programs is empty: then nothing is allowed.
      Instruction(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),
      Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  // tail_call is for any licence; crun's program says GPL, and the kernel compares nothing.
  static const char kLicense[] = "GPL";
  bpf_attr attributes = Zero();
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = Pointer(code.data());
  attributes.insn_cnt = static_cast<uint32_t>(code.size());
  attributes.license = Pointer(kLicense);
  UniqueFd program(Bpf(BPF_PROG_LOAD, &attributes));
  if (!program.valid()) return FailErrno("device cgroup: load the program");
  return program;
}

// The one program that crun attached; invalid when there is none.
Result<UniqueFd> ProgramOf(int cgroup) {
  std::array<uint32_t, 64> ids{};  // BPF_CGROUP_MAX_PROGS
  bpf_attr attributes = Zero();
  attributes.query.target_fd = static_cast<uint32_t>(cgroup);
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  attributes.query.prog_ids = Pointer(ids.data());
  attributes.query.prog_cnt = static_cast<uint32_t>(ids.size());
  if (Bpf(BPF_PROG_QUERY, &attributes) != 0) return FailErrno("device cgroup: query");
  const uint32_t count = attributes.query.prog_cnt;
  if (count == 0) return UniqueFd();
  if (count > 1) return Fail(ErrorCode::kFailed, "device cgroup: {} programs, not one", count);
  attributes = Zero();
  attributes.prog_id = ids[0];
  UniqueFd program(Bpf(BPF_PROG_GET_FD_BY_ID, &attributes));
  if (!program.valid()) return FailErrno("device cgroup: open crun's program");
  return program;
}

}  // namespace

Result<DeviceAccess> DeviceAccess::Attach(const std::string& cgroup) {
  DeviceAccess access;
  HULL_ASSIGN(const UniqueFd directory, OpenFile(cgroup, O_RDONLY | O_DIRECTORY));
  HULL_ASSIGN(const UniqueFd crun, ProgramOf(directory.get()));
  if (!crun.valid()) return access;
  access.table_ =
      CreateMap(BPF_MAP_TYPE_HASH, sizeof(Key), sizeof(uint32_t), kMaxEntries, BPF_F_NO_PREALLOC);
  access.programs_ = CreateMap(BPF_MAP_TYPE_PROG_ARRAY, sizeof(uint32_t), sizeof(uint32_t), 1, 0);
  if (!access.table_.valid() || !access.programs_.valid()) {
    return FailErrno("device cgroup: make a table");
  }
  const uint32_t first = 0;
  const auto program = static_cast<uint32_t>(crun.get());
  HULL_TRY(UpdateMap(access.programs_.get(), &first, &program));
  HULL_ASSIGN(const UniqueFd own, LoadProgram(access.table_.get(), access.programs_.get()));

  bpf_attr attributes = Zero();
  attributes.target_fd = static_cast<uint32_t>(directory.get());
  attributes.attach_bpf_fd = static_cast<uint32_t>(own.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  // In one step: at no moment is there no program, or both.
  attributes.attach_flags = BPF_F_ALLOW_MULTI | BPF_F_REPLACE;
  attributes.replace_bpf_fd = program;
  if (Bpf(BPF_PROG_ATTACH, &attributes) != 0) return FailErrno("device cgroup: attach");
  return access;
}

Status DeviceAccess::Allow(const DeviceNode& node) const {
  if (!table_.valid()) return {};
  const Key key = KeyOf(node);
  const uint32_t yes = 1;
  return UpdateMap(table_.get(), &key, &yes);
}

Status DeviceAccess::AllowKind(const DeviceKind& kind) const {
  if (!table_.valid()) return {};
  const Key key = {.type = TypeOf(kind.first), .major = kind.second, .minor = kAnyMinor};
  const uint32_t yes = 1;
  return UpdateMap(table_.get(), &key, &yes);
}

Status DeviceAccess::Revoke(const DeviceNode& node) const {
  if (!table_.valid()) return {};
  const Key key = KeyOf(node);
  bpf_attr attributes = Zero();
  attributes.map_fd = static_cast<uint32_t>(table_.get());
  attributes.key = Pointer(&key);
  if (Bpf(BPF_MAP_DELETE_ELEM, &attributes) != 0 && errno != ENOENT) {
    return FailErrno("device cgroup: table");
  }
  return {};
}

}  // namespace hull::agent
