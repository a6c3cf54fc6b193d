// hull cp, diff and commit, as a user drives them.
#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

class CpTest : public HullTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(Shell("rm -rf /tmp/cp-test && mkdir /tmp/cp-test").exit_code, 0);
  }
  void TearDown() override {
    Shell("hull rm -f cp-test; rm -rf /tmp/cp-test; hull rmi -f cp-test:made");
    HullTest::TearDown();
  }
  static void Start(const std::string& options = "") {
    ASSERT_EQ(
        Shell("hull run -d --name cp-test " + options + " sample/busybox sleep 1000").exit_code, 0);
  }
  static Ended Run(const std::string& script) { return Shell("cd /tmp/cp-test; " + script); }
};

constexpr char kMakeTree[] =
    "mkdir -p t/d; echo one > t/a; ln t/a t/h; ln -s a t/l; ln -s /etc/passwd t/abs; mkfifo t/p; "
    "chmod 640 t/a; truncate -s 3G t/holes; printf x >> t/holes; touch -d 2001-02-03 t/d; "
    "setfattr -n user.note -v y t/a; printf z > t/$'not-utf8-\\xff'; ";

// Everything that is to survive, in a form that can be compared.
constexpr char kShow[] =
    "show() { (cd $1; find . -printf '%P %y %m %n %l %s\\n' | grep -av '^ d\\|^d ' | sort; cat a "
    "h; "
    "cat not-utf8*; getfattr --only-values -n user.note a; "
    "test $(stat -c %b holes) -lt 100 && echo sparse); }; ";

TEST_F(CpTest, ATreeInAndOutOfARunningContainer) {
  Start();
  const Ended ended = Run(std::string(kMakeTree) + kShow +
                          "hull cp -q t cp-test:/srv && hull cp -q cp-test:/srv back && "
                          "show t > 1; show back > 2; diff 1 2 && wc -l < 1");
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_EQ(ended.err, "");
}

TEST_F(CpTest, DockersRulesForNames) {
  Start();
  const Ended ended = Run(R"(
mkdir e; echo f > e/f
hull cp -q e cp-test:/tmp; hull exec cp-test ls /tmp/e
hull cp -q e/. cp-test:/tmp; hull exec cp-test ls /tmp/f
hull cp -q e cp-test:/new; hull exec cp-test ls /new
hull cp -q e/f cp-test:/renamed; hull exec cp-test cat /renamed
hull cp -q cp-test:/tmp/e/. .; cat f
hull cp -q cp-test:/renamed there; cat there
hull cp cp-test:/renamed - | tar tf -
tar c e | hull cp - cp-test:/home; hull exec cp-test ls /home/e
)");
  EXPECT_EQ(ended.out, "f\n/tmp/f\nf\nf\nf\nf\nrenamed\nf\n") << ended;
  struct Refused {
    const char* words;
    const char* says;
  };
  for (const Refused& test :
       {Refused{"cp-test:/no/such .", "Could not find the file /no/such in container cp-test"},
        Refused{"no-such cp-test:/", "lstat no-such: No such file or directory"},
        Refused{"e cp-test:/no/such/place", "Could not find the file /no/such in container"},
        Refused{"e cp-test:/etc/passwd", "cannot copy directory"},
        Refused{"e/f cp-test:/gone/", "no such directory"},
        Refused{"cp-test:/etc/passwd /no/such/x", "directory \"/no/such\" does not exist"},
        Refused{"cp-test:/a cp-test:/b", "copying between containers is not supported"},
        Refused{"a b", "must specify at least one container source or destination"}}) {
    const Ended refused = Run(std::string("mkdir -p e; touch e/f; hull cp ") + test.words);
    EXPECT_EQ(refused.exit_code, 1) << test.words << refused;
    EXPECT_NE(refused.err.find(test.says), std::string::npos) << test.words << refused;
  }
}

TEST_F(CpTest, StoppedContainersHaveFilesToo) {
  ASSERT_EQ(Shell("hull run --name cp-test sample/busybox sh -c 'echo 1 > /one; mkdir /d; "
                  "rm /etc/group'")
                .exit_code,
            0);
  const Ended ended =
      Run(std::string(kMakeTree) + kShow +
          "hull cp -q t cp-test:/d && hull cp -q cp-test:/d/t back && "
          "show t > 1; show back > 2; diff 1 2; hull cp -q cp-test:/one .; cat one; "
          "hull diff cp-test | grep -v '/t/'");
  EXPECT_EQ(ended.out, "1\nA /d\nA /d/t\nC /etc\nD /etc/group\nA /one\n") << ended;
}

TEST_F(CpTest, WhatIsHostileStaysInTheContainer) {
  Start();
  // A link that leads to the host's files when it is followed on the host; devices; set-user-id.
  const Ended ended = Run(R"(
hull exec cp-test sh -c 'mkdir /h; ln -s /tmp/cp-test /h/up; ln -s / /root-link; echo x > /h/s; chmod 4755 /h/s'
hull cp -q cp-test:/h . ; stat -c %a h/s; readlink h/up
hull cp -q cp-test:/root-link/etc/hostname name && test -s name && echo inside
hull cp -q cp-test:/dev/null . ; test -e null || echo no-device
hull cp -qa cp-test:/h kept; stat -c %a kept/s
)");
  EXPECT_EQ(ended.out, "755\n/tmp/cp-test\ninside\nno-device\n4755\n") << ended;
}

TEST_F(CpTest, DiffAndCommit) {
  Start("-e KEPT=1");
  EXPECT_EQ(Run("hull diff cp-test").out, "");
  const Ended ended = Run(R"(
hull exec cp-test sh -c 'echo d > /data; rm /etc/group; mkdir -p /a/b; ln /data /a/hard; ln -s x /a/l; touch /tmp/t'
hull diff cp-test
hull commit -c 'CMD ["cat","/data"]' -c 'ENV NEW=2' -c 'LABEL l=m' -m note cp-test cp-test:made | cut -c1-7
hull run --rm cp-test:made
hull run --rm cp-test:made sh -c 'ls /etc/group; stat -c %h /data; readlink /a/l; echo $KEPT $NEW; ls -a /a'
)");
  EXPECT_EQ(ended.out,
            "A /a\nA /a/b\nA /a/hard\nA /a/l\nA /data\nC /etc\nD /etc/group\nC /tmp\nA /tmp/t\n"
            "sha256:\nd\n2\nx\n1 2\n.\n..\nb\nhard\nl\n")
      << ended;
  EXPECT_EQ(Run("hull commit -c 'RUN x' cp-test").exit_code, 1);
}

}  // namespace
}  // namespace hull::integration
