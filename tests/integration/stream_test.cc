// Bytes in and out of a container.
#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

using std::chrono::seconds;

class StreamTest : public HullTest {};

TEST_F(StreamTest, BytesComeBackAsTheyWent) {
  // Random bytes in, through the container, and out again.
  const Ended ended = Shell(R"(
head -c 67108864 /dev/urandom > /tmp/in
hull run --rm -i sample/busybox cat < /tmp/in > /tmp/back
echo code $?
cmp /tmp/in /tmp/back && echo same
echo want $(sha256sum < /tmp/in | cut -d' ' -f1)
echo got $(cat /tmp/in | hull run --rm -i sample/busybox sha256sum | cut -d' ' -f1)
rm -f /tmp/in /tmp/back
)",
                            {.limit = seconds(400)});
  EXPECT_NE(ended.out.find("same"), std::string::npos) << ended;
  EXPECT_EQ(Field(ended.out, "code"), "0") << ended;
  EXPECT_EQ(Field(ended.out, "want"), Field(ended.out, "got")) << ended;
}

TEST_F(StreamTest, NothingIsLostWhenTheProcessEndsFirst) {
  // The reader begins only after the writer is long gone.
  const Ended ended = Shell(
      "hull run --rm sample/busybox sh -c 'seq 1 200000; seq 1 1000 >&2' 2> /tmp/err | (sleep 5; "
      "md5sum); "
      "echo direct $(seq 1 200000 | md5sum); cmp /tmp/err <(seq 1 1000) && echo errors");
  const std::string direct = Field(ended.out, "direct");
  EXPECT_EQ(ended.out.substr(0, 32), direct.substr(0, 32)) << ended;
  EXPECT_NE(ended.out.find("errors"), std::string::npos) << ended;
}

TEST_F(StreamTest, AClosedReaderEndsTheWriter) {
  const Ended ended =
      Shell("hull run --rm sample/busybox yes | head -n 2; echo code ${PIPESTATUS[0]}");
  // hull itself ends as any program in a pipeline does. The kernel spares a PID 1 the signal, so
  // `yes` sees the error and says so.
  EXPECT_EQ(ended.out, "y\ny\ncode 141\n") << ended;
  EXPECT_NE(ended.err.find("Broken pipe"), std::string::npos) << ended;
}

TEST_F(StreamTest, EndOfInputReachesTheContainer) {
  const Ended ended =
      HullRun({"-i", "sample/busybox", "sh", "-c", "cat; echo end"}, {.input = "line\n"});
  EXPECT_EQ(ended.out, "line\nend\n") << ended;
  const Ended none = HullRun({"sample/busybox", "cat"}, {.input = "not for it\n"});
  EXPECT_EQ(none.out, "") << "without -i there is no input: " << none;
}

TEST_F(StreamTest, AContainerThatClosesItsInputIsNoError) {
  const Ended ended = Shell(
      "head -c 10000000 /dev/zero | hull run --rm -i sample/busybox sh -c 'exec <&-; sleep 1; echo "
      "done'");
  EXPECT_EQ(ended.out, "done\n") << ended;
}

}  // namespace
}  // namespace hull::integration
