// kill -9 of hull, of supervisors and of machines, one or all of them, at random moments of every
// command: afterwards `hull ps` tells the truth, and after `hull rm` and `hull prune` nothing is
// left. HULL_KILL_SEED repeats a run, HULL_KILL_ROUNDS makes it longer.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/fakes/vmm/hull_on_fake.h"
#include "vmm/base/file.h"

namespace hull {
namespace {

constexpr int kRounds = 200;
constexpr int kLatestMs = 60;
constexpr int kLastWordsMs = 5000;

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
    "$HULL prune -f; $HULL container prune -f",
};

class HullKillTest : public HullOnFake {
 protected:
  struct Process {
    pid_t pid;
    std::string name;
  };
  // Of hull's processes that run now.
  std::vector<Process> Processes() const {
    std::vector<Process> processes;
    std::istringstream lines(Leftovers());
    std::string word;
    while (lines >> word) {
      Process process{};
      if (word != "process" || !(lines >> process.pid >> process.name)) continue;
      if (process.name.starts_with("hull") || process.name.starts_with("fake-hull")) {
        processes.push_back(process);
      }
    }
    return processes;
  }

  void Prepare() const {
    const Ended ended = Shell(
        "$HULL run -d --storage tmpfs --name r1 test sleep 30 && "
        "$HULL run --storage tmpfs --name c1 test true");
    ASSERT_EQ(ended.exit_code, 0) << ended.err;
  }

  // What ps says of each container, against the processes that serve it.
  std::string Lies() const {
    const Ended listed = Shell("$HULL ps -a --no-trunc --format '{{.ID}} {{.State}}'; exit $?");
    std::string lies = listed.exit_code == 0 ? "" : "ps fails: " + listed.err;
    std::istringstream lines(listed.out);
    std::string id;
    std::string state;
    while (lines >> id >> state) {
      const bool served = std::filesystem::exists(directory_ / "run" / id / "state.json");
      const bool running = state == "running" || state == "paused";
      if (running && !served) lies += fmt::format("{} is said to be {}\n", id, state);
      if (!running && state != "exited" && state != "created") lies += state + "?\n";
      if (!running) continue;
      const std::string served_by =
          Shell(fmt::format("for p in $(jq .supervisor.pid,.vmm.pid run/{}/state.json); do kill -0 "
                            "$p || echo $p; "
                            "done",
                            id))
              .out;
      if (!served_by.empty()) lies += fmt::format("{} is {} without {}", id, state, served_by);
    }
    return lies;
  }

  // Who was not killed goes on meanwhile, and ends between the question and the comparison.
  std::string LastingLies() const {
    std::string lies;
    for (int attempt = 0; attempt < 5; ++attempt) {
      lies = Lies();
      if (lies.empty()) break;
      usleep(100'000);
    }
    return lies;
  }
};

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
    EXPECT_EQ(LastingLies(), "");
    const Ended cleaned = Shell(
        "ids=$($HULL ps -aq) && { [ -z \"$ids\" ] || $HULL rm -f $ids >/dev/null; } && "
        "$HULL prune -f >/dev/null");
    EXPECT_EQ(cleaned.exit_code, 0) << cleaned.err;
    EXPECT_EQ(LeftAfter(kLastWordsMs), "");
    if (HasFailure()) return;
  }
  EXPECT_GT(killed, rounds / 2);
}

}  // namespace
}  // namespace hull
