// Terminals, driven by tmux as a person would drive them.
#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

class TerminalTest : public HullTest {
 protected:
  // Runs `script` with tmux about a session "t" of 100 columns and 30 rows that has a shell;
  // `wait_for TEXT` waits until the screen shows it.
  static Ended Session(const std::string& script) {
    return Shell(R"(
export TMUX_TMPDIR=$(mktemp -d)
tmux -f /dev/null new-session -d -s t -x 100 -y 30 'PS1="host> " bash --norc'
keys() { tmux send-keys -t t "$@"; }
screen() { tmux capture-pane -p -t t; }
wait_for() { for i in $(seq 600); do screen | grep -qE -- "$1" && return; sleep 0.1; done; echo "never saw: $1"; screen; }
)" + script + R"(
tmux kill-server
rm -rf "$TMUX_TMPDIR"
)",
                 {.limit = std::chrono::seconds(240)});
  }
};

TEST_F(TerminalTest, ASessionIsLikeAnyShells) {
  const Ended ended = Session(R"(
wait_for '^host>'
keys 'hull run --rm -it -e PS1="box> " sample/busybox sh' Enter
wait_for '^box>'
keys 'tty; stty size; echo term $TERM' Enter
wait_for 'term xterm'
screen | grep -q '^/dev/pts/0' && echo has-terminal
screen | grep -q '^30 100' && echo right-size
tmux resize-window -t t -x 80 -y 24; sleep 1
keys 'stty size' Enter
wait_for '^24 80' && echo resized
keys 'sleep 1000' Enter; sleep 1
keys C-c
keys 'echo after $?' Enter
wait_for 'after 130' && echo interrupted
keys 'exit 5' Enter
wait_for '^host>$'
keys 'echo code $?; stty -a | grep -o " icanon"' Enter
wait_for 'code 5' && echo exit-code
wait_for '^ icanon' && echo terminal-restored
)");
  for (const char* sign :
       {"has-terminal", "right-size", "resized", "interrupted", "exit-code", "terminal-restored"}) {
    EXPECT_NE(ended.out.find(sign), std::string::npos) << sign << ": " << ended;
  }
  EXPECT_EQ(ended.out.find("never saw"), std::string::npos) << ended;
}

TEST_F(TerminalTest, AnExecThatIsEndedFromOutsideLeavesTheTerminalAsItWas) {
  // A shell with job control would put it right by itself.
  const Ended ended = Session(R"(
wait_for '^host>'
hull run -d --name ended sample/busybox sleep 1000 > /dev/null
keys "sh -c 'hull exec -it ended sh; echo code \$?; stty -a | grep -o \" -*icanon\"'" Enter
wait_for '^/ #' && echo inside
kill -TERM $(pgrep -f '^hull exec')
wait_for 'code 143' && echo ended
wait_for '^ icanon' && echo terminal-restored
hull rm -f ended > /dev/null
)");
  for (const char* sign : {"inside", "ended", "terminal-restored"}) {
    EXPECT_NE(ended.out.find(sign), std::string::npos) << sign << ": " << ended;
  }
  EXPECT_EQ(ended.out.find("never saw"), std::string::npos) << ended;
}

TEST_F(TerminalTest, WithoutATerminalItIsDockersError) {
  const Ended ended = HullRun({"-it", "sample/busybox", "true"});
  EXPECT_EQ(ended.exit_code, 1) << ended;
  EXPECT_NE(ended.err.find("the input device is not a TTY"), std::string::npos) << ended;
}

TEST_F(TerminalTest, OneStreamOfATerminalIsEnough) {
  const Ended ended =
      HullRun({"-t", "sample/busybox", "sh", "-c", "test -t 1 && echo terminal; echo both >&2"});
  EXPECT_EQ(ended.out, "terminal\r\nboth\r\n") << ended;
}

}  // namespace
}  // namespace hull::integration
