// hull ps, inspect, logs and events, of real sandboxes.
#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

class ShowTest : public HullTest {
 protected:
  void TearDown() override {
    Shell("left=$(hull ps -aq); [ -z \"$left\" ] || hull rm -f $left");
    HullTest::TearDown();
  }
};

TEST_F(ShowTest, ARunningSandboxAndItsEnd) {
  const Ended ended = Shell(R"sh(
hull run -d --name shown --label tier=front -m 128m sample/busybox sh -c \
  'echo one; echo oops >&2; while [ ! -e /stop ]; do sleep 0.1; done; echo last; exit 3' > id
hull ps --format '{{.Names}} {{.State}} {{.Image}} {{.Label "tier"}}'
hull ps -q --no-trunc | cmp - id && echo same id
hull inspect -f '{{.State.Running}} {{.HostConfig.Memory}}' shown
readlink /proc/$(hull inspect -f '{{.State.Pid}}' shown)/exe | grep -c hull-vmm
hull logs -f shown > followed 2> errors &
hull exec shown touch /stop
wait $!; cat followed errors
hull inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}' shown
hull logs --tail 1 shown 2> /dev/null
hull ps -a --format '{{.Status}}' | cut -d' ' -f1,2
hull events --since 10m --until 0s --filter container=shown --filter event=die --format '{{.Actor.Attributes.exitCode}}'
hull rm shown; hull ps -aq | wc -l)sh");
  EXPECT_EQ(ended.out, R"(shown running sample/busybox front
same id
true 134217728
1
one
last
oops
exited 3 0
last
Exited (3)
3
shown
0
)") << ended;
  EXPECT_EQ(ended.err, "") << ended;
}

TEST_F(ShowTest, ADeadSandboxIsToldOf) {
  const Ended ended = Shell(R"sh(
hull run -d --name dies sample/busybox sleep 1000 > /dev/null
kill -9 $(hull inspect -f '{{.Hull.SupervisorPid}}' dies)
for i in $(seq 100); do [ "$(hull ps -q)" ] || break; sleep 0.1; done
hull ps -q | wc -l
hull inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.Running}}' dies)sh");
  EXPECT_EQ(ended.out, "0\nexited 137 false\n") << ended;
}

}  // namespace
}  // namespace hull::integration
