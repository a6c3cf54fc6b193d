#include "vmm/virtio/vsock/connect_line.h"

#include <gtest/gtest.h>

#include <string>

namespace hull::vsock {
namespace {

TEST(ConnectLineTest, ReadsPortAndLeavesWhatFollows) {
  EXPECT_EQ(ParseConnectLine("CONNECT 1024\n"), ConnectLineResult(ConnectLine{1024, 13}));
  EXPECT_EQ(ParseConnectLine("CONNECT 7\nCONNECT 8\n"), ConnectLineResult(ConnectLine{7, 10}));
  EXPECT_EQ(ParseConnectLine("CONNECT 0\n"), ConnectLineResult(ConnectLine{0, 10}));
  EXPECT_EQ(ParseConnectLine("CONNECT 4294967294\n"),
            ConnectLineResult(ConnectLine{4294967294, 19}));
}

TEST(ConnectLineTest, EveryBeginningOfALineIsIncomplete) {
  const std::string line = "CONNECT 4294967294\n";
  for (size_t length = 0; length < line.size(); ++length)
    EXPECT_EQ(ParseConnectLine(line.substr(0, length)), ConnectLineResult(ConnectLineIncomplete{}))
        << length;
}

TEST(ConnectLineTest, RefusesWhatNoContinuationMakesRight) {
  for (const char* text : {"X", "connect 1\n", "CONNECT\n", "CONNECT\t1\n", "CONNECT  1\n",
                           "CONNECT -1\n", "CONNECT +1\n", "CONNECT 1 \n", "CONNECT 1\r\n",
                           "CONNECT 1x", "CONNECT \n", "CONNECT 4294967295\n",
                           "CONNECT 4294967296\n", "CONNECT 99999999999", "CONNECT 00000000001"})
    EXPECT_EQ(ParseConnectLine(text), ConnectLineResult(ConnectLineInvalid{})) << text;
}

}  // namespace
}  // namespace hull::vsock
