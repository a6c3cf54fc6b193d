// The image store and its disk under virtual machines that run: an image that is removed, a disk
// that a guest fills.
#include <gmock/gmock.h>

#include <sstream>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

using testing::HasSubstr;

class StoreTest : public HullTest {};

TEST_F(StoreTest, AnImageThatIsRemovedIsReadByThoseWhoRun) {
  const Ended ended = Shell(R"sh(
hull tag sample/busybox gone:1
hull save sample/busybox > /tmp/hull-store-test.tar
hull run -d --name r1 -m 64m sample/busybox sleep 1000 > /dev/null
hull rmi -f gone:1 sample/busybox > /dev/null; hull images -q sample/busybox
# Nothing of these has been read before.
hull exec r1 sh -c 'cat /bin/busybox | sha256sum; busybox --list | tail -n 1; ls /etc > /dev/null && echo read'
hull stop -t 1 r1; hull start r1; hull exec r1 echo again; hull rm -f r1
hull load -q -i /tmp/hull-store-test.tar > /dev/null; rm /tmp/hull-store-test.tar
hull run --rm -m 64m sample/busybox sh -c 'cat /bin/busybox | sha256sum')sh");
  std::istringstream lines(ended.out);
  std::string before;
  std::string middle;
  std::getline(lines, before);
  for (std::string line; std::getline(lines, line);) middle += line + "\n";
  EXPECT_EQ(before.size(), 67u) << ended;
  EXPECT_THAT(middle, HasSubstr("read\nr1\nr1\nagain\nr1\n" + before)) << ended;
}

TEST_F(StoreTest, AGuestThatFillsTheHostsDiskHarmsItselfAlone) {
  const Ended ended = Shell(R"sh(
mkdir -p /tmp/small && mount -t tmpfs -o size=24m small /tmp/small
hull save sample/busybox > /tmp/hull-store-test.tar
export HULL_ROOT=/tmp/small
hull load -q -i /tmp/hull-store-test.tar > /dev/null; rm /tmp/hull-store-test.tar
hull run -d --name keeps -m 64m sample/busybox \
  sh -c 'trap "exit 7" TERM; while :; do sleep 0.1; done' > /dev/null
hull run --name fills -m 64m sample/busybox \
  sh -c 'dd if=/dev/zero of=/big bs=1M count=64 conv=fsync; echo dd $?; exit 3'; echo run $?
df /tmp/small | awk 'END { print "used", $5 }'
hull ps -a --format '{{.Names}} {{.State}}' | sort
hull exec keeps echo lives
hull stop -t 10 keeps; hull wait keeps
hull inspect -f '{{.Name}} {{.State.ExitCode}}' fills keeps
for f in /tmp/small/containers/*/container.json; do jq -e .id $f > /dev/null || echo damaged $f; done
hull rm fills keeps
hull run --rm -m 64m sample/busybox echo works
umount /tmp/small; rmdir /tmp/small)sh");
  EXPECT_EQ(ended.out,
            "dd 1\nrun 3\nused 100%\nfills exited\nkeeps running\nlives\nkeeps\n7\n"
            "/fills 3\n/keeps 7\nfills\nkeeps\nworks\n")
      << ended;
}

}  // namespace
}  // namespace hull::integration
