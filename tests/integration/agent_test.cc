// The agent against its protocol: a program of its own (guest-agent/testing), run here in the lab.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

TEST(AgentTest, KeepsWhatItsProtocolPromisesWithTheGuestsCrun) {
  // All of it here, whatever part of this program a shard is. AgentNvmeTest needs a disk
  // (agent_devices_test.cc), the other would change the lab.
  const Ended ended = RunProgram(
      {"env", "-u", "GTEST_TOTAL_SHARDS", "-u", "GTEST_SHARD_INDEX", "hull-agent-conformance",
       "--gtest_brief=1", "--gtest_filter=-AgentNvmeTest.*:AgentTest.SysctlsOfTheGuest*"},
      {.limit = std::chrono::seconds(400)});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_NE(ended.out.find("PASSED"), std::string::npos) << ended;
  EXPECT_EQ(ended.out.find("SKIPPED"), std::string::npos) << ended;
}

}  // namespace
}  // namespace hull::integration
