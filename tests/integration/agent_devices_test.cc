// The agent and an NVMe disk (guest-agent/testing): a lab that has one stands for the guest.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

TEST(AgentDevicesTest, NodesOfADiskComeAndGoInTheContainerAlone) {
  const Ended ended =
      RunProgram({"env", "-u", "GTEST_TOTAL_SHARDS", "-u", "GTEST_SHARD_INDEX",
                  "hull-agent-conformance", "--gtest_brief=1", "--gtest_filter=AgentNvmeTest.*"},
                 {.limit = std::chrono::seconds(200)});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_NE(ended.out.find("PASSED  ] 4 tests"), std::string::npos) << ended;
}

}  // namespace
}  // namespace hull::integration
