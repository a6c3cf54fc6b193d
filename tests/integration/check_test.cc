// hull check where everything is as it should be, and where something is missing.
#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

class CheckTest : public HullTest {};

TEST_F(CheckTest, AHostThatCanRunIsOk) {
  const Ended ended = RunProgram({"hull", "check"});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_NE(ended.out.find("ok       kvm boot"), std::string::npos) << ended;
  EXPECT_NE(ended.out.find("AMD-V"), std::string::npos) << ended;
  EXPECT_NE(ended.out.find("NPT"), std::string::npos) << ended;
}

TEST_F(CheckTest, WhatIsMissingIsSaidAndMachinesCanReadIt) {
  const Ended ended = Shell(
      "hull check --no-boot --format json | "
      "python3 -c 'import json, sys; print([f[\"name\"] for f in json.load(sys.stdin) if "
      "f[\"grade\"] == \"missing\"])'; "
      "echo code ${PIPESTATUS[0]}",
      {.environment = {"HULL_KERNEL=/no/kernel"}});
  EXPECT_EQ(ended.out, "['guest kernel']\ncode 1\n") << ended;
}

}  // namespace
}  // namespace hull::integration
