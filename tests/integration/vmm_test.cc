// hull-vmm by itself, with guests of a few instructions: how each end is told, and that a guest can
// do what it likes with addresses that nobody answers.
#include <elf.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

constexpr uint64_t kLoadAddress = 0x100'0000;
constexpr uint64_t kPage = 4096;

using Code = std::vector<uint8_t>;

Code operator+(Code left, const Code& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// Machine code of the guests. They start in 64-bit mode with the first GiB mapped to itself by page
// tables at 0xa0000 (the page directory pointers one page behind), and without a stack.
Code Bytes32(uint32_t value) {
  return {static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8U),
          static_cast<uint8_t>(value >> 16U), static_cast<uint8_t>(value >> 24U)};
}
Code Store32(uint32_t address, uint32_t value) {  // mov dword [address], value
  return Code{0xc7, 0x04, 0x25} + Bytes32(address) + Bytes32(value);
}
Code LoadAddress(uint64_t address) {  // mov rax, address
  return Code{0x48, 0xb8} + Bytes32(static_cast<uint32_t>(address)) +
         Bytes32(static_cast<uint32_t>(address >> 32U));
}
Code OutByte(uint16_t port, uint8_t value) {  // mov dx, port; mov al, value; out dx, al
  return {0x66,  0xba, static_cast<uint8_t>(port), static_cast<uint8_t>(port >> 8U), 0xb0,
          value, 0xee};
}
// Maps 2 MiB at `address` to itself, through a page directory at `directory`.
Code Map(uint64_t address, uint32_t directory) {
  const auto pointer = static_cast<uint32_t>(0xa'1000 + (address >> 30U) * 8);
  const auto entry = static_cast<uint32_t>(directory + ((address >> 21U) & 511U) * 8);
  return Store32(pointer, directory | 3U) +
         Store32(entry, static_cast<uint32_t>(address & 0xffe0'0000) | 0x83U) +
         Store32(entry + 4, static_cast<uint32_t>(address >> 32U));
}
const Code kCrash = {0x0f, 0x0b};                         // ud2, with no handler: a triple fault
const Code kSleep = {0xf4, 0xeb, 0xfd};                   // hlt, for ever
const Code kCrashUnlessEqual = {0x74, 0x02, 0x0f, 0x0b};  // je +2; ud2
const Code kCrashIfEqual = {0x75, 0x02, 0x0f, 0x0b};      // jne +2; ud2

Code PowerOff() {  // the machine's power register
  return Map(0xd010'0000, 0x20'0000) + LoadAddress(0xd010'0000) +
         Code{0xc7, 0x00, 0x55, 0x55, 0x00, 0x00} + kSleep;
}

// An ELF kernel that is `code`.
void WriteKernel(const std::string& path, const Code& code) {
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_entry = kLoadAddress;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  Elf64_Phdr program = {};
  program.p_type = PT_LOAD;
  program.p_flags = PF_R | PF_X;
  program.p_offset = kPage;
  program.p_paddr = kLoadAddress;
  program.p_filesz = program.p_memsz = kPage;
  std::string file(2 * kPage, '\0');
  std::memcpy(file.data(), &header, sizeof(header));
  std::memcpy(file.data() + sizeof(header), &program, sizeof(program));
  std::memcpy(file.data() + kPage, code.data(), code.size());
  std::ofstream(path, std::ios::binary) << file;
}

class VmmTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hull-vmm-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { Shell("rm -rf " + directory_); }

  // Runs hull-vmm with a guest that is `code`; its status lines are at the end of `out`. `more` is
  // put into the configuration, `shell` runs beside it, with $vmm being its process.
  Ended Run(const Code& code, const std::string& more = "", const std::string& shell = "") {
    WriteKernel(directory_ + "/kernel", code);
    std::ofstream(directory_ + "/vm.json")
        << R"({"version":1,"name":"t","cpus":1,"memory_bytes":33554432,"kernel":{"path":"kernel"})"
        << (more.empty() ? "" : ",") << more << "}";
    return Shell("cd " + directory_ +
                     "; hull-vmm --config vm.json --status-fd 3 3> status & vmm=$!\n" + shell +
                     "\nwait $vmm; code=$?; cat status; exit $code",
                 {.limit = std::chrono::seconds(30)});
  }
  static bool Says(const Ended& ended, const char* text) {
    return ended.out.find(text) != std::string::npos;
  }

  std::string directory_;
};

TEST_F(VmmTest, PowerOffIsOrderly) {
  const Ended ended = Run(PowerOff());
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_TRUE(Says(ended, R"({"event":"started"})")) << ended;
  EXPECT_TRUE(Says(ended, R"("cause":"power-off")")) << ended;
}

TEST_F(VmmTest, TripleFaultIsACrash) {
  const Ended ended = Run(kCrash);
  EXPECT_EQ(ended.exit_code, 22) << ended;
  EXPECT_TRUE(Says(ended, "triple fault")) << ended;
}

TEST_F(VmmTest, ResetBeforeTheDriversIsACrash) {
  const Ended ended = Run(OutByte(0xcf9, 6) + kSleep);
  EXPECT_EQ(ended.exit_code, 22) << ended;
  EXPECT_TRUE(Says(ended, "before its console came up")) << ended;
}

TEST_F(VmmTest, EarlyConsoleIsKept) {
  const Ended ended = Run(OutByte(0x3f8, 'o') + OutByte(0x3f8, 'k') + PowerOff(),
                          R"("console":{"early":true,"log":"log"})", "");
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_TRUE(Says(ended, R"("console":"ok")")) << ended;
}

TEST_F(VmmTest, AddressesThatNobodyAnswersReadAllOnes) {
  const Ended ended =
      Run(Map(0xd020'0000, 0x20'0000) + LoadAddress(0xd020'0000) +
          Code{0x48, 0xc7, 0x00, 0x01, 0x00, 0x00, 0x00} +    // mov qword [rax], 1
          Code{0x48, 0x83, 0x38, 0xff} + kCrashUnlessEqual +  // cmp qword [rax], -1
          Code{0x80, 0x78, 0x03, 0xff} + kCrashUnlessEqual +  // cmp byte [rax + 3], -1
          Code{0x66, 0xba, 0x34, 0x12} +                      // mov dx, 0x1234
          Code{0xed, 0x83, 0xf8, 0xff} + kCrashUnlessEqual +  // in eax, dx; cmp eax, -1
          Code{0xef} +                                        // out dx, eax
          Code{0xbe, 0x00, 0x00, 0x00, 0x01, 0xb9, 0x00, 0x10, 0x00, 0x00, 0xfc} +
          Code{0xf3, 0x6e} +  // mov esi, code; mov ecx, 4096; cld; rep outsb
          PowerOff());
  EXPECT_EQ(ended.exit_code, 0) << ended;
}

TEST_F(VmmTest, PmemCannotBeWritten) {
  const Ended made = Shell("head -c 100000 /dev/zero | tr '\\0' 'F' > " + directory_ + "/file");
  ASSERT_EQ(made.exit_code, 0) << made;
  const Ended ended = Run(Map(0x1'0000'0000, 0x20'1000) + LoadAddress(0x1'0000'0000) +
                              Code{0xc6, 0x00, 'X'} +                      // mov byte [rax], 'X'
                              Code{0x80, 0x38, 'X'} + kCrashIfEqual +      // cmp byte [rax], 'X'
                              Code{0x80, 0x38, 'F'} + kCrashUnlessEqual +  // cmp byte [rax], 'F'
                              PowerOff(),
                          R"("pmem":[{"id":"file","path":"file"}])");
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_EQ(Shell("head -c 1 " + directory_ + "/file").out, "F");
}

TEST_F(VmmTest, SignalKills) {
  const Ended ended =
      Run(kSleep, "", "until grep -q started status; do sleep 0.1; done; kill $vmm");
  EXPECT_EQ(ended.exit_code, 20) << ended;
  EXPECT_TRUE(Says(ended, "killed by SIGTERM")) << ended;
}

TEST_F(VmmTest, BusyGuestIsKilledToo) {
  const Ended ended =
      Run({0xeb, 0xfe}, "", "until grep -q started status; do sleep 0.1; done; kill -INT $vmm");
  EXPECT_EQ(ended.exit_code, 20) << ended;
}

TEST_F(VmmTest, ControlSocketAnswersAndKills) {
  const Ended ended = Run(kSleep, R"("control":{"path":"control"})", R"(
until grep -q started status; do sleep 0.1; done
python3 - <<'PYTHON'
import json, socket
s = socket.socket(socket.AF_UNIX)
s.connect('control')
lines = s.makefile('rw')
def ask(**request):
    lines.write(json.dumps(request) + '\n')
    lines.flush()
    return json.loads(lines.readline())
print('state', ask(id=1, method='state')['result']['state'])
print('vcpus', len(ask(id=2, method='counters')['result']['vcpus']))
print('stop', ask(id=3, method='stop')['error']['code'])
print('bad', ask(id=4, method='dance')['error']['code'])
print('kill', ask(id=5, method='kill')['result'])
PYTHON
)");
  EXPECT_EQ(ended.exit_code, 20) << ended;
  for (const char* line : {"state running", "vcpus 1", "stop unsupported", "bad invalid-argument",
                           "kill {}", "killed by request"}) {
    EXPECT_TRUE(Says(ended, line)) << line << "\n" << ended;
  }
  EXPECT_NE(Shell("test -e " + directory_ + "/control").exit_code, 0) << "the socket is left";
}

TEST_F(VmmTest, WrongConfigurationNamesItsField) {
  const Ended ended = Run(kSleep, R"("block":[{"id":"a"}])");
  EXPECT_EQ(ended.exit_code, 24) << ended;
  EXPECT_TRUE(Says(ended, "block[0]")) << ended;
  EXPECT_TRUE(Says(ended, R"("cause":"start")")) << ended;
}

}  // namespace
}  // namespace hull::integration
