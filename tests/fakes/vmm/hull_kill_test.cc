// kill -9 of hull, of supervisors and of machines, one or all of them, at random moments of every
// command: afterwards `hull ps` tells the truth, and after `hull rm` and `hull prune` nothing is
// left. HULL_KILL_SEED repeats a run, HULL_KILL_ROUNDS makes it longer.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <thread>
#include <vector>

#include "tests/fakes/vmm/kill_rounds.h"

namespace hull {
namespace {

constexpr int kRounds = 200;
constexpr int kLatestMs = 60;

// What is being done when somebody is killed; $R is a running container, $C one that has ended.
constexpr std::array kScripts = {
    "$HULL run --rm --storage tmpfs test sh -c 'sleep 0.05; echo hi'",
    "$HULL run --storage tmpfs --name k1 test sh -c 'exit 3'",
    "$HULL run -d --storage tmpfs --name k1 test sleep 30",
    "$HULL run -d --rm --storage tmpfs test sleep 0.02",
    "$HULL create --storage tmpfs --name k1 test true; $HULL start k1",
    "$HULL create --rm --storage tmpfs --name k1 test sleep 0.02; $HULL start -a k1",
    "$HULL start c1",
    "$HULL start -a c1",
    "$HULL stop -t 1 r1",
    "$HULL kill r1",
    "$HULL kill -s USR1 r1",
    "$HULL rm -f r1",
    "$HULL rm c1",
    "$HULL restart -t 1 r1",
    "$HULL rename r1 r2; $HULL rename c1 r1",
    "$HULL pause r1; $HULL unpause r1",
    "$HULL wait r1 & $HULL kill r1; wait",
    "timeout 1 $HULL attach r1 & $HULL stop -t 1 r1; wait",
    "$HULL ps -a; $HULL inspect r1",
    "$HULL exec r1 sh -c 'sleep 0.02; echo hi'",
    "$HULL exec -d r1 sleep 0.02; echo in | $HULL exec -i r1 cat",
    "$HULL cp r1:/f - | tar -t; $HULL cp script r1:/g",
    "$HULL cp r1:/ copied; tar -c script | $HULL cp - r1:/",
    "$HULL create --name k1 test true; $HULL cp script k1:/g; $HULL diff k1",
    "$HULL run --name k1 test true; $HULL commit k1 k:1",
    "$HULL diff r1; $HULL diff r1",
    "$HULL commit r1 k:1",
    "$HULL logs c1; timeout 0.05 $HULL logs -f r1",
    "timeout 0.05 $HULL events; $HULL events --since 1h --until 0s",
    "$HULL prune -f; $HULL container prune -f",
    "$HULL stop -t 1 r1 c1",
    "$HULL kill r1 c1; $HULL rm c1 r1",
    "$HULL rm -f r1 c1 nosuch",
    "$HULL pause r1 c1; $HULL unpause r1 c1",
    "$HULL run -d --rm --storage tmpfs --name k1 test sleep 30; $HULL restart -t 1 k1 r1; $HULL "
    "stop -t 1 k1 r1",
    "$HULL run --rm --cidfile cid --storage tmpfs test true; rm -f cid",
    "$HULL create --cidfile cid --name k1 test true; rm -f cid; $HULL start k1 c1 r1",
    "$HULL exec -e A -e B=1 -w / r1 true & $HULL rm -f r1; wait",
    "$HULL top r1; $HULL start -a c1 & $HULL rename c1 k2; wait; $HULL rename k2 c1",
};

class HullKillTest : public KillRounds {};

TEST_F(HullKillTest, WhoeverIsKilledNothingIsLeftAndPsTellsTheTruth) {
  const char* set = std::getenv("HULL_KILL_SEED");
  const unsigned int seed =
      set == nullptr ? std::random_device()() : static_cast<unsigned int>(std::atoll(set));
  const char* longer = std::getenv("HULL_KILL_ROUNDS");
  const int rounds = longer == nullptr ? kRounds : std::atoi(longer);
  std::cout << "HULL_KILL_SEED=" << seed << std::endl;
  std::mt19937 random(seed);
  int killed = 0;
  for (int round = 0; round < rounds; ++round) {
    const std::string script = kScripts[random() % kScripts.size()];
    const auto moment_us = static_cast<unsigned int>(random() % (kLatestMs * 1000));
    const auto choice = static_cast<unsigned int>(random());
    ASSERT_NO_FATAL_FAILURE(Prepare());
    std::thread user([&] { Shell(script); });
    usleep(moment_us);
    const std::vector<Process> processes = Processes();
    std::string victims;
    for (size_t i = 0; i < processes.size(); ++i) {
      // One of them, or each with even odds, or all.
      const bool chosen = choice % 3 == 0   ? i == choice / 3 % processes.size()
                          : choice % 3 == 1 ? ((choice / 3) >> i & 1U) != 0
                                            : true;
      if (!chosen) continue;
      kill(processes[i].pid, SIGKILL);
      victims += processes[i].name + " ";
      ++killed;
    }
    user.join();
    SCOPED_TRACE(
        fmt::format("round {}: {} | after {} us killed {}", round, script, moment_us, victims));
    ExpectTheTruthAndNothingLeft();
    if (HasFailure()) return;
  }
  EXPECT_GT(killed, rounds / 2);
}

}  // namespace
}  // namespace hull
