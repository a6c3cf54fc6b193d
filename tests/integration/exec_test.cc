// hull exec and hull top, as a user drives them.
#include <algorithm>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

class ExecTest : public HullTest {
 protected:
  // A container that sleeps, gone at the end.
  void Start(const std::string& options = "") {
    const Ended ended =
        Shell("hull run -d --name exec-test " + options + " sample/busybox sleep 1000");
    ASSERT_EQ(ended.exit_code, 0) << ended;
  }
  void TearDown() override {
    Shell("hull rm -f exec-test");
    HullTest::TearDown();
  }
  static Ended Exec(const std::string& words) { return Shell("hull exec " + words); }
};

TEST_F(ExecTest, OutputInputAndExitCodes) {
  Start();
  const Ended ended = Exec("exec-test sh -c 'echo out; echo err >&2; exit 42'");
  EXPECT_EQ(ended.exit_code, 42) << ended;
  EXPECT_EQ(ended.out, "out\n");
  EXPECT_EQ(ended.err, "err\n");
  EXPECT_EQ(Shell("seq 100000 | hull exec -i exec-test md5sum | cut -c1-32").out,
            Shell("seq 100000 | md5sum | cut -c1-32").out);
  EXPECT_EQ(Exec("exec-test sh -c 'kill -9 $$'").exit_code, 137);
  EXPECT_EQ(Exec("exec-test nope").exit_code, 127);
  EXPECT_NE(Exec("exec-test nope").err.find("executable file not found in $PATH"),
            std::string::npos);
  EXPECT_EQ(Exec("exec-test /etc/passwd").exit_code, 126);
  EXPECT_EQ(Exec("no-such true").exit_code, 1);
  EXPECT_EQ(Exec("--no-such exec-test true").exit_code, 125);
  // A reader that has enough is the end of a pipeline.
  EXPECT_EQ(Shell("hull exec exec-test yes | head -n 1").out, "y\n");
}

TEST_F(ExecTest, MissingInterpreterIsACommandNotFound) {
  Start();
  const Ended ended = Exec(
      "exec-test sh -c \"printf '#!/no/such\\n' > /tmp/s; chmod 755 /tmp/s\"; hull exec exec-test "
      "/tmp/s");
  EXPECT_EQ(ended.exit_code, 127) << ended;
  EXPECT_NE(ended.err.find("exec /tmp/s: no such file or directory"), std::string::npos) << ended;
}

TEST_F(ExecTest, EnvironmentUserDirectoryPrivileges) {
  Start("-e OWN=1 -e BOTH=1");
  EXPECT_EQ(Exec("-e BOTH=2 -e NEW=3 -u nobody -w /tmp exec-test sh -c "
                 "'echo $OWN $BOTH $NEW; id -u; pwd'")
                .out,
            "1 2 3\n65534\n/tmp\n");
  const std::string capabilities = "exec-test grep CapEff /proc/self/status";
  EXPECT_EQ(Field(Exec(capabilities).out, "CapEff:"), "00000000a80425fb");
  EXPECT_NE(Field(Exec("--privileged " + capabilities).out, "CapEff:"), "00000000a80425fb");
}

TEST_F(ExecTest, DetachedOnesGoOnAlone) {
  Start();
  EXPECT_EQ(Exec("-d exec-test sh -c 'sleep 1; touch /tmp/done; sleep 1000'").out, "");
  EXPECT_EQ(Exec("exec-test sh -c 'while ! test -e /tmp/done; do sleep 0.1; done; echo seen'").out,
            "seen\n");
  // Killing hull leaves the process alone.
  EXPECT_EQ(Shell("hull exec exec-test sleep 777 & sleep 2; kill -9 $!; wait; "
                  "hull top exec-test -o pid,args | grep -c 'sleep 777'")
                .out,
            "1\n");
}

TEST_F(ExecTest, OnlyRunningContainersTakeThem) {
  Start();
  Shell("hull pause exec-test");
  Ended ended = Exec("exec-test true");
  EXPECT_EQ(ended.exit_code, 1) << ended;
  EXPECT_NE(ended.err.find("is paused, unpause the container before exec"), std::string::npos);
  Shell("hull unpause exec-test; hull stop -t 0 exec-test");
  ended = Exec("exec-test true");
  EXPECT_EQ(ended.exit_code, 1) << ended;
  EXPECT_NE(ended.err.find("is not running"), std::string::npos) << ended;
}

TEST_F(ExecTest, TerminalsDetachAndResize) {
  Start();
  const Ended ended = Shell(R"(
export TMUX_TMPDIR=$(mktemp -d)
tmux -f /dev/null new-session -d -s t -x 100 -y 30 'PS1="host> " bash --norc'
keys() { tmux send-keys -t t "$@"; }
screen() { tmux capture-pane -p -t t; }
wait_for() { for i in $(seq 300); do screen | grep -qE -- "$1" && return; sleep 0.1; done; echo "never saw: $1"; screen; }
wait_for '^host>'
keys 'hull exec -it -e PS1="box> " exec-test sh' Enter
wait_for '^box>'
keys 'tty; stty size' Enter
wait_for '^30 100' && echo right-size
tmux resize-window -t t -x 80 -y 24; sleep 1
keys 'stty size' Enter
wait_for '^24 80' && echo resized
keys C-p C-q
wait_for 'read escape sequence' && echo detached
keys 'hull exec -it exec-test sh -c "exit 5"; echo code $?' Enter
wait_for 'code 5' && echo exit-code
tmux kill-server
rm -rf "$TMUX_TMPDIR"
)",
                            {.limit = std::chrono::seconds(200)});
  for (const char* sign : {"right-size", "resized", "detached", "exit-code"}) {
    EXPECT_NE(ended.out.find(sign), std::string::npos) << sign << ": " << ended;
  }
  EXPECT_EQ(ended.out.find("never saw"), std::string::npos) << ended;
  EXPECT_EQ(Shell("hull exec -it exec-test true").exit_code, 1) << "no terminal here";
}

}  // namespace
}  // namespace hull::integration
