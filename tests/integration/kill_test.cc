// kill -9 of hull, of supervisors and of virtual machines, one or all of them, at random moments of
// commands on real sandboxes: afterwards `hull ps` tells the truth, and after `hull prune` nothing
// is left. Then twenty sandboxes at once. HULL_KILL_SEED repeats a run, HULL_KILL_ROUNDS makes it
// longer. tests/fakes/vmm/hull_kill_test.cc does more of this, without machines.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <sstream>
#include <thread>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

constexpr int kRounds = 12;
constexpr int kSandboxes = 20;
// A busy machine's emulated host starts one in some seconds.
constexpr std::chrono::seconds kTwentyLimit{300};

struct Action {
  const char* script;
  int latest_ms;  // about when it has ended, if nobody is killed
};

// What is being done when somebody is killed; r1 runs, c1 has ended.
constexpr std::array kActions = {
    Action{"hull run -d --name k1 -m 64m sample/busybox sleep 1000", 1600},
    Action{"hull run --rm -m 64m sample/busybox sh -c 'echo hi'", 2000},
    Action{"hull start c1", 1500},
    Action{"hull exec r1 sh -c 'echo hi; sleep 0.2'", 500},
    Action{"hull stop -t 1 r1", 1200},
    Action{"hull rm -f r1", 200},
    Action{"hull cp -q c1:/etc/passwd /tmp/hull-kill-test", 1400},
};

// What is of hull on this host, one a line: processes, mounts, and files, save for what is to last.
constexpr char kFootprint[] = R"sh(
for comm in /proc/[0-9]*/comm; do
  name=$(cat $comm 2> /dev/null)
  case $name in hull-lab-tests) ;; hull*|mkfs.ext4) echo "process $comm $name" ;; esac
done
cut -d' ' -f2,3 /proc/self/mounts | sed 's/^/mount /'
find /run/hull -mindepth 1 ! -name 'events.jsonl*'
find /var/lib/hull/containers /var/lib/hull/names /var/lib/hull/images/tmp \
  /var/lib/hull/images/locks -mindepth 1 2> /dev/null
find /var/lib/hull/scratch -mindepth 1 ! -name 'template-*[0-9]' 2> /dev/null
find /var/lib/hull/scratch -name 'template-*.*' 2> /dev/null
losetup -a 2> /dev/null; true)sh";

// Every container as it is said to be, against what serves it. Prints what is not so.
constexpr char kLies[] = R"sh(
hull ps -a --no-trunc --format '{{.ID}} {{.State}}' > /tmp/hull-kill-ps || echo "ps fails"
while read -r id state; do
  case $state in
    running)
      [ "$(hull exec "$id" echo lives 2> /dev/null)" = lives ] || echo "$id does not run" ;;
    exited|created)
      ! [ -e /run/hull/$id ] || echo "$id is $state and has a sandbox" ;;
    *) echo "$id is $state?" ;;
  esac
done < /tmp/hull-kill-ps
# A virtual machine and its supervisor are there for each that runs, and no other.
running=$(grep -c ' running$' /tmp/hull-kill-ps)
machines=$(pgrep -xc hull-vmm)
[ "$running" = "$machines" ] || echo "$running run, $machines machines"
supervisors=$(pgrep -xc hull-supervise)
[ "$running" = "$supervisors" ] || echo "$running run, $supervisors supervisors"
)sh";

struct Process {
  pid_t pid = 0;
  std::string name;
};

std::vector<Process> HullProcesses() {
  std::vector<Process> found;
  std::istringstream lines(Shell("pgrep -l '^hull(-vmm|-supervise)?$'").out);
  Process process;
  while (lines >> process.pid >> process.name) found.push_back(process);
  return found;
}

// The answer of `script` when it has become `wanted`, or as it stays. Who was not killed goes on
// meanwhile, and ends between a question and the comparison.
std::string Settled(const std::string& script, const std::string& wanted) {
  constexpr int kAttempts = 20;
  constexpr useconds_t kPauseUs = 250'000;
  std::string answer;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    answer = Shell(script).out;
    if (answer == wanted) break;
    usleep(kPauseUs);
  }
  return answer;
}

class KillTest : public HullTest {
 protected:
  void SetUp() override { clean_ = Shell(kFootprint).out; }
  void TearDown() override {
    Shell("hull rm -f $(hull ps -aq) 2> /dev/null; hull prune -f; rm -f /tmp/hull-kill-*");
    HullTest::TearDown();
  }

  // Makes those of r1 and c1 that the rounds before have not left.
  static void Prepare() {
    const Ended ended = Shell(R"sh(set -e
[ "$(hull ps -q -f name=^r1$)" ] || {
  hull rm -f r1; hull run -d --name r1 -m 64m sample/busybox sleep 1000; }
[ "$(hull ps -aq -f name=^c1$ -f status=exited)" ] || {
  hull rm -f c1; hull run --name c1 -m 64m sample/busybox true; }
hull rm -f k1)sh");
    ASSERT_EQ(ended.exit_code, 0) << ended;
  }

  std::string clean_;  // the footprint of nothing
};

TEST_F(KillTest, WhoeverIsKilledNothingIsLeftAndPsTellsTheTruth) {
  const char* set = std::getenv("HULL_KILL_SEED");
  const unsigned int seed =
      set == nullptr ? std::random_device()() : static_cast<unsigned int>(std::atoll(set));
  const char* longer = std::getenv("HULL_KILL_ROUNDS");
  const int rounds = longer == nullptr ? kRounds : std::atoi(longer);
  std::cout << "HULL_KILL_SEED=" << seed << std::endl;
  std::mt19937 random(seed);
  const auto first = static_cast<unsigned int>(random());
  int killed = 0;
  for (int round = 0; round < rounds; ++round) {
    // Each of them in turn, so that a short run has all.
    const Action& action = kActions[(first + static_cast<unsigned int>(round)) % kActions.size()];
    const int moment_ms = static_cast<int>(random() % static_cast<unsigned int>(action.latest_ms));
    const auto choice = static_cast<unsigned int>(random());
    ASSERT_NO_FATAL_FAILURE(Prepare());
    std::thread user([&action] { Shell(action.script); });
    usleep(static_cast<useconds_t>(moment_ms) * 1000);
    const std::vector<Process> processes = HullProcesses();
    std::string victims;
    for (size_t i = 0; i < processes.size(); ++i) {
      // One of them, or each with even odds, or all.
      const bool chosen = choice % 3 == 0   ? i == choice / 3 % processes.size()
                          : choice % 3 == 1 ? ((choice / 3) >> i & 1U) != 0
                                            : true;
      if (!chosen) continue;
      kill(processes[i].pid, SIGKILL);
      victims += " " + processes[i].name;
      ++killed;
    }
    user.join();
    std::cout << "round " << round << ": " << action.script << ", after " << moment_ms
              << " ms killed:" << victims << std::endl;
    EXPECT_EQ(Settled(kLies, ""), "");
    if (HasFailure()) return;
  }
  EXPECT_GT(killed, rounds / 2);
  // The last is on its way when everything is killed, and what remains is one command's work.
  Shell("hull run -d -m 64m sample/busybox sleep 1000");
  for (const Process& process : HullProcesses()) kill(process.pid, SIGKILL);
  const Ended pruned = Shell("hull prune -f");
  EXPECT_EQ(pruned.exit_code, 0) << pruned;
  EXPECT_EQ(Settled(kFootprint, clean_), clean_);
}

TEST_F(KillTest, TwentySandboxesAtOnce) {
  const std::string count = std::to_string(kSandboxes);
  const Ended started =
      Shell("for i in $(seq " + count +
                "); do hull run -d --name s$i --storage tmpfs -m 64m sample/busybox "
                "sleep 1000 > /dev/null & done; wait; hull ps -q | wc -l",
            {.limit = kTwentyLimit});
  EXPECT_EQ(started.out, count + "\n") << started;
  const Ended stopped =
      Shell("for i in $(seq " + count +
                "); do hull rm -f s$i > /dev/null & done; wait; hull ps -aq | wc -l",
            {.limit = kTwentyLimit});
  EXPECT_EQ(stopped.out, "0\n") << stopped;
  EXPECT_EQ(started.err + stopped.err, "");
  EXPECT_EQ(Settled(kFootprint, clean_), clean_);
}

}  // namespace
}  // namespace hull::integration
