// Images from every kind of source, in the lab.
#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

class ImageTest : public HullTest {};

constexpr char kSources[] = HULL_SOURCE_DIRECTORY "/tests/integration/image_sources";
constexpr char kOddImage[] = HULL_SOURCE_DIRECTORY "/tests/integration/odd_image";

TEST_F(ImageTest, RegistryLayoutAndArchivesGiveTheSameImageWhichRuns) {
  const Ended ended = Shell(
      std::string(
          "printf '#!/bin/sh\\nexec hull run --rm \"$1\" cat /etc/os-release\\n' >/tmp/run-it\n"
          "chmod +x /tmp/run-it\n") +
          kSources + " --image busybox --run /tmp/run-it",
      {.limit = std::chrono::seconds(400)});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_NE(ended.out.find("hull sample: busybox"), std::string::npos) << ended;
  EXPECT_NE(ended.out.find("ok busybox: registry and docker archive"), std::string::npos) << ended;
}

// What the guest sees of sample/python's upper layers: whiteout, opaque directory, links,
// attributes, names.
TEST_F(ImageTest, LayersComeTogetherInTheGuest) {
  const Ended ended = HullRun(
      {"sample/python", "bash", "-c",
       "cd /usr/share/sample && ls -1 replaced && cat kept.txt replaced/new.txt && "
       "test ! -e removed.txt && test ! -e replaced/old.txt && "
       "test linked -ef linked-again && stat -c '%a %h %F %t:%T' setuid linked null fifo && "
       "python3 -c 'import os; print(os.getxattr(\"xattr\", \"user.sample\").decode(), "
       "os.getxattr(\"capable\", \"security.capability\").hex(), "
       "sum(n.endswith(b\"\\xff.txt\") for n in os.listdir(b\".\")))'"});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_EQ(ended.out,
            "new.txt\nthis stays\nonly this is here now\n"
            "4755 1 regular file 0:0\n755 2 regular file 0:0\n666 1 character special file "
            "1:3\n600 1 fifo 0:0\n"
            "value 0100000200040000000000000000000000000000 1\n")
      << ended;
}

TEST_F(ImageTest, OddLayersComeTogetherAsOnAnUnpackedRoot) {
  const Ended ended =
      Shell(std::string("set -e; cd /tmp; hull save -o base.tar sample/busybox; ") + kOddImage +
                " base.tar odd.tar; hull load -q -i odd.tar >&2\n"
                "hull run --rm test/odd:1 sh -c 'ls -a odd odd/new odd/real; readlink odd/link'\n"
                "hull run --rm test/same:1 sh -c 'cat same; ls between'\n"
                "hull create --name opaque test/opaque:1 sh -c 'ls -d /odd; ls -d /bin; echo > "
                "/made' >&2\n"
                "hull start -a opaque; hull diff opaque; hull rm opaque >&2\n",
            {.limit = std::chrono::seconds(400)});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_EQ(
      ended.out,
      "odd:\n.\n..\nlink\nnew\nreal\ntwo\n\nodd/new:\n.\n..\nfile\n\nodd/real:\n.\n..\nbehind\n"
      "real\nsame\nbetween\n/bin\nA /made\n")
      << ended;
}

TEST_F(ImageTest, ImageThatIsNotThereIsNamed) {
  const Ended ended = HullRun({"--pull", "never", "no/such:image", "true"});
  EXPECT_EQ(ended.exit_code, 125) << ended;
  EXPECT_NE(ended.err.find("no/such:image"), std::string::npos) << ended;
}

}  // namespace
}  // namespace hull::integration
