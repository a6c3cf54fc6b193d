// What `hull run` gives a container: its process, its surroundings, its walls.
#include <sys/utsname.h>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

class RunTest : public HullTest {};

TEST_F(RunTest, OutputAndExitCodeComeBack) {
  const Ended ended = HullRun({"sample/busybox", "echo", "hi"});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_EQ(ended.out, "hi\n") << ended;
  EXPECT_EQ(ended.err, "") << ended;
}

TEST_F(RunTest, TheContainerHasItsOwnKernelAndProcesses) {
  const Ended ended = HullRun(
      {"--hostname", "box", "sample/busybox", "sh", "-c",
       "echo kernel $(uname -r); echo pid $$; echo host $(hostname); "
       "echo processes $(ls /proc | grep -c '^[0-9]'); echo stdin $(readlink /proc/self/fd/0)"});
  utsname host{};
  uname(&host);
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_NE(Field(ended.out, "kernel"), host.release);
  EXPECT_EQ(Field(ended.out, "kernel").substr(0, 4), "6.12") << ended;
  EXPECT_EQ(Field(ended.out, "pid"), "1") << ended;
  EXPECT_EQ(Field(ended.out, "host"), "box") << ended;
  // The shell, its child, ls and grep.
  EXPECT_LE(std::stoi(Field(ended.out, "processes")), 4) << ended;
  EXPECT_EQ(Field(ended.out, "stdin"), "/dev/null") << ended;
}

TEST_F(RunTest, WallsAreDockers) {
  // Denied calls are made through python, where errno can be read.
  const Ended ended = HullRun({"sample/python", "bash", "-c", R"(
grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status
echo kcore $(head -c 1 /proc/kcore | wc -c)
echo hostname $( (echo x > /proc/sys/kernel/hostname) 2>&1 | grep -c Read-only)
echo firmware $(ls /sys/firmware | wc -l)
echo sys $( (echo 1 > /sys/kernel/mm/ksm/run) 2>&1 | wc -l)
echo cgroup $(cat /proc/self/cgroup)
echo shm $(df -P /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2)
echo mounts $(cut -d' ' -f2 /proc/self/mounts | grep -cE '^/(proc|dev|dev/pts|dev/shm|dev/mqueue|sys|sys/fs/cgroup)$')
echo files $(ulimit -Sn) $(ulimit -Hn)
python3 - <<'END'
import ctypes, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    ctypes.set_errno(0)
    libc.syscall(*arguments)
    print(name, ctypes.get_errno())
call('mount', 165, 0, 0, 0, 0, 0)
call('unshare', 272, 0x10000000)
call('keyctl', 250, 0, 0, 0)
call('clone3', 435, 0, 0)
call('unknown', 999)
try:
    socket.socket(40, 1, 0)
    print('vsock 0')
except OSError as error:
    print('vsock', error.errno)
END
)"});
  ASSERT_EQ(ended.exit_code, 0) << ended;
  constexpr const char* kDockers = "00000000a80425fb";
  EXPECT_EQ(Field(ended.out, "CapEff"), kDockers) << ended;
  EXPECT_EQ(Field(ended.out, "CapPrm"), kDockers);
  EXPECT_EQ(Field(ended.out, "CapBnd"), kDockers);
  EXPECT_EQ(Field(ended.out, "CapInh"), "0000000000000000");
  EXPECT_EQ(Field(ended.out, "CapAmb"), "0000000000000000");
  EXPECT_EQ(Field(ended.out, "Seccomp"), "2") << ended;
  EXPECT_EQ(Field(ended.out, "NoNewPrivs"), "0");
  EXPECT_EQ(Field(ended.out, "kcore"), "0") << ended;
  EXPECT_EQ(Field(ended.out, "hostname"), "1") << ended;
  EXPECT_EQ(Field(ended.out, "firmware"), "0") << ended;
  EXPECT_EQ(Field(ended.out, "sys "), "1") << ended;
  EXPECT_EQ(Field(ended.out, "cgroup"), "0::/") << ended;
  EXPECT_EQ(Field(ended.out, "shm"), "65536") << ended;
  EXPECT_EQ(Field(ended.out, "mounts"), "7") << ended;
  EXPECT_EQ(Field(ended.out, "files"), "1024 524288") << ended;
  EXPECT_EQ(Field(ended.out, "mount "), "1") << ended;  // EPERM
  EXPECT_EQ(Field(ended.out, "unshare"), "1") << ended;
  EXPECT_EQ(Field(ended.out, "keyctl"), "1") << ended;
  EXPECT_EQ(Field(ended.out, "clone3"), "38") << ended;  // ENOSYS
  EXPECT_EQ(Field(ended.out, "unknown"), "38") << ended;
  EXPECT_EQ(Field(ended.out, "vsock"), "1") << ended;
}

TEST_F(RunTest, FlagsHaveDockersMeaning) {
  const Ended ended =
      HullRun({"-e", "A=1=2", "-e", "PASSED", "-e", "NOT_SET", "-w", "/made/here", "-u",
               "1234:5678", "--entrypoint", "/bin/sh", "sample/busybox", "-c",
               "echo a $A; echo passed $PASSED; echo notset ${NOT_SET-unset}; echo cwd $(pwd); "
               "echo id $(id -u):$(id -g); "
               "echo path $PATH; echo hostname ${#HOSTNAME}; grep CapEff /proc/self/status"},
              {.environment = {"PASSED=yes"}});
  ASSERT_EQ(ended.exit_code, 0) << ended;
  EXPECT_EQ(Field(ended.out, "a "), "1=2") << ended;
  EXPECT_EQ(Field(ended.out, "passed"), "yes");
  EXPECT_EQ(Field(ended.out, "notset"), "unset");
  EXPECT_EQ(Field(ended.out, "cwd"), "/made/here");
  EXPECT_EQ(Field(ended.out, "id"), "1234:5678");
  EXPECT_EQ(Field(ended.out, "hostname"), "12");
  EXPECT_EQ(Field(ended.out, "CapEff"), "0000000000000000") << "a user who is not root has none";
}

TEST_F(RunTest, TheRootIsWritableUnlessReadOnly) {
  constexpr const char* kScript = "touch /new && echo written; touch /dev/shm/x && echo shm";
  const Ended writable = HullRun({"sample/busybox", "sh", "-c", kScript});
  EXPECT_EQ(writable.out, "written\nshm\n") << writable;
  const Ended read_only = HullRun({"--read-only", "sample/busybox", "sh", "-c", kScript});
  EXPECT_EQ(read_only.out, "shm\n") << read_only;
  EXPECT_NE(read_only.err.find("Read-only file system"), std::string::npos) << read_only;
}

TEST_F(RunTest, StorageIsWhereItWasAskedFor) {
  const Ended memory = HullRun({"--storage", "tmpfs=64m", "sample/busybox", "df", "-P", "-k", "/"});
  EXPECT_NE(memory.out.find("65536"), std::string::npos) << memory;
  const Ended disk =
      HullRun({"--memory", "32m", "--storage", "disk=2g", "sample/busybox", "sh", "-c",
               "dd if=/dev/zero of=/big bs=1M count=120 2>/dev/null; ls -l /big; df -P -k /"});
  EXPECT_EQ(disk.exit_code, 0) << disk;
  EXPECT_NE(disk.out.find("125829120"), std::string::npos)
      << "more than the guest has memory: " << disk;
}

TEST_F(RunTest, MemoryLimitsAreThoseAskedFor) {
  const Ended ended =
      HullRun({"--memory", "100m", "--cpus", "0.5", "sample/busybox", "sh", "-c",
               "echo max $(cat /sys/fs/cgroup/memory.max); echo cpu $(cat /sys/fs/cgroup/cpu.max); "
               "echo total $(grep MemTotal /proc/meminfo | tr -s ' ' | cut -d' ' -f2)"});
  ASSERT_EQ(ended.exit_code, 0) << ended;
  EXPECT_EQ(Field(ended.out, "max"), std::to_string(100 << 20)) << ended;
  EXPECT_EQ(Field(ended.out, "cpu"), "50000 100000") << ended;
  EXPECT_GT(std::stol(Field(ended.out, "total")), 100L << 10)
      << "the guest has room besides: " << ended;
}

TEST_F(RunTest, OutOfMemoryIsReported) {
  const Ended ended =
      HullRun({"--memory", "32m", "sample/python", "python3", "-c",
               "x = [bytes(1 << 20) * 1 + b'x' for i in range(200)]; print(len(x))"});
  EXPECT_EQ(ended.exit_code, 137) << ended;
  EXPECT_NE(ended.err.find("ran out of memory"), std::string::npos) << ended;
}

TEST_F(RunTest, FourCpusAreFour) {
  const Ended ended = HullRun(
      {"--vcpus", "4", "sample/busybox", "sh", "-c", "nproc; grep -c ^processor /proc/cpuinfo"});
  EXPECT_EQ(ended.out, "4\n4\n") << ended;
}

TEST_F(RunTest, MemoryAcrossTheHole) {
  const Ended ended = HullRun({"--memory", "6g", "sample/busybox", "sh", "-c",
                               "grep MemTotal /proc/meminfo | tr -s ' ' | cut -d' ' -f2"});
  ASSERT_EQ(ended.exit_code, 0) << ended;
  EXPECT_GT(std::stol(ended.out), 6L << 20) << ended;
}

TEST_F(RunTest, MemoryThatTheGuestFreesGoesBackToTheHost) {
  // A file of 60 MB in memory, removed again. The guest gathers free blocks for two seconds.
  const Ended ended = Shell(R"(
id=$(hull run -d --memory 200m --shm-size 100m sample/busybox sh -c   'dd if=/dev/zero of=/dev/shm/file bs=1M count=60 2> /dev/null; echo full; sleep 1; rm /dev/shm/file; echo freed; sleep 600')
resident() { grep RssAnon "/proc/$(pgrep -x hull-vmm)/status" | tr -dc 0-9; }
most=0 least=
for i in $(seq 60); do
  now=$(resident); said=$(hull logs $id | tail -n 1)
  (( now > most )) && most=$now
  [[ $said == freed ]] && (( most - now > 50000 )) && { least=$now; break; }
  sleep 1
done
echo most $most; echo least $least
hull rm -f $id > /dev/null)");
  ASSERT_NE(Field(ended.out, "least"), "") << ended;
  EXPECT_GT(std::stol(Field(ended.out, "most")), 60'000) << ended;
}

TEST_F(RunTest, LayersOnADiskAreTheSame) {
  for (const char* transport : {"pmem", "block"}) {
    const Ended ended =
        HullRun({"--layers", transport, "sample/python", "python3", "-c", "print('ok')"});
    EXPECT_EQ(ended.out, "ok\n") << transport << ": " << ended;
  }
}

}  // namespace
}  // namespace hull::integration
