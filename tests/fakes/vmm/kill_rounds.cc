#include "tests/fakes/vmm/kill_rounds.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

namespace hull {
namespace {

constexpr int kLastWordsMs = 5000;

}  // namespace

std::vector<KillRounds::Process> KillRounds::Processes() const {
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

void KillRounds::Prepare() const {
  const Ended ended = Shell(
      "seq 100 > files/f; $HULL run -d --storage tmpfs --name r1 test sleep 30 && "
      "$HULL run --storage tmpfs --name c1 test true");
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
}

// What ps says of each container, against the processes that serve it.
std::string KillRounds::Lies() const {
  const Ended listed =
      Shell("$HULL ps -a --no-trunc --format '{{.ID}} {{.State}} {{.Names}}'; exit $?");
  std::string lies = listed.exit_code == 0 ? "" : "ps fails: " + listed.err;
  std::istringstream lines(listed.out);
  std::string id;
  std::string state;
  std::string name;
  while (lines >> id >> state >> name) {
    std::error_code gone;
    if (std::filesystem::read_symlink(directory_ / "store/names" / name, gone) != id) {
      lies += fmt::format("{} is not found as {}\n", id, name);
    }
    const bool served = std::filesystem::exists(directory_ / "run" / id / "state.json");
    const bool running = state == "running" || state == "paused";
    if (running && !served) lies += fmt::format("{} is said to be {}\n", id, state);
    if (!running && state != "exited" && state != "created") lies += state + "?\n";
    const std::string record = Slurp(directory_ / "store/containers" / id / "container.json");
    if (state == "exited" && record.find("\"remove_at_exit\":true") != std::string::npos) {
      lies += fmt::format("{} has ended and was not to be kept\n", id);
    }
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
std::string KillRounds::LastingLies() const {
  std::string lies;
  for (int attempt = 0; attempt < 5; ++attempt) {
    lies = Lies();
    if (lies.empty()) break;
    usleep(100'000);
  }
  return lies;
}

void KillRounds::ExpectTheTruthAndNothingLeft() const {
  EXPECT_EQ(LastingLies(), "");
  const Ended cleaned = Shell(
      "ids=$($HULL ps -aq) && { [ -z \"$ids\" ] || $HULL rm -f $ids >/dev/null; } && "
      "{ ! $HULL images -q k:1 | grep -q . || $HULL rmi -f k:1 > /dev/null; } && "
      "$HULL prune -f >/dev/null");
  EXPECT_EQ(cleaned.exit_code, 0) << cleaned.err;
  EXPECT_EQ(LeftAfter(kLastWordsMs), "");
}

}  // namespace hull
