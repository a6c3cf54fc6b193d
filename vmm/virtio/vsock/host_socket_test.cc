#include "vmm/virtio/vsock/host_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>

namespace hull::vsock {
namespace {

class HostSocketTest : public testing::Test {
 protected:
  HostSocketTest() {
    char name[] = "/tmp/hull-vsock-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/socket";
  }
  ~HostSocketTest() override {
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }

  std::string directory_;
  std::string path_;
};

TEST_F(HostSocketTest, ListeningSocketIsForThisUserAloneWhateverTheUmask) {
  const mode_t before = umask(0);
  const Result<UniqueFd> listener = ListenAt(path_);
  umask(before);
  ASSERT_TRUE(listener);
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
}

TEST_F(HostSocketTest, SocketOfAProcessThatHasEndedIsReplaced) {
  ASSERT_TRUE(ListenAt(path_));  // closed at once; the file stays
  const Result<UniqueFd> listener = ListenAt(path_);
  ASSERT_TRUE(listener) << listener.error().ToString();
  EXPECT_TRUE(ConnectTo(path_));
}

TEST_F(HostSocketTest, SocketThatSomebodyListensAtIsLeftAlone) {
  const Result<UniqueFd> first = ListenAt(path_);
  ASSERT_TRUE(first);
  const Result<UniqueFd> second = ListenAt(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kAlreadyExists);
  EXPECT_TRUE(ConnectTo(path_));
}

TEST_F(HostSocketTest, FileThatIsNoSocketIsLeftAlone) {
  std::ofstream(path_) << "precious";
  const Result<UniqueFd> listener = ListenAt(path_);
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
}

TEST_F(HostSocketTest, PathTooLongForASocketSaysSo) {
  const Result<UniqueFd> listener = ListenAt(std::string(108, 'x'));
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(listener.error().ToString(), testing::HasSubstr("108"));
}

TEST_F(HostSocketTest, NobodyListensIsAnError) {
  EXPECT_FALSE(ConnectTo(path_));
  ASSERT_TRUE(ListenAt(path_));
  EXPECT_FALSE(ConnectTo(path_));  // the file is there, its owner has gone
}

TEST_F(HostSocketTest, AcceptWithoutAnyoneIsNoError) {
  const Result<UniqueFd> listener = ListenAt(path_);
  ASSERT_TRUE(listener);
  const Result<UniqueFd> socket = AcceptFrom(listener->get());
  ASSERT_TRUE(socket);
  EXPECT_FALSE(socket->valid());
}

class SocketPairTest : public testing::Test {
 protected:
  SocketPairTest() {
    std::array<int, 2> pair{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
    ours_.Reset(pair[0]);
    peer_.Reset(pair[1]);
  }

  UniqueFd ours_;
  UniqueFd peer_;
};

TEST_F(SocketPairTest, SendingToAFullSocketMovesNothingAndIsNoError) {
  const std::string data(1 << 20, 'x');
  const auto bytes = std::as_bytes(std::span(data));
  while (SendTo(ours_.get(), bytes).bytes > 0) {
  }
  const SocketResult result = SendTo(ours_.get(), bytes);
  EXPECT_EQ(result.bytes, 0U);
  EXPECT_FALSE(result.broken);
}

TEST_F(SocketPairTest, SendingToAPeerThatHasGoneIsBrokenWithoutASignal) {
  peer_.Reset();
  EXPECT_TRUE(SendTo(ours_.get(), std::as_bytes(std::span("x"))).broken);
}

TEST_F(SocketPairTest, DiscardUnreadLetsThePeerSeeTheEndInsteadOfAnError) {
  ASSERT_EQ(write(peer_.get(), "unread", 6), 6);
  DiscardUnread(ours_.get());
  ours_.Reset();
  char byte = 0;
  EXPECT_EQ(read(peer_.get(), &byte, 1), 0);
}

}  // namespace
}  // namespace hull::vsock
