#include "vmm/boot/command_line.h"

#include <gtest/gtest.h>

namespace hull {
namespace {

TEST(CommandLineTest, MachineWordsFollowTheConfigured) {
  EXPECT_EQ(AssembleCommandLine("quiet ro ", "panic=-1").value(), "quiet ro panic=-1");
  EXPECT_EQ(AssembleCommandLine("", "panic=-1").value(), "panic=-1");
  EXPECT_EQ(AssembleCommandLine("quiet", "").value(), "quiet");
}

TEST(CommandLineTest, ArgumentsOfInitStayLast) {
  EXPECT_EQ(AssembleCommandLine("quiet -- -v x", "panic=-1").value(), "quiet panic=-1 -- -v x");
  EXPECT_EQ(AssembleCommandLine("-- a", "b").value(), "b -- a");
  EXPECT_EQ(AssembleCommandLine("a--b --c", "d").value(), "a--b --c d");
}

TEST(CommandLineTest, TooLongOrNulIsRefused) {
  EXPECT_TRUE(AssembleCommandLine(std::string(2047, 'x'), "").has_value());
  EXPECT_FALSE(AssembleCommandLine(std::string(2048, 'x'), "").has_value());
  EXPECT_FALSE(AssembleCommandLine(std::string(2047, 'x'), "y").has_value());
  EXPECT_FALSE(AssembleCommandLine(std::string_view("a\0b", 3), "").has_value());
}

}  // namespace
}  // namespace hull
