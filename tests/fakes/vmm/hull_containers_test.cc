// The life of containers through hull's commands, on fake-hull-vmm: words, exit codes, several at
// once, two commands on one container at once, and machines that answer nothing.
#include <sstream>
#include <string>

#include "tests/fakes/vmm/hull_on_fake.h"

namespace hull {
namespace {

class HullContainersTest : public HullOnFake {};

TEST_F(HullContainersTest, CreatedStartedWaitedRemoved) {
  const Ended ended = Shell(
      "id=$($HULL create --storage tmpfs --name c1 test sh -c 'echo out; echo err >&2; exit 4')\n"
      "echo ${#id}; $HULL start c1; $HULL wait $id; $HULL logs c1 2>/dev/null; $HULL start -a c1\n"
      "echo $?; $HULL rm c1; $HULL rm c1; echo $?");
  EXPECT_EQ(ended.out, "64\nc1\n4\nout\nout\n4\nc1\n1\n") << ended.err;
  EXPECT_EQ(ended.err, "err\nhull: No such container: c1\n");
}

TEST_F(HullContainersTest, DetachedPrintsItsIdAndGoesOn) {
  const Ended ended = Shell(
      "id=$($HULL run -d --storage tmpfs test sleep 60); $HULL ps -q --no-trunc | grep -c $id\n"
      "$HULL stop -t 5 $id > /dev/null; $HULL wait $id; $HULL rm $id > /dev/null");
  EXPECT_EQ(ended.out, "1\n143\n") << ended.err;
}

TEST_F(HullContainersTest, SeveralAtOnceGoOnAfterAFailure) {
  const Ended ended = Shell(
      "for n in a1 a2; do $HULL run -d --storage tmpfs --name $n test sleep 60 > /dev/null; done\n"
      "$HULL kill a1 nosuch a2; echo $?; $HULL rm a1 a2");
  EXPECT_EQ(ended.out, "a1\na2\n1\na1\na2\n") << ended.err;
  EXPECT_EQ(ended.err, "hull: No such container: nosuch\n");
}

TEST_F(HullContainersTest, PausedResumedStopped) {
  const Ended ended = Shell(
      "$HULL run -d --storage tmpfs --name p1 test sleep 60 > /dev/null\n"
      "$HULL pause p1; $HULL ps --format '{{.State}}'; $HULL pause p1; echo $?\n"
      "$HULL unpause p1; $HULL pause p1; $HULL stop -t 5 p1; $HULL wait p1; $HULL rm p1");
  EXPECT_EQ(ended.out, "p1\npaused\n1\np1\np1\np1\n143\np1\n") << ended.err;
  EXPECT_NE(ended.err.find("is already paused"), std::string::npos) << ended.err;
}

TEST_F(HullContainersTest, ARunningContainerIsRemovedOnlyByForce) {
  const Ended ended = Shell(
      "$HULL run -d --storage tmpfs --name r1 test sleep 60 > /dev/null; $HULL rm r1; echo $?\n"
      "$HULL rm -f r1; $HULL rm -f r1; echo $?");
  EXPECT_EQ(ended.out, "1\nr1\n0\n") << ended.err;
  EXPECT_NE(ended.err.find("cannot remove container \"/r1\": container is running"),
            std::string::npos);
}

TEST_F(HullContainersTest, ADeafGuestIsEndedAllTheSame) {
  const Ended ended = Shell(
      "$HULL run -d --storage tmpfs --name d1 test sleep 600 > /dev/null; $HULL rm -f d1", "deaf");
  EXPECT_EQ(ended.out, "d1\n") << ended.err;
}

TEST_F(HullContainersTest, ADeafGuestDoesNotHoldUpWhoeverKillsIt) {
  const Ended ended = Shell(
      "now() { date +%s%N; }\n"
      "try() { begin=$(now); \"$@\"; echo $? $(( ($(now) - begin) / 1000000 )) >> times; }\n"
      "for c in d1 d2 d3; do $HULL run -d --storage tmpfs --name $c test sleep 600 > /dev/null; "
      "done\n"
      "try $HULL kill d1; $HULL wait d1; try $HULL rm -f d2; try $HULL stop -t 1 d3; $HULL wait "
      "d3\n"
      "$HULL rm d1 d3",
      "deaf");
  EXPECT_EQ(ended.out, "d1\n137\nd2\nd3\n137\nd1\nd3\n") << ended.err;
  std::istringstream times(Slurp(directory_ / "times"));
  // The limits and what a busy host adds to them: 3 s, 1 s, 1 s and 3 s.
  for (const int limit_ms : {6000, 4000, 8000}) {
    int exit_code = -1;
    int took_ms = 0;
    ASSERT_TRUE(times >> exit_code >> took_ms);
    EXPECT_EQ(exit_code, 0);
    EXPECT_LT(took_ms, limit_ms);
  }
}

TEST_F(HullContainersTest, AStubbornContainerIsKilledWhenTimeIsUp) {
  const Ended ended = Shell(
      "$HULL run -d --storage tmpfs --name s1 test sleep 600 > /dev/null; $HULL stop -t 1 s1\n"
      "$HULL wait s1; $HULL rm s1",
      "stubborn");
  EXPECT_EQ(ended.out, "s1\n137\ns1\n") << ended.err;
}

TEST_F(HullContainersTest, SeveralTakeTheirTimeToStopTogether) {
  const Ended ended = Shell(
      "for n in s1 s2 s3 s4 s5 s6; do\n"
      "$HULL run -d --storage tmpfs --name $n test sleep 600 > /dev/null; done; begin=$SECONDS\n"
      "$HULL stop -t 4 s1 s2 nosuch s3 s4 s5 s6; echo $? $((SECONDS - begin < 16))\n"
      "$HULL rm s1 s2 s3 s4 s5 s6 > /dev/null",
      "stubborn");
  EXPECT_EQ(ended.out, "s1\ns2\ns3\ns4\ns5\ns6\n1 1\n") << ended.err;
  EXPECT_EQ(ended.err, "hull: No such container: nosuch\n");
}

TEST_F(HullContainersTest, OneThatGoesWhenItStopsIsNotRestarted) {
  const Ended ended = Shell(
      "$HULL run -d --rm --storage tmpfs --name g1 test sleep 60 > /dev/null\n"
      "$HULL restart g1; echo $?; $HULL ps --format '{{.Names}}'; $HULL rm -f g1");
  EXPECT_EQ(ended.out, "1\ng1\ng1\n") << ended.err;
  EXPECT_NE(ended.err.find("was made with --rm"), std::string::npos) << ended.err;
}

TEST_F(HullContainersTest, OneWithADamagedRecordIsRemovedByForce) {
  const Ended ended = Shell(
      "id=$($HULL create --storage tmpfs --name d1 test true)\n"
      "echo '{' > store/containers/$id/container.json\n"
      "$HULL rm $id; echo $?; $HULL rm -f $id | wc -l; $HULL prune -f > /dev/null; ls store/names");
  EXPECT_EQ(ended.out, "1\n1\n") << ended.err;
  EXPECT_NE(ended.err.find("hull rm -f removes it"), std::string::npos) << ended.err;
}

TEST_F(HullContainersTest, AnEmptyRecordIsNone) {
  const Ended ended = Shell(
      "id=$($HULL create --rm --storage tmpfs --name e1 test true)\n"
      ": > store/containers/$id/container.json; $HULL ps -aq; ls store/containers\n"
      "$HULL create --storage tmpfs --name e1 test true > /dev/null; $HULL rm e1");
  EXPECT_EQ(ended.out, "e1\n");
  EXPECT_EQ(ended.err, "");
}

TEST_F(HullContainersTest, ANameAloneTakesItsVariableFromAnExec) {
  const Ended ended = Shell(
      "unset A; $HULL run -d --storage tmpfs -e A=1 -e B=2 --name x1 test sleep 60 > /dev/null\n"
      "$HULL exec -e A -e C=3 x1 sh -c 'echo ${A-none} $B $C'; $HULL exec -e A x1 sh -c 'echo "
      "${A-none} $B'\n"
      "A=4 $HULL exec -e A x1 sh -c 'echo $A'; $HULL rm -f x1 > /dev/null");
  EXPECT_EQ(ended.out, "none 2 3\nnone 2\n4\n") << ended.err;
}

TEST_F(HullContainersTest, AnImageOfAnotherPlatformIsNotTaken) {
  const Ended ended = Shell(
      "$HULL create --storage tmpfs --name p1 --platform linux/amd64 test true > /dev/null\n"
      "$HULL create --pull never --storage tmpfs --platform linux/arm64 test true; echo $?\n"
      "$HULL create --pull never --storage tmpfs --platform bogus test true; echo $?; $HULL rm p1");
  EXPECT_EQ(ended.out, "1\n1\np1\n") << ended.err;
  EXPECT_NE(ended.err.find("image with reference test:latest was found but does not provide the "
                           "specified platform (linux/arm64)"),
            std::string::npos)
      << ended.err;
}

TEST_F(HullContainersTest, AMissingOneIsToldAndRemovedByForceAllTheSame) {
  const Ended ended = Shell("$HULL rm -f nosuch; echo $?");
  EXPECT_EQ(ended.out, "0\n");
  EXPECT_EQ(ended.err, "hull: No such container: nosuch\n");
}

TEST_F(HullContainersTest, DockersCommandsThatAreMissingSayWhatToDo) {
  const Ended ended = Shell(
      "$HULL stats; echo $?; $HULL image push x; echo $?; $HULL container export x; $HULL pss");
  EXPECT_EQ(ended.out, "1\n1\n");
  EXPECT_NE(ended.err.find("there is no hull stats: hull top"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("there is no hull image push: hull save"), std::string::npos);
  EXPECT_NE(ended.err.find("there is no hull container export: hull cp"), std::string::npos);
  EXPECT_NE(ended.err.find("Did you mean 'hull ps'?"), std::string::npos);
}

TEST_F(HullContainersTest, AMachineThatDiedIsRecordedWithItsLastWords) {
  const Ended ended = Shell(
      "$HULL run -d --storage tmpfs --name m1 test sleep 60 > /dev/null; $HULL wait m1\n"
      "jq -r .state.error store/containers/*/container.json; cat store/containers/*/console.log\n"
      "$HULL rm m1",
      "panic-run");
  EXPECT_EQ(ended.out.substr(0, 4), "125\n") << ended.err;
  EXPECT_NE(ended.out.find("while the container ran: the guest's kernel panicked"),
            std::string::npos);
  EXPECT_NE(ended.out.find("last words"), std::string::npos);
}

TEST_F(HullContainersTest, ACommandThatIsNotThereLeavesACreatedContainer) {
  const Ended ended = Shell(
      "$HULL run --storage tmpfs --name n1 test x; echo $?; $HULL ps -a --format '{{.State}}'\n"
      "$HULL rm n1",
      "missing-command");
  EXPECT_EQ(ended.out, "127\ncreated\nn1\n") << ended.err;
}

TEST_F(HullContainersTest, ANewNameIsItsName) {
  const Ended ended = Shell(
      "$HULL create --storage tmpfs --name /o1 test true > /dev/null; $HULL rename /o1 /o2\n"
      "$HULL create --storage tmpfs --name o2 test true; echo $?; $HULL rm o1; $HULL rm o2");
  EXPECT_EQ(ended.out, "1\no2\n") << ended.err;
  EXPECT_NE(ended.err.find("\"/o2\" is already in use"), std::string::npos) << ended.err;
}

TEST_F(HullContainersTest, AttachSeesWhatComesAndLeavesTheContainerAlone) {
  const Ended ended = Shell(
      "$HULL run -di --storage tmpfs --name t1 test sh -c 'while read l; do echo got $l; done; "
      "exit 9' > /dev/null\n"
      "(echo one; sleep 0.3) | timeout -s KILL 1 $HULL attach t1; $HULL ps -q | wc -l\n"
      "(sleep 0.2; $HULL kill t1 > /dev/null) & $HULL attach --no-stdin t1; echo $?; wait\n"
      "$HULL logs t1; $HULL rm t1");
  EXPECT_EQ(ended.out, "got one\n1\n137\ngot one\nt1\n") << ended.err;
}

TEST_F(HullContainersTest, DetachKeysLeaveATerminal) {
  const Ended ended = Shell(
      "printf '#!/bin/bash\\nexec $HULL run -it --storage tmpfs --name k1 --detach-keys ctrl-a,d "
      "test cat\\n' > s; chmod +x s\n"
      "(sleep 0.7; printf 'hi\\r'; sleep 0.3; printf '\\001d'; sleep 0.5) | "
      "script -qec ./s /dev/null | tr -d '\\r' | grep -o 'read escape sequence'\n"
      "$HULL ps --format '{{.Names}}'; $HULL logs k1 | grep -c hi; $HULL rm -f k1");
  EXPECT_EQ(ended.out, "read escape sequence\nk1\n2\nk1\n") << ended.err;
}

TEST_F(HullContainersTest, ATerminalThatHasASizeShowsWhatComes) {
  const Ended ended = Shell(
      "printf '#!/bin/bash\nstty rows 30 cols 100\nexec $HULL run --rm -it --storage tmpfs test "
      "echo shown\n' > s; chmod +x s\n"
      "sleep 2 | script -qec ./s /dev/null | tr -d '\r'");
  EXPECT_EQ(ended.out, "shown\n") << ended.err;
}

TEST_F(HullContainersTest, TheExitCodeIsThereForEveryWaiter) {
  const Ended ended = Shell(
      "$HULL run -d --rm --storage tmpfs --name w1 test sh -c 'sleep 0.5; exit 6' > /dev/null\n"
      "for i in 1 2 3; do $HULL wait w1 & done; wait");
  EXPECT_EQ(ended.out, "6\n6\n6\n") << ended.err;
}

TEST_F(HullContainersTest, TwoCommandsOnOneContainerAtOnce) {
  const Ended ended = Shell(
      "for i in 1 2 3 4 5; do\n"
      "$HULL create --storage tmpfs --name b1 test sleep 60 > /dev/null\n"
      "$HULL start b1 > o1 & $HULL start b1 > o2 & wait; cat o1 o2; $HULL ps -q | wc -l\n"
      "$HULL stop b1 > o1 & $HULL stop b1 > o2 & wait; cat o1 o2; $HULL ps -q | wc -l\n"
      "($HULL start b1 & $HULL rm -f b1 & wait) > /dev/null 2>&1; $HULL rm -f b1 > /dev/null\n"
      "$HULL create --storage tmpfs --name b1 test true > /dev/null\n"
      "($HULL rename b1 b2 & $HULL rm b1 & wait) > /dev/null 2>&1\n"
      "$HULL rm -f b1 b2 > /dev/null; done");
  std::string expected;
  for (int i = 0; i < 5; ++i) expected += "b1\nb1\n1\nb1\nb1\n0\n";
  EXPECT_EQ(ended.out, expected) << ended.err;
}

TEST_F(HullContainersTest, TwentyAtOnce) {
  const Ended ended = Shell(
      "for i in $(seq 20); do $HULL run -d --storage tmpfs --name n$i test sleep 60 > /dev/null & "
      "done; wait; $HULL ps -q | wc -l\n"
      "for i in $(seq 20); do $HULL rm -f n$i > /dev/null & done; wait; $HULL ps -aq | wc -l");
  EXPECT_EQ(ended.out, "20\n0\n") << ended.err;
}

TEST_F(HullContainersTest, ARebootIsUnderstood) {
  const Ended ended = Shell(
      "$HULL run -d --storage tmpfs --name k1 test sleep 600 > /dev/null\n"
      "$HULL run -d --rm --storage tmpfs --name k2 test sleep 600 > /dev/null\n"
      "slay $(jq .supervisor.pid run/*/state.json) $(jq .vmm.pid run/*/state.json)\n"
      "$HULL ps -a --format '{{.Names}} {{.State}}'; $HULL wait k1\n"
      "$HULL start k1; $HULL ps --format '{{.Names}}'; slay $(jq .supervisor.pid "
      "run/*/state.json) $(jq .vmm.pid run/*/state.json); rm -rf run\n"
      "$HULL ps -a --format '{{.Names}} {{.State}}'; $HULL rm k1");
  EXPECT_EQ(ended.out, "k1 exited\n137\nk1\nk1\nk1 exited\nk1\n") << ended.err;
}

TEST_F(HullContainersTest, TheCidfileIsWrittenOnce) {
  const Ended ended = Shell(
      "$HULL run -d --rm --storage tmpfs --cidfile cid test true > o; cmp <(tr -d '\\n' < o) cid "
      "&& "
      "echo same\n$HULL create --storage tmpfs --cidfile cid test true; echo $?\n"
      "while ls run | grep -qv events; do sleep 0.05; done");
  EXPECT_EQ(ended.out, "same\n1\n") << ended.err;
  EXPECT_NE(ended.err.find("ID file found"), std::string::npos) << ended.err;
}

TEST_F(HullContainersTest, PruneRemovesWhatHasStopped) {
  const Ended ended = Shell(
      "$HULL create --storage tmpfs --label keep=1 --name q1 test true > /dev/null\n"
      "$HULL create --storage tmpfs --name q2 test true > /dev/null\n"
      "$HULL run -d --storage tmpfs --name q3 test sleep 60 > /dev/null\n"
      "echo n | $HULL container prune > /dev/null; $HULL ps -aq | wc -l\n"
      "$HULL container prune -f --filter label!=keep | grep -c Deleted\n"
      "$HULL ps -a --format '{{.Names}}' | sort; $HULL prune -f > /dev/null\n"
      "$HULL ps -a --format '{{.Names}}'; $HULL rm -f q3");
  EXPECT_EQ(ended.out, "3\n1\nq1\nq3\nq3\nq3\n") << ended.err;
}

}  // namespace
}  // namespace hull
