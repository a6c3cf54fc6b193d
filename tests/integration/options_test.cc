// The flags of `hull run` and `hull create`, as a container sees them.
#include <unistd.h>

#include <fstream>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

class OptionsTest : public HullTest {};

// A file for the life of a test.
class TextFile {
 public:
  explicit TextFile(const std::string& text) {
    close(mkstemp(path_.data()));
    std::ofstream(path_) << text;
  }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;
  ~TextFile() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/hull-options-XXXXXX";
};

TEST_F(OptionsTest, CapabilitiesAreThoseAskedFor) {
  const Ended ended =
      HullRun({"--cap-drop", "ALL", "--cap-add", "net_admin", "--cap-add", "CAP_SYS_CHROOT",
               "--security-opt", "no-new-privileges", "sample/busybox", "sh", "-c",
               "grep -E '^(Cap(Eff|Bnd|Prm)|NoNewPrivs|Seccomp):' /proc/self/status; "
               "chroot / true && echo chroot yes; mount -t tmpfs x /mnt || echo mount no"});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  for (const char* set : {"CapEff:", "CapBnd:", "CapPrm:"}) {
    EXPECT_EQ(Field(ended.out, set), "0000000000041000") << ended;
  }
  EXPECT_EQ(Field(ended.out, "NoNewPrivs:"), "1") << ended;
  EXPECT_EQ(Field(ended.out, "Seccomp:"), "2") << ended;
  EXPECT_EQ(Field(ended.out, "chroot"), "yes") << ended;
  EXPECT_EQ(Field(ended.out, "mount"), "no") << ended;
}

TEST_F(OptionsTest, AnAddedCapabilityOpensItsSystemCalls) {
  const Ended ended = HullRun({"--cap-add", "SYS_ADMIN", "sample/busybox", "sh", "-c",
                               "mount -t tmpfs x /mnt && echo mount yes; "
                               "unshare -m true && echo unshare yes; "
                               "reboot -f 2>/dev/null || echo reboot no"});
  EXPECT_EQ(Field(ended.out, "mount"), "yes") << ended;
  EXPECT_EQ(Field(ended.out, "unshare"), "yes") << ended;
  EXPECT_EQ(Field(ended.out, "reboot"), "no") << ended;
}

TEST_F(OptionsTest, AProfileOfTheUsersIsTheFilter) {
  const TextFile profile(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
    {"names": ["rmdir"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_SYS_ADMIN"]}}]})");
  const Ended ended =
      HullRun({"--security-opt", "seccomp=" + profile.path(), "sample/busybox", "sh", "-c",
               "mkdir /x; rmdir /nosuch; grep Seccomp: /proc/self/status"});
  EXPECT_NE(ended.err.find("mkdir: can't create directory '/x': No space left on device"),
            std::string::npos)
      << ended;
  EXPECT_NE(ended.err.find("rmdir: '/nosuch': No such file or directory"), std::string::npos)
      << ended;
  EXPECT_EQ(Field(ended.out, "Seccomp:"), "2") << ended;
}

TEST_F(OptionsTest, PrivilegedIsTheRootOfItsMachine) {
  const Ended ended = HullRun(
      {"--privileged", "sample/busybox", "sh", "-c",
       "grep -E '^(CapEff|Seccomp):' /proc/self/status; "
       "test -b /dev/vda && echo device yes; head -c 1 /dev/vda > /dev/null && echo read yes; "
       "mkdir /sys/fs/cgroup/inner && echo cgroup yes; "
       "echo box2 > /proc/sys/kernel/hostname && echo name $(hostname)"});
  EXPECT_EQ(Field(ended.out, "CapEff:"), "000001ffffffffff") << ended;
  EXPECT_EQ(Field(ended.out, "Seccomp:"), "0") << ended;
  for (const char* what : {"device", "read", "cgroup"}) {
    EXPECT_EQ(Field(ended.out, what), "yes") << ended;
  }
  EXPECT_EQ(Field(ended.out, "name"), "box2") << ended;
}

TEST_F(OptionsTest, MountsHaveTheirSizesAndModes) {
  const Ended ended =
      HullRun({"--read-only", "--tmpfs", "/scratch:size=1m,mode=1700,exec", "--tmpfs", "/run",
               "--shm-size", "8m", "sample/busybox", "sh", "-c",
               "touch /x 2>/dev/null || echo root read-only; echo mode $(stat -c %a /scratch); "
               "cp /bin/busybox /scratch/true && /scratch/true && echo exec yes; "
               "cp /bin/busybox /run/true && /run/true 2>/dev/null || echo noexec yes; "
               "echo shm $(df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d' ' -f2); "
               "head -c 1100000 /dev/zero 2>/dev/null > /scratch/large || echo full yes"});
  EXPECT_EQ(Field(ended.out, "root"), "read-only") << ended;
  EXPECT_EQ(Field(ended.out, "mode"), "1700") << ended;
  EXPECT_EQ(Field(ended.out, "noexec"), "yes") << ended;
  EXPECT_EQ(Field(ended.out, "shm"), "8192") << ended;
  EXPECT_EQ(Field(ended.out, "full"), "yes") << ended;
}

TEST_F(OptionsTest, LimitsAreInForce) {
  const Ended ended = HullRun(
      {"--pids-limit",
       "4",
       "--ulimit",
       "nofile=100:200",
       "--ulimit",
       "core=0",
       "--memory",
       "64m",
       "--memory-reservation",
       "32m",
       "--cpu-shares",
       "512",
       "--cpus",
       "0.5",
       "--cpuset-cpus",
       "0",
       "--oom-score-adj",
       "500",
       "--sysctl",
       "kernel.msgmax=12345",
       "--sysctl",
       "net.ipv4.ip_forward=1",
       "sample/busybox",
       "sh",
       "-c",
       "cd /sys/fs/cgroup; echo files $(ulimit -Sn)/$(ulimit -Hn)/$(ulimit -c); "
       "echo memory $(cat memory.max)/$(cat memory.low); "
       "echo cpu $(cat cpu.weight)/$(tr ' ' - < cpu.max)/$(cat cpuset.cpus); "
       "echo oom $(cat /proc/self/oom_score_adj); "
       "echo sysctl $(cat /proc/sys/kernel/msgmax)/$(cat /proc/sys/net/ipv4/ip_forward); "
       "echo pids $(cat pids.max); for i in 1 2 3 4 5; do sleep 9 & done; echo not reached"});
  EXPECT_EQ(Field(ended.out, "files"), "100/200/0") << ended;
  EXPECT_EQ(Field(ended.out, "memory"), "67108864/33554432") << ended;
  EXPECT_EQ(Field(ended.out, "cpu"), "20/50000-100000/0") << ended;
  EXPECT_EQ(Field(ended.out, "oom"), "500") << ended;
  EXPECT_EQ(Field(ended.out, "sysctl"), "12345/1") << ended;
  EXPECT_EQ(Field(ended.out, "pids"), "4") << ended;
  EXPECT_EQ(ended.out.find("not reached"), std::string::npos) << ended;
  EXPECT_NE(ended.err.find("can't fork"), std::string::npos) << ended;
}

TEST_F(OptionsTest, InitReapsAndHandsSignalsOn) {
  // An orphan that has ended is gone, and process 1 is not the command.
  const Ended ended = HullRun(
      {"--init", "sample/busybox", "sh", "-c",
       "echo pid $$; sh -c 'sleep 0.2 & exit 0'; sleep 1; "
       "echo zombies $(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l); exit 5"});
  EXPECT_EQ(ended.exit_code, 5) << ended;
  EXPECT_NE(Field(ended.out, "pid"), "1") << ended;
  EXPECT_EQ(Field(ended.out, "zombies"), "0") << ended;
}

TEST_F(OptionsTest, ProcessHasItsNamesGroupsAndVariables) {
  const TextFile variables("A=file\nB=two words\n#C=no\nHERE\nUNSET_HERE\n");
  const Ended ended = HullRun(
      {"--env-file", variables.path(), "-e", "A=flag", "--group-add", "77", "--group-add", "app",
       "-u", "1234:5", "-h", "box", "--domainname", "example", "sample/busybox", "sh", "-c",
       "echo a $A; echo b $B; echo c ${C-none}; echo here $HERE; echo unset ${UNSET_HERE-none}; "
       "echo groups $(id -G); echo id $(id -u)/$(id -g); "
       "echo names $(hostname)/$(cat /proc/sys/kernel/domainname)"},
      {.environment = {"HERE=mine"}});
  EXPECT_EQ(Field(ended.out, "a"), "flag") << ended;
  EXPECT_EQ(Field(ended.out, "b"), "two words") << ended;
  EXPECT_EQ(Field(ended.out, "c"), "none") << ended;
  EXPECT_EQ(Field(ended.out, "here"), "mine") << ended;
  EXPECT_EQ(Field(ended.out, "unset"), "none") << ended;
  EXPECT_EQ(Field(ended.out, "id"), "1234/5") << ended;
  const std::string groups = " " + Field(ended.out, "groups") + " ";
  EXPECT_NE(groups.find(" 77 "), std::string::npos) << ended;
  EXPECT_NE(groups.find(" 1000 "), std::string::npos) << ended;
  EXPECT_EQ(Field(ended.out, "names"), "box/example") << ended;
}

TEST_F(OptionsTest, InspectShowsWhatWasAsked) {
  const TextFile labels("from=file\nboth=file\n");
  const std::string cidfile = "/tmp/hull-options-cid";
  const Ended created = RunProgram({"hull",
                                    "create",
                                    "--name",
                                    "shown",
                                    "--label-file",
                                    labels.path(),
                                    "-l",
                                    "both=flag",
                                    "--stop-signal",
                                    "SIGUSR1",
                                    "--stop-timeout",
                                    "3",
                                    "--cidfile",
                                    cidfile,
                                    "--annotation",
                                    "k=v",
                                    "--log-opt",
                                    "max-size=1m",
                                    "sample/busybox",
                                    "true"});
  EXPECT_EQ(created.exit_code, 0) << created;
  const Ended shown =
      RunProgram({"hull", "inspect", "--format",
                  "{{.Config.Labels.from}} {{.Config.Labels.both}} {{.Config.StopSignal}} "
                  "{{.Config.StopTimeout}} {{.HostConfig.Annotations.k}} "
                  "{{index .HostConfig.LogConfig.Config \"max-size\"}} {{.Id}}",
                  "shown"});
  EXPECT_EQ(shown.out, "file flag SIGUSR1 3 v 1m " + created.out) << shown;
  EXPECT_EQ(Shell("cat " + cidfile).out + "\n", created.out);
  const Ended again =
      RunProgram({"hull", "create", "--cidfile", cidfile, "sample/busybox", "true"});
  EXPECT_EQ(again.exit_code, 1) << again;
  EXPECT_NE(again.err.find("container ID file found"), std::string::npos) << again;
  unlink(cidfile.c_str());
  EXPECT_EQ(RunProgram({"hull", "rm", "shown"}).exit_code, 0);
}

TEST_F(OptionsTest, WhatIsRefusedMakesNothing) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> table = {
      {{"--gpus", "all"}, "--gpus"},
      {{"-v", "/a:/b"}, "--volume: hull has no volumes yet"},
      {{"--network", "host"}, "--network host: hull has no networks yet"},
      {{"--cap-add", "NO_SUCH"}, "unknown capability: \"CAP_NO_SUCH\""},
      {{"-m", "1k"}, "Minimum memory limit allowed is 6MB"},
      {{"--no-such-flag"}, "unknown flag: --no-such-flag"},
  };
  for (const auto& [flags, words] : table) {
    std::vector<std::string> arguments = flags;
    arguments.insert(arguments.end(), {"--name", "refused", "sample/busybox", "true"});
    const Ended ended = HullRun(arguments);
    EXPECT_EQ(ended.exit_code, 125) << ended;
    EXPECT_NE(ended.err.find(words), std::string::npos) << ended;
  }
}

}  // namespace
}  // namespace hull::integration
