// What the agent reads of processes, sysctls and commands: hostile texts, and good ones.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "guest-agent/command_check.h"
#include "guest-agent/processes.h"
#include "guest-agent/sysctl.h"
#include "vmm/base/file.h"

namespace hull::agent {
namespace {

namespace json = boost::json;

TEST(ParseProcessStat, NamesOfAnyKindAndTextsThatEndEarly) {
  const std::string rest = " S 1 2 3 34816 2 0 0 0 0 0 5 6 0 0 20 -5 4 0 777 4096 3 0 0\n";
  for (const char* name : {"sh", "a) R 9 (b", "x\ny", ")", ""}) {
    const std::string text = fmt::format("42 ({}){}", name, rest);
    const auto stat = ParseProcessStat(text);
    ASSERT_TRUE(stat.has_value()) << name;
    EXPECT_EQ(stat->command, name);
    EXPECT_EQ(stat->state, 'S');
    EXPECT_EQ(stat->parent, 1);
    EXPECT_EQ(stat->user_ticks, 5u);
    EXPECT_EQ(stat->nice, -5);
    EXPECT_EQ(stat->threads, 4u);
    EXPECT_EQ(stat->start_ticks, 777u);
    EXPECT_EQ(stat->resident_pages, 3u);
  }
  const std::string whole = "42 (sh)" + rest;
  for (size_t size = 0; size < whole.find(" 3 0 0\n"); ++size) {
    EXPECT_FALSE(ParseProcessStat(whole.substr(0, size)).has_value()) << size;
  }
}

TEST(ParseProcessStatus, NumbersInEachNamespace) {
  const auto status =
      ParseProcessStatus("Name:\tx\nUid:\t1000\t1001\t0\t0\nGid:\t7\t8\t0\t0\nNSpid:\t123\t4\t1\n");
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->effective_user, 1001u);
  EXPECT_EQ(status->effective_group, 8u);
  EXPECT_EQ(status->numbers, (std::vector<uint32_t>{123, 4, 1}));
  EXPECT_FALSE(ParseProcessStatus("Uid:\tx\n").has_value());
  EXPECT_FALSE(ParseProcessStatus("").has_value());
}

TEST(TerminalName, OfDeviceNumbers) {
  EXPECT_EQ(TerminalName(34816), "pts/0");
  EXPECT_EQ(TerminalName(34816 + 3), "pts/3");
  EXPECT_EQ(TerminalName(0), "");
  EXPECT_EQ(TerminalName(-1), "");
}

std::string Taken(std::string_view sysctls, std::string_view namespaces = R"([{"type":"ipc"}])") {
  json::value config = json::parse(
      fmt::format(R"({{"linux":{{"namespaces":{},"sysctl":{}}}}})", namespaces, sysctls));
  const auto taken = TakeGuestSysctls(config.get_object());
  if (!taken) return "refused";
  std::string text;
  for (const Sysctl& sysctl : *taken) text += sysctl.path + "=" + sysctl.value + " ";
  return text + "left " + json::serialize(config.at("linux").at("sysctl"));
}

TEST(TakeGuestSysctls, TheGuestsOwnAndCruns) {
  EXPECT_EQ(Taken(R"({"net.ipv4.ip_forward":"1"})"), "net/ipv4/ip_forward=1 left {}");
  EXPECT_EQ(Taken(R"({"net/ipv4/conf/eth0.5/forwarding":"1"})"),
            "net/ipv4/conf/eth0.5/forwarding=1 left {}");
  EXPECT_EQ(Taken(R"({"net.ipv4.conf.eth0/5.forwarding":"1"})"),
            "net/ipv4/conf/eth0.5/forwarding=1 left {}");
  EXPECT_EQ(Taken(R"({"kernel.shmmax":"1","fs.mqueue.msg_max":"2","vm.swappiness":"3"})"),
            R"(vm/swappiness=3 left {"kernel.shmmax":"1","fs.mqueue.msg_max":"2"})");
  EXPECT_EQ(Taken(R"({"kernel.shmmax":"1"})", "[]"), "kernel/shmmax=1 left {}")
      << "without a namespace it is the guest's";
  for (const char* refused :
       {R"({"../etc/passwd":"x"})", R"({"net/../../etc":"x"})", R"({"/etc/passwd":"x"})",
        R"({"net..x":"1"})", R"({"kernel.core_pattern":"|/x"})", R"({"kernel.modprobe":"/x"})",
        R"({"kernel/usermodehelper/bset":"1"})", R"({"net.x":1})", R"({"net.\u0000":"1"})", "[]",
        R"({"net":"1"})", R"({"fs.binfmt_misc.register":"x"})"}) {
    EXPECT_EQ(Taken(refused), "refused") << refused;
  }
}

class CommandTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "hull-command.XXXXXX";
    root_ = ::mkdtemp(pattern.data());
    ::mkdir((root_ + "/bin").c_str(), 0755);
    Write("bin/sh", "not looked at");
  }
  void Write(const std::string& name, std::string_view text) const {
    std::ofstream(root_ + "/" + name) << text;
    ::chmod((root_ + "/" + name).c_str(), 0755);
  }
  Status Check(const std::string& command, const std::string& cwd = "/") const {
    const UniqueFd root = OpenFile(root_, O_PATH | O_DIRECTORY).value();
    const json::object process{
        {"args", json::array{command}}, {"cwd", cwd}, {"env", json::array{"PATH=/nope:/bin"}}};
    return CheckInterpreter(root.get(), process);
  }
  std::string root_;
};

TEST_F(CommandTest, OnlyAMissingInterpreterIsFound) {
  Write("bin/good", "#!/bin/sh\n");
  Write("bin/spaced", "#! \t/bin/sh -e\n");
  Write("bin/relative", "#!bin/sh\n");
  Write("bin/bad", "#!/bin/gone\n");
  Write("bin/windows", "#!/bin/sh\r\n");
  Write("bin/empty", "#!\n");
  Write("bin/short",
        "\x7f"
        "ELF");
  for (const char* command :
       {"good", "/bin/good", "spaced", "empty", "short", "sh", "missing", ""}) {
    EXPECT_TRUE(Check(command).has_value()) << command;
  }
  EXPECT_TRUE(Check("relative", "/").has_value());
  for (const char* command : {"bad", "/bin/bad", "windows"}) {
    EXPECT_EQ(Check(command).error().code(), ErrorCode::kNotFound) << command;
  }
  EXPECT_TRUE(
      Check("bad").error().message().starts_with("exec /bin/bad: no such file or directory"));
}

}  // namespace
}  // namespace hull::agent
