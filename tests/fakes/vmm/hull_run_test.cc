// All of `hull run`, but the virtual machine is fake-hull-vmm: exit codes, streams, and a machine
// that fails at every step. No KVM, no root.
#include <algorithm>
#include <string>

#include "tests/fakes/vmm/hull_on_fake.h"

namespace hull {
namespace {

class HullRunTest : public HullOnFake {};

TEST_F(HullRunTest, OutputComesBackApart) {
  const Ended ended = Run("test sh -c 'echo out; echo err >&2'");
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_EQ(ended.out, "out\n");
  EXPECT_EQ(ended.err, "err\n");
}
TEST_F(HullRunTest, TheImagesCommandIsRun) {
  EXPECT_EQ(Run("test").out, "from the image\n");
}
TEST_F(HullRunTest, ExitCodesComeBackExactly) {
  const Ended ended = Shell(
      "for i in $(seq 0 8) $(seq 120 139) $(seq 249 255); do "
      "$HULL run --rm --storage tmpfs test sh -c \"exit $i\"; [ $? = $i ] || echo wrong $i; done");
  EXPECT_EQ(ended.out, "");
  EXPECT_EQ(ended.err, "");
}
TEST_F(HullRunTest, EverySignalIs128AndItsNumber) {
  const Ended ended = Shell(
      "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 24 25 26 27 29 30 31 34 64; do\n"
      "$HULL run --rm --storage tmpfs test sh -c \"kill -$i \\$\\$\"; [ $? = $((128 + i)) ] || "
      "echo wrong $i; done");
  EXPECT_EQ(ended.out, "");
}
TEST_F(HullRunTest, AHundredMegabytesGoThroughAndBack) {
  const Ended ended = Shell(
      "head -c 100000000 /dev/urandom > in; $HULL run --rm --storage tmpfs -i test cat < in > back "
      "&& cmp in back && "
      "cat in | $HULL run --rm --storage tmpfs -i test cat | cmp - in && echo same");
  EXPECT_EQ(ended.out, "same\n") << ended.err;
}
TEST_F(HullRunTest, ASlowReaderLosesNothing) {
  const Ended ended = Shell(
      "$HULL run --rm --storage tmpfs test seq 1 300000 | (sleep 1; md5sum); seq 1 300000 | "
      "md5sum");
  EXPECT_EQ(ended.out.substr(0, 32), ended.out.substr(36, 32)) << ended.out;
}
TEST_F(HullRunTest, AClosedReaderEndsTheWriter) {
  const Ended ended =
      Shell("$HULL run --rm --storage tmpfs test yes | head -n 1; echo ${PIPESTATUS[0]}");
  EXPECT_EQ(ended.out, "y\n141\n") << ended.err;
}
TEST_F(HullRunTest, AFullDiskIsSaid) {
  const Ended ended = Shell("$HULL run --rm --storage tmpfs test echo hi > /dev/full");
  EXPECT_EQ(ended.exit_code, 125);
  EXPECT_NE(ended.err.find("No space left"), std::string::npos) << ended.err;
}
TEST_F(HullRunTest, NonBlockingStreamsOfTheUserAreNoTrouble) {
  const Ended ended = Shell(
      "python3 -c 'import os, fcntl; [fcntl.fcntl(f, fcntl.F_SETFL, fcntl.fcntl(f, fcntl.F_GETFL) "
      "| os.O_NONBLOCK) for f in (0, 1)]; "
      "os.execv(os.environ[\"HULL\"], [\"hull\", \"run\", \"--rm\", \"--storage\", \"tmpfs\", "
      "\"-i\", \"test\", \"cat\"])' "
      "< <(sleep 0.3; seq 1 100000) | (sleep 0.5; md5sum); seq 1 100000 | md5sum");
  EXPECT_EQ(ended.out.substr(0, 32), ended.out.substr(36, 32)) << ended.out << ended.err;
}
TEST_F(HullRunTest, SignalsArePassedOn) {
  const Ended ended = Shell(
      "$HULL run --rm --storage tmpfs test sh -c 'trap \"echo got; exit 5\" USR1; echo ready; "
      "while :; do sleep 0.1; done' > o &\n"
      "for i in $(seq 100); do grep -q ready o && break; sleep 0.1; done; kill -USR1 $!; wait $!; "
      "echo $?; cat o");
  EXPECT_EQ(ended.out, "5\nready\ngot\n") << ended.err;
}
TEST_F(HullRunTest, AKilledHullLeavesTheContainerRunning) {
  const Ended ended = Shell(
      "$HULL run --rm --storage tmpfs --name n1 test sh -c 'echo ready; exec sleep 600' > o &\n"
      "for i in $(seq 100); do grep -q ready o && break; sleep 0.1; done; kill -KILL $!; wait $!\n"
      "ls run | grep -vc events; grep -c '\"status\":\"running\"' "
      "store/containers/*/container.json;"
      "$HULL rm -f n1; ls run | grep -vc events");
  EXPECT_EQ(ended.out, "1\n1\nn1\n0\n") << ended.err;
}
TEST_F(HullRunTest, AKilledSupervisorIsClearedAwayByTheNext) {
  const Ended ended = Shell(
      "$HULL run --rm --storage tmpfs --name n1 test sh -c 'echo ready; exec sleep 600' > o & "
      "first=$!\n"
      "for i in $(seq 100); do grep -q ready o && break; sleep 0.1; done\n"
      "slay $(jq .supervisor.pid run/*/state.json); wait $first; echo $?\n"
      "$HULL run --rm --storage tmpfs --name n1 test echo next; ls run | grep -vc events");
  EXPECT_EQ(ended.out, "137\nnext\n0\n") << ended.err;
}

struct Fault {
  const char* name;
  int exit_code;
  const char* says;
};
class HullRunFaultTest : public HullRunTest, public testing::WithParamInterface<Fault> {};

TEST_P(HullRunFaultTest, GivesItsOwnErrorAndLeavesNothing) {
  const Ended ended = Run("test sleep 20", GetParam().name);
  EXPECT_EQ(ended.exit_code, GetParam().exit_code) << ended.err;
  EXPECT_NE(ended.err.find(GetParam().says), std::string::npos) << ended.err;
  EXPECT_EQ(ended.err.find('\x1b'), std::string::npos)
      << "a guest's control characters reach the terminal";
  EXPECT_EQ(ended.err.substr(0, 6), "hull: ") << ended.err;
}
INSTANTIATE_TEST_SUITE_P(
    Faults, HullRunFaultTest,
    testing::Values(Fault{"start", 125, "could not start: no machine: cannot open /dev/kvm"},
                    Fault{"die", 125, "fake: about to die"}, Fault{"garbage", 125, "hull: "},
                    Fault{"panic-boot", 125, "last words"},
                    Fault{"panic-create", 125, "kernel panicked"},
                    Fault{"panic-run", 125, "while the container ran: the guest's kernel panicked"},
                    Fault{"no-streams", 125, "no streams today"},
                    Fault{"missing-command", 127, "executable file not found"},
                    Fault{"kill-self", 125, "SIGKILL"}),
    [](const testing::TestParamInfo<Fault>& fault) {
      std::string name(fault.param.name);
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST_F(HullRunTest, AGuestThatNeverDialsEndsAtTheInterrupt) {
  const Ended ended =
      Shell("$HULL run --rm --storage tmpfs test true & sleep 0.5; kill -INT $!; wait $!; echo $?",
            "silent");
  EXPECT_EQ(ended.out, "130\n") << ended.err;
}
TEST_F(HullRunTest, AKeptContainerLeavesItsRecord) {
  const Ended ended = Shell(
      "$HULL run --storage tmpfs --name kept test sh -c 'exit 3'; echo $?; "
      "grep -o '\"exit_code\":3' store/containers/*/container.json; $HULL rm kept; $HULL rm kept; "
      "echo $?");
  EXPECT_EQ(ended.out, "3\n\"exit_code\":3\nkept\n1\n") << ended.err;
}

}  // namespace
}  // namespace hull
