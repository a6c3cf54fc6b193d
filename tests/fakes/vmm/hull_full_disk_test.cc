// hull with a store on a disk that is full, or becomes full while a container runs: a small tmpfs
// in a mount namespace of the script's own.
#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/fakes/vmm/hull_on_fake.h"

namespace hull {
namespace {

class HullFullDiskTest : public HullOnFake {
 protected:
  void SetUp() override {
    HullOnFake::SetUp();
    if (geteuid() != 0) GTEST_SKIP() << "mounting needs root";
  }
  // With functions `fill` and `free`.
  Ended OnSmallDisk(const std::string& script) const {
    return Shell(
        "cat > inner <<'END'\n"
        "cp -a store saved; mount -t tmpfs -o size=512k small store; cp -a saved/. store/\n"
        "fill() { cat /dev/zero > store/fill 2> /dev/null; }\n"
        "free() { rm store/fill; }\n" +
        script + "\nEND\nunshare -m bash inner");
  }
};

TEST_F(HullFullDiskTest, AContainerThatCannotBeMadeLeavesNothing) {
  const Ended ended = OnSmallDisk(
      "$HULL ps -a > /dev/null; mkdir -p store/containers store/names; fill\n"
      "$HULL create --storage tmpfs --name k1 --cidfile cid test true; echo $?\n"
      "$HULL run --storage tmpfs --name k1 test true; echo $?\n"
      "ls -A store/containers store/names; ls cid run/*/ 2> /dev/null; free\n"
      "$HULL run --rm --storage tmpfs --name k1 test echo works");
  EXPECT_EQ(ended.out, "1\n125\nstore/containers:\n\nstore/names:\nworks\n") << ended.err;
  EXPECT_NE(ended.err.find("No space left on device"), std::string::npos) << ended.err;
}

TEST_F(HullFullDiskTest, AWritableLayerThatDoesNotFitIsSaidAndLeavesNothing) {
  const Ended ended = OnSmallDisk(
      "mount -o remount,size=200m store\n"
      "for c in k1 k2; do $HULL create --name $c test echo works > /dev/null; done\n"
      "fill; $HULL start -a k1; echo $?; ls -A store/scratch store/containers/*\n"
      "free; $HULL start -a k1; ls store/scratch | wc -l\n"
      "fill; $HULL start -a k2; echo $?; ls store/scratch | wc -l; ls -A store/containers/* | grep "
      "-c scratch\n"
      "$HULL ps -a --format '{{.Names}} {{.State}}' | sort; free; $HULL start -a k2; $HULL rm k1 "
      "k2");
  EXPECT_THAT(ended.out,
              testing::MatchesRegex(
                  "125\nstore/containers/[0-9a-f]+:\nconfig.json\ncontainer.json\n\n"
                  "store/containers/[0-9a-f]+:\nconfig.json\ncontainer.json\n\n"
                  "store/scratch:\nworks\n1\n125\n1\n1\nk1 exited\nk2 created\nworks\nk1\nk2\n"))
      << ended.err;
  EXPECT_EQ(ended.err,
            "hull: make the template of writable layers: mkfs.ext4: No space left on device\n"
            "hull: make the writable layer: write the scratch disk: No space left on device\n");
}

TEST_F(HullFullDiskTest, AChangeThatDoesNotFitLeavesTheRecordAsItWas) {
  const Ended ended = OnSmallDisk(
      "$HULL create --storage tmpfs --name old test true > /dev/null; fill\n"
      "$HULL rename old new; echo $?; $HULL ps -a --format '{{.Names}} {{.State}}'; free\n"
      "ls store/names; ls store/containers/*; $HULL rename old new; $HULL rm new");
  EXPECT_EQ(ended.out, "1\nold created\nold\nconfig.json\ncontainer.json\nnew\n") << ended.err;
  EXPECT_NE(ended.err.find("No space left on device"), std::string::npos) << ended.err;
}

TEST_F(HullFullDiskTest, OutputAndExitStatusAreNotLostWithTheLog) {
  const Ended ended = OnSmallDisk(
      "$HULL run --storage tmpfs --name r1 test sh -c 'echo first; until [ -e '$PWD'/go ]; do "
      "sleep 0.02; done; seq 20000; exit 5' > said 2> warned & user=$!\n"
      "until grep -q first said; do sleep 0.02; done; sleep 0.1; fill; touch go; wait $user\n"
      "echo $?; tail -n +2 said | cmp - <(seq 20000); grep -c 'No space left on device' warned\n"
      "$HULL ps -a --format '{{.Names}} {{.Status}}' | cut -d' ' -f1-3; free\n"
      "$HULL logs r1; ls store/containers/*; $HULL start -a r1 | tail -n 1; $HULL rm r1");
  EXPECT_EQ(ended.out,
            "5\n1\nr1 Exited (5)\nfirst\nconfig.json\ncontainer.json\ncontainer.log\n20000\nr1\n")
      << ended.err;
}

}  // namespace
}  // namespace hull
