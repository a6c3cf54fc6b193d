// How a container ends, and what hull makes of it.
#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

class ExitTest : public HullTest {};

TEST_F(ExitTest, ExitCodesAreTheContainers) {
  // All 256 are tried without a virtual machine in runtime/cli/hull_run_test.cc.
  for (const int code : {1, 42, 125, 127, 128, 255}) {
    const Ended ended = HullRun({"sample/busybox", "sh", "-c", "exit " + std::to_string(code)});
    EXPECT_EQ(ended.exit_code, code) << ended;
    EXPECT_EQ(ended.err, "");
  }
}

TEST_F(ExitTest, SignalsAre128AndTheirNumber) {
  // A container's first process is safe from its own signals (PID 1), so a child is its parent's
  // measure.
  const Ended all =
      HullRun({"sample/python", "python3", "-c",
               "import os, signal, subprocess\n"
               "for n in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 31, 34, 64):\n"
               "    pid = os.fork()\n"
               "    if pid == 0:\n"
               "        signal.signal(n, signal.SIG_DFL) if n != 9 else None\n"
               "        os.kill(os.getpid(), n)\n"
               "        os._exit(0)\n"
               "    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == n, n\n"
               "print('all')\n"});
  EXPECT_EQ(all.out, "all\n") << all;
  const Ended segfault =
      HullRun({"sample/python", "python3", "-c", "import ctypes; ctypes.string_at(0)"});
  EXPECT_EQ(segfault.exit_code, 139) << segfault;
}

TEST_F(ExitTest, CommandsThatCannotRunAre126And127) {
  const Ended missing = HullRun({"sample/busybox", "no-such-command"});
  EXPECT_EQ(missing.exit_code, 127) << missing;
  EXPECT_NE(missing.err.find("no-such-command"), std::string::npos) << missing;
  const Ended missing_path = HullRun({"sample/busybox", "/no/such/file"});
  EXPECT_EQ(missing_path.exit_code, 127) << missing_path;
  const Ended directory = HullRun({"sample/busybox", "/etc"});
  EXPECT_EQ(directory.exit_code, 126) << directory;
  const Ended no_program = HullRun({"sample/busybox", "/etc/passwd"});
  EXPECT_EQ(no_program.exit_code, 126) << no_program;
}

TEST_F(ExitTest, HullsOwnFailuresAre125) {
  const Ended user = HullRun({"-u", "nobody-of-that-name", "sample/busybox", "true"});
  EXPECT_EQ(user.exit_code, 125) << user;
  EXPECT_NE(user.err.find("nobody-of-that-name"), std::string::npos) << user;
  EXPECT_EQ(HullRun({"--memory", "1m", "sample/busybox", "true"}).exit_code, 125);
  EXPECT_EQ(HullRun({"-w", "relative", "sample/busybox", "true"}).exit_code, 125);
  EXPECT_EQ(HullRun({"--nope", "sample/busybox", "true"}).exit_code, 125);
  const Ended image = HullRun({"--pull", "never", "no/such:image", "true"});
  EXPECT_EQ(image.exit_code, 125) << image;
}

TEST_F(ExitTest, SignalsToHullReachTheContainer) {
  const Ended ended = Shell(R"(
hull run --rm sample/busybox sh -c 'trap "echo got TERM; exit 7" TERM; echo ready; while :; do sleep 0.1; done' > /tmp/out &
for i in $(seq 600); do grep -q ready /tmp/out && break; sleep 0.1; done
kill -TERM $!
wait $!
echo code $?
cat /tmp/out
)");
  EXPECT_NE(ended.out.find("code 7"), std::string::npos) << ended;
  EXPECT_NE(ended.out.find("got TERM"), std::string::npos) << ended;
}

TEST_F(ExitTest, ThreeInterruptsEndAContainerThatIgnoresThem) {
  const Ended ended = Shell(R"(
hull run --rm sample/busybox sh -c 'trap "" INT; echo ready; while :; do sleep 1; done' > /tmp/out 2> /tmp/err &
for i in $(seq 600); do grep -q ready /tmp/out && break; sleep 0.1; done
kill -INT $!; sleep 0.3; kill -INT $!; sleep 0.3; kill -INT $!
wait $!
echo code $?
)");
  EXPECT_NE(ended.out.find("code 130"), std::string::npos) << ended;
}

TEST_F(ExitTest, AnInterruptWhileTheGuestBootsEndsHull) {
  const Ended ended = Shell(R"(
hull run --rm sample/busybox sleep 1000 &
for i in $(seq 100); do ls /run/hull/*/vm.json >/dev/null 2>&1 && break; sleep 0.05; done
kill -INT $!
wait $!
echo code $?
)");
  EXPECT_NE(ended.out.find("code 130"), std::string::npos) << ended;
}

TEST_F(ExitTest, AKilledSupervisorLeavesNoMachineAndTheNextCommandCleans) {
  const Ended ended = Shell(R"(
hull run --rm --name victim sample/busybox sh -c 'echo ready; sleep 1000' > /tmp/out &
for i in $(seq 600); do grep -q ready /tmp/out && break; sleep 0.1; done
kill -KILL $(jq .supervisor.pid /run/hull/*/state.json)
wait $!
echo code $?
for i in $(seq 100); do pgrep -x hull-vmm >/dev/null || break; sleep 0.05; done
echo machines $(pgrep -cx hull-vmm)
hull run --rm --name victim sample/busybox echo again
)");
  EXPECT_NE(ended.out.find("code 137"), std::string::npos) << ended;
  EXPECT_NE(ended.out.find("machines 0"), std::string::npos) << ended;
  EXPECT_NE(ended.out.find("again"), std::string::npos) << ended;
}

TEST_F(ExitTest, AKeptContainerIsRemovedByRm) {
  const Ended run =
      RunProgram({"hull", "run", "--name", "kept", "sample/busybox", "sh", "-c", "exit 3"});
  EXPECT_EQ(run.exit_code, 3) << run;
  const Ended again = RunProgram({"hull", "run", "--name", "kept", "sample/busybox", "true"});
  EXPECT_EQ(again.exit_code, 125) << again;
  EXPECT_NE(again.err.find("already in use"), std::string::npos) << again;
  const Ended state = Shell("cat /var/lib/hull/containers/*/container.json");
  EXPECT_NE(state.out.find("\"exit_code\":3"), std::string::npos) << state;
  EXPECT_EQ(RunProgram({"hull", "rm", "kept"}).out, "kept\n");
}

}  // namespace
}  // namespace hull::integration
