#include "vmm/api/utf8.h"

#include <gtest/gtest.h>

namespace hull::api {
namespace {

TEST(Utf8Test, WellFormedTextIsKept) {
  const std::string text = "a\n\xc3\xbc \xe2\x82\xac \xf0\x9f\x9a\xa2";
  EXPECT_EQ(ToUtf8(text), text);
}

TEST(Utf8Test, BrokenBytesBecomeQuestionMarks) {
  EXPECT_EQ(ToUtf8("a\xff z"), "a? z");
  EXPECT_EQ(ToUtf8("\xc3"), "?");                 // cut short
  EXPECT_EQ(ToUtf8("\xe2\x82"), "??");            // cut short
  EXPECT_EQ(ToUtf8("\xc0\x80"), "??");            // overlong
  EXPECT_EQ(ToUtf8("\xed\xa0\x80"), "???");       // surrogate
  EXPECT_EQ(ToUtf8("\xf4\x90\x80\x80"), "????");  // above U+10FFFF
  EXPECT_EQ(ToUtf8("\xe0\x9f\xbf"), "???");       // overlong
  EXPECT_EQ(ToUtf8("\xf0\x8f\xbf\xbf"), "????");  // overlong
}

}  // namespace
}  // namespace hull::api
