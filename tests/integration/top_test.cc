// hull top, as a user drives it.
#include <algorithm>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

class TopTest : public HullTest {
 protected:
  void TearDown() override {
    Shell("hull rm -f top-test");
    HullTest::TearDown();
  }
};

TEST_F(TopTest, ProcessesAsTheContainerSeesThem) {
  ASSERT_EQ(Shell("hull run -d --name top-test sample/busybox sleep 1000").exit_code, 0);
  Shell("hull exec -d -u nobody top-test sleep 555");
  const Ended full = Shell("hull top top-test");
  EXPECT_EQ(full.exit_code, 0) << full;
  EXPECT_TRUE(full.out.starts_with("UID                 PID                 PPID")) << full;
  EXPECT_EQ(std::count(full.out.begin(), full.out.end(), '\n'), 3) << full;
  EXPECT_EQ(Shell("hull top top-test -o pid,user,args | awk '{print $1,$2,$3,$4}' | head -n 2").out,
            "PID USER COMMAND \n1 root sleep 1000\n");
  EXPECT_EQ(Shell("hull top top-test -o pid,user,args | grep -c 'nobody *sleep 555'").out, "1\n");
  EXPECT_TRUE(Shell("hull top top-test aux").out.starts_with("USER ")) << "aux";
  const Ended refused = Shell("hull top top-test -o pid,selinux");
  EXPECT_EQ(refused.exit_code, 1) << refused;
  EXPECT_NE(refused.err.find("no column 'selinux'"), std::string::npos) << refused;
  Shell("hull stop -t 0 top-test");
  const Ended stopped = Shell("hull top top-test");
  EXPECT_EQ(stopped.exit_code, 1) << stopped;
  EXPECT_NE(stopped.err.find("is not running"), std::string::npos) << stopped;
}

}  // namespace
}  // namespace hull::integration
