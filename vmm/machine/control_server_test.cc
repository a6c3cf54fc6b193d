#include "vmm/machine/control_server.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace hull {
namespace {

using std::chrono::milliseconds;

class ControlServerTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hull-control-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/control.sock";
    server_ = ControlServer::Create(
                  *loop_, path_,
                  [this](const api::Request& request, const ControlServer::Client& client) {
                    clients_.push_back(client);
                    if (request.method == api::Method::kState) {
                      client.Answer(api::WriteDone(request.id));
                    }
                  })
                  .value();
  }
  void TearDown() override {
    server_.reset();
    EXPECT_NE(::access(path_.c_str(), F_OK), 0) << "the socket is left";
    ::rmdir(directory_.c_str());
  }

  UniqueFd Connect() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }
  void Work() {
    for (int i = 0; i < 20 && loop_->PollFor(milliseconds(20)) > 0; ++i) {
    }
  }
  static void Send(const UniqueFd& fd, const std::string& text) {
    EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // What has arrived; "(end)" at the end of the connection.
  static std::string Receive(const UniqueFd& fd) {
    std::string text;
    char buffer[4096];
    for (;;) {
      const ssize_t count = ::recv(fd.get(), buffer, sizeof(buffer), 0);
      if (count == 0 || (count < 0 && errno == ECONNRESET)) return text + "(end)";
      if (count < 0) return text;
      text.append(buffer, static_cast<size_t>(count));
    }
  }

  std::string directory_;
  std::string path_;
  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::Create()).value();
  std::vector<ControlServer::Client> clients_;
  std::unique_ptr<ControlServer> server_;
};

TEST_F(ControlServerTest, SocketIsForItsUserAlone) {
  struct stat info = {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(ControlServerTest, RequestsInPiecesAndInBunchesAreAnsweredInOrder) {
  const UniqueFd fd = Connect();
  Send(fd, R"({"id":1,"met)");
  Work();
  EXPECT_EQ(Receive(fd), "");
  Send(fd, "hod\":\"state\"}\n{\"id\":2,\"method\":\"state\"}\n");
  Work();
  EXPECT_EQ(Receive(fd), api::WriteDone(1) + api::WriteDone(2));
}

TEST_F(ControlServerTest, BadLineIsAnsweredAndTheConnectionLives) {
  const UniqueFd fd = Connect();
  Send(fd, "hello\n{\"id\":2,\"method\":\"state\"}\n");
  Work();
  const std::string answer = Receive(fd);
  EXPECT_NE(answer.find("\"code\":\"invalid-argument\""), std::string::npos) << answer;
  EXPECT_NE(answer.find(api::WriteDone(2)), std::string::npos) << answer;
}

TEST_F(ControlServerTest, EndlessLineIsHungUpOn) {
  const UniqueFd fd = Connect();
  const std::string piece(8192, 'x');
  for (int i = 0; i < 9; ++i) {
    ::send(fd.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    Work();
  }
  const std::string answer = Receive(fd);
  EXPECT_NE(answer.find("more than 65536 bytes"), std::string::npos) << answer;
  EXPECT_NE(answer.find("(end)"), std::string::npos);
}

TEST_F(ControlServerTest, AnswerMayComeLaterAndAfterTheClientHasGone) {
  UniqueFd first = Connect();
  const UniqueFd second = Connect();
  Send(first, "{\"id\":1,\"method\":\"kill\"}\n");
  Work();
  Send(second, "{\"id\":2,\"method\":\"kill\"}\n");
  Work();
  ASSERT_EQ(clients_.size(), 2U);
  first.Reset();
  Work();
  clients_[0].Answer(api::WriteDone(1));
  clients_[1].Answer(api::WriteDone(2));
  Work();
  EXPECT_EQ(Receive(second), api::WriteDone(2));
}

TEST_F(ControlServerTest, SeventeenthConnectionIsHungUpOn) {
  std::vector<UniqueFd> connections;
  for (size_t i = 0; i < api::kMaxControlConnections; ++i) {
    connections.push_back(Connect());
    Work();
  }
  const UniqueFd one_more = Connect();
  Work();
  EXPECT_EQ(Receive(one_more), "(end)");
  connections.pop_back();
  Work();
  const UniqueFd next = Connect();
  Send(next, "{\"id\":1,\"method\":\"state\"}\n");
  Work();
  EXPECT_EQ(Receive(next), api::WriteDone(1));
}

TEST_F(ControlServerTest, EndOfTheServerHangsUp) {
  const UniqueFd fd = Connect();
  Work();
  server_.reset();
  EXPECT_EQ(Receive(fd), "(end)");
}

}  // namespace
}  // namespace hull
