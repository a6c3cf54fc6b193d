#include "guest-agent/user.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "vmm/base/file.h"

namespace hull::agent {
namespace {

using testing::Test;

const AccountFiles kFiles = {
    .passwd =
        "# comment\n"
        "root:x:0:0:root:/root:/bin/sh\n"
        "\n"
        "web:x:1000:1001:Web:/srv/web:/bin/sh\n"
        "33:x:44:45::/thirty-three:\n"
        "nohome:x:46:46:::\n"
        "broken:x:abc:1:::\n"
        "  spaced:x:50:50::/spaced:  \n",
    .group =
        "root:x:0:\n"
        "wheel:x:10:root,web\n"
        "web:x:1001:\n"
        "extra:x:1002:other,web\n"
        "similar:x:1003:website,web2\n",
};

std::vector<uint32_t> Groups(std::string_view user, std::vector<std::string> additional = {}) {
  return ResolveUser(kFiles, user, additional).value().groups;
}

TEST(UserTest, NameGivesUidGidHomeAndItsGroups) {
  const Identity identity = ResolveUser(kFiles, "web", {}).value();
  EXPECT_EQ(identity.uid, 1000u);
  EXPECT_EQ(identity.gid, 1001u);
  EXPECT_EQ(identity.home, "/srv/web");
  EXPECT_EQ(identity.groups, (std::vector<uint32_t>{1001, 10, 1002}));
}

TEST(UserTest, EmptyIsTheUserZeroOfTheFile) {
  const Identity identity = ResolveUser(kFiles, "", {}).value();
  EXPECT_EQ(identity.uid, 0u);
  EXPECT_EQ(identity.home, "/root");
  EXPECT_EQ(identity.groups, (std::vector<uint32_t>{0, 10}));
}

TEST(UserTest, NumberOfAnEntryIsThatUser) {
  const Identity identity = ResolveUser(kFiles, "1000", {}).value();
  EXPECT_EQ(identity.gid, 1001u);
  EXPECT_EQ(identity.home, "/srv/web");
  EXPECT_EQ(Groups("1000"), (std::vector<uint32_t>{1001, 10, 1002}));
}

TEST(UserTest, NumberWithoutAnEntryHasGroupZeroAndHomeSlash) {
  const Identity identity = ResolveUser(kFiles, "4242", {}).value();
  EXPECT_EQ(identity.uid, 4242u);
  EXPECT_EQ(identity.gid, 0u);
  EXPECT_EQ(identity.home, "/");
  EXPECT_EQ(identity.groups, (std::vector<uint32_t>{0}));
}

TEST(UserTest, NameThatLooksLikeANumberIsFoundAsAName) {
  EXPECT_EQ(ResolveUser(kFiles, "33", {})->uid, 44u);
}

TEST(UserTest, GivenGroupReplacesTheSupplementaryOnes) {
  const Identity identity = ResolveUser(kFiles, "web:wheel", {}).value();
  EXPECT_EQ(identity.gid, 10u);
  EXPECT_EQ(identity.groups, (std::vector<uint32_t>{10}));
  EXPECT_EQ(ResolveUser(kFiles, "web:1002", {})->gid, 1002u);
  EXPECT_EQ(ResolveUser(kFiles, "1:77", {})->gid, 77u);
  EXPECT_EQ(ResolveUser(kFiles, ":wheel", {})->gid, 10u);
}

TEST(UserTest, AdditionalGroupsAreNamesOrNumbersWithoutRepeats) {
  EXPECT_EQ(Groups("web:web", {"wheel", "77", "10", "web"}), (std::vector<uint32_t>{1001, 10, 77}));
  EXPECT_EQ(ResolveUser(kFiles, "web", {"nothing"}).error().code(), ErrorCode::kInvalidArgument);
}

TEST(UserTest, UnknownNamesSayWhatDockerSays) {
  EXPECT_EQ(ResolveUser(kFiles, "nobody", {}).error().ToString(),
            "unable to find user nobody: no matching entries in passwd file");
  EXPECT_EQ(ResolveUser(kFiles, "web:nogroup", {}).error().ToString(),
            "unable to find group nogroup: no matching entries in group file");
  EXPECT_EQ(ResolveUser(kFiles, "broken", {}).error().code(), ErrorCode::kInvalidArgument);
}

TEST(UserTest, NumbersOutOfRangeAreRefused) {
  EXPECT_EQ(ResolveUser(kFiles, "2147483648", {}).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(ResolveUser(kFiles, "0:2147483648", {}).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(ResolveUser(kFiles, "99999999999999999999", {}).error().code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(ResolveUser(kFiles, "-1", {}).error().code(), ErrorCode::kInvalidArgument);
}

TEST(UserTest, MissingFilesKnowOnlyNumbers) {
  EXPECT_EQ(ResolveUser({}, "", {})->uid, 0u);
  EXPECT_EQ(ResolveUser({}, "", {})->home, "/");
  EXPECT_EQ(ResolveUser({}, "5:6", {})->gid, 6u);
  EXPECT_EQ(ResolveUser({}, "root", {}).error().code(), ErrorCode::kInvalidArgument);
}

TEST(UserTest, EntryWithoutAHomeHasSlash) {
  EXPECT_EQ(ResolveUser(kFiles, "nohome", {})->home, "/");
  EXPECT_EQ(ResolveUser(kFiles, "spaced", {})->home, "/spaced");
}

class AccountFilesTest : public Test {
 protected:
  AccountFilesTest() {
    char name[] = "/tmp/hull-user-test-XXXXXX";
    base_ = ::mkdtemp(name);
    EXPECT_TRUE(MakeDirectories(base_ + "/rootfs/etc", 0755).has_value());
    EXPECT_TRUE(WriteFileAtomically(base_ + "/outside", "host:x:0:0:::\n", 0644).has_value());
  }
  ~AccountFilesTest() override {
    if (std::system(("rm -rf " + base_).c_str()) != 0) std::abort();
  }
  std::string Passwd() const { return base_ + "/rootfs/etc/passwd"; }
  std::string base_;
};

TEST_F(AccountFilesTest, FilesAreRead) {
  ASSERT_TRUE(WriteFileAtomically(Passwd(), "a:x:1:1:::\n", 0644).has_value());
  const AccountFiles files = ReadAccountFiles(base_ + "/rootfs").value();
  EXPECT_EQ(files.passwd, "a:x:1:1:::\n");
  EXPECT_EQ(files.group, "");
}

TEST_F(AccountFilesTest, LinksNeverLeaveTheRoot) {
  ASSERT_EQ(::symlink("../../outside", Passwd().c_str()), 0);
  EXPECT_EQ(ReadAccountFiles(base_ + "/rootfs")->passwd, "");
  ::unlink(Passwd().c_str());
  ASSERT_EQ(::symlink((base_ + "/outside").c_str(), Passwd().c_str()), 0);
  EXPECT_EQ(ReadAccountFiles(base_ + "/rootfs")->passwd, "");
}

TEST_F(AccountFilesTest, AbsoluteLinksWithinTheRootWork) {
  ASSERT_TRUE(WriteFileAtomically(base_ + "/rootfs/accounts", "in:x:1:1:::\n", 0644).has_value());
  ASSERT_EQ(::symlink("/accounts", Passwd().c_str()), 0);
  EXPECT_EQ(ReadAccountFiles(base_ + "/rootfs")->passwd, "in:x:1:1:::\n");
}

TEST_F(AccountFilesTest, WhatIsNotAFileIsRefusedAndNothingHangs) {
  ASSERT_EQ(::mkfifo(Passwd().c_str(), 0644), 0);
  EXPECT_EQ(ReadAccountFiles(base_ + "/rootfs").error().code(), ErrorCode::kInvalidArgument);
  ::unlink(Passwd().c_str());
  ASSERT_EQ(::mkdir(Passwd().c_str(), 0755), 0);
  EXPECT_EQ(ReadAccountFiles(base_ + "/rootfs").error().code(), ErrorCode::kInvalidArgument);
  ::rmdir(Passwd().c_str());
  ASSERT_EQ(::symlink("passwd", Passwd().c_str()), 0);
  EXPECT_FALSE(ReadAccountFiles(base_ + "/rootfs").has_value());
}

}  // namespace
}  // namespace hull::agent
