// The agent against its protocol: a program of its own (guest-agent/testing), run here in the lab.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

TEST(AgentTest, KeepsWhatItsProtocolPromisesWithTheGuestsCrun) {
  // AgentNvmeTest needs a disk: agent_devices_test.cc.
  const Ended ended =
      RunProgram({"hull-agent-conformance", "--gtest_brief=1", "--gtest_filter=-AgentNvmeTest.*"},
                 {.limit = std::chrono::seconds(400)});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_NE(ended.out.find("PASSED"), std::string::npos) << ended;
  EXPECT_EQ(ended.out.find("SKIPPED"), std::string::npos) << ended;
}

}  // namespace
}  // namespace hull::integration
