// Tests that every device must pass whatever it does: include this in its test and say
//   HULL_DEVICE_FAULT_TESTS(Rng, [] { return std::make_unique<Rng>(); });
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "tests/fakes/device_harness.h"
#include "tests/fakes/ring_faults.h"

namespace hull {

using DeviceMaker = std::function<std::unique_ptr<VirtioDevice>()>;

// Commits the fault in each queue of a fresh device in turn. The device must report it, by its
// answer or by itself, answer a reset, and come up again. A queue that the device does not look at
// until it has something to say may keep silent.
void ExpectDeviceSurvives(const DeviceMaker& make, const RingFault& fault);

// Reads and writes the configuration space at every offset and beyond, at odd sizes.
void ExpectConfigSpaceIsSafe(const DeviceMaker& make);

// Activate, reset, reset, activate; reset without activation.
void ExpectResetsAreFine(const DeviceMaker& make);

}  // namespace hull

#define HULL_DEVICE_FAULT_TESTS(Name, ...)                                                 \
  class Name##FaultTest : public testing::TestWithParam<::hull::RingFault> {};             \
  TEST_P(Name##FaultTest, IsReportedAndResetHeals) {                                       \
    ::hull::ExpectDeviceSurvives(__VA_ARGS__, GetParam());                                 \
  }                                                                                        \
  INSTANTIATE_TEST_SUITE_P(Ring, Name##FaultTest, testing::ValuesIn(::hull::RingFaults()), \
                           [](const auto& made) { return ::hull::NameOf(made.param); });   \
  TEST(Name##CommonTest, ConfigSpaceIsSafe) {                                              \
    ::hull::ExpectConfigSpaceIsSafe(__VA_ARGS__);                                          \
  }                                                                                        \
  TEST(Name##CommonTest, ResetsAreFine) {                                                  \
    ::hull::ExpectResetsAreFine(__VA_ARGS__);                                              \
  }                                                                                        \
  static_assert(true, "so that the line ends in a semicolon")
