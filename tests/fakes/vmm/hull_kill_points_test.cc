// kill -9 of hull and of its supervisor right before each of the calls by which they change files,
// one after the other: where the random moments of hull_kill_test.cc rarely strike. What must hold
// is the same. strace kills.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <sstream>
#include <string>

#include "tests/fakes/vmm/kill_rounds.h"

namespace hull {
namespace {

constexpr char kCalls[] =
    "mkdir,mkdirat,rmdir,rename,renameat,renameat2,unlink,unlinkat,symlink,symlinkat,link,linkat,"
    "ftruncate,fallocate";
// Far more than a command makes.
constexpr int kMostCalls = 60;

struct Killed {
  const char* name;
  // $HULL is hull under strace; containers as in KillRounds::Prepare.
  const char* script;
  int least_calls;
};

// "rename" of "1234  rename(..."; empty when the line tells of something else (a signal, an exit).
std::string CallOf(const std::string& line) {
  std::istringstream words(line);
  std::string process;
  std::string call;
  words >> process >> call;
  const size_t end = call.find('(');
  const bool is_call = end != std::string::npos && end > 0 &&
                       std::all_of(call.begin(), call.begin() + static_cast<ptrdiff_t>(end),
                                   [](unsigned char c) { return std::isalnum(c) || c == '_'; });
  return is_call ? call.substr(0, end) : "";
}

class HullKillPointsTest : public KillRounds, public testing::WithParamInterface<Killed> {
 protected:
  void SetUp() override {
    KillRounds::SetUp();
    if (Shell("strace -qq -o o true").exit_code != 0) GTEST_SKIP() << "strace is needed";
  }

  // The script with hull under strace, which writes to the file `o`.
  Ended Traced(const std::string& options) const {
    return Shell(fmt::format("real=$HULL; HULL=\"strace -f -q -o o -e trace={} {} $real\"\n{}\n",
                             kCalls, options, GetParam().script));
  }
  std::set<std::string> CallsMade() const {
    std::set<std::string> calls;
    Prepare();
    Traced("");
    std::istringstream lines(Slurp(directory_ / "o"));
    for (std::string line; std::getline(lines, line);) {
      if (const std::string call = CallOf(line); !call.empty()) calls.insert(call);
    }
    ExpectTheTruthAndNothingLeft();
    return calls;
  }
};

TEST_P(HullKillPointsTest, NothingIsLeftAndPsTellsTheTruth) {
  int killed = 0;
  for (const std::string& call : CallsMade()) {
    // Each process counts for itself.
    for (int number = 1; number < kMostCalls; ++number) {
      ASSERT_NO_FATAL_FAILURE(Prepare());
      Traced(fmt::format("-e inject={}:signal=KILL:when={}", call, number));
      const std::string trace = Slurp(directory_ / "o");
      SCOPED_TRACE(fmt::format("killed before {} {}:\n{}", call, number, trace));
      ExpectTheTruthAndNothingLeft();
      if (HasFailure()) return;
      // The call that never returned.
      if (trace.find(" = ?\n") == std::string::npos) break;
      ++killed;
    }
  }
  EXPECT_GE(killed, GetParam().least_calls);
}

INSTANTIATE_TEST_SUITE_P(
    Commands, HullKillPointsTest,
    testing::Values(Killed{"run", "$HULL run --storage tmpfs --name k1 test sh -c 'exit 3'", 10},
                    Killed{"run_rm", "$HULL run --rm --storage tmpfs --name k1 test true", 10},
                    Killed{"create", "$HULL create --storage tmpfs --name k1 test true", 4},
                    Killed{"start", "$HULL start -a c1", 8}, Killed{"rm", "$HULL rm c1", 5},
                    Killed{"rm_force", "$HULL rm -f r1", 5},
                    Killed{"rename", "$HULL rename c1 c2", 2},
                    Killed{"commit", "$HULL commit r1 k:1", 10},
                    Killed{"cp_to_stopped",
                           "$HULL create --name k1 test true; $HULL cp script k1:/g", 10}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace hull
