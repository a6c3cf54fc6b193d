#include "vmm/machine/control_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "vmm/base/log.h"
#include "vmm/virtio/vsock/host_socket.h"

namespace hull {
namespace {

// Answers that a client has not read. More than the largest answer.
constexpr size_t kMaxUnsentBytes = 2U << 20U;

}  // namespace

struct ControlServer::Connection {
  UniqueFd socket;
  std::string received;  // not yet a line
  std::string unsent;
  bool dropped = false;
  std::unique_ptr<Watch> watch;

  void Send() {
    while (!unsent.empty()) {
      const ssize_t count =
          ::send(socket.get(), unsent.data(), unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno != EAGAIN) dropped = true;
      if (count < 0) break;
      unsent.erase(0, static_cast<size_t>(count));
    }
    if (watch) watch->WatchWritable(!unsent.empty() && !dropped);
  }
};

void ControlServer::Client::Answer(const std::string& line) const {
  const std::shared_ptr<Connection> connection = connection_.lock();
  if (!connection || connection->dropped) return;
  connection->unsent += line;
  connection->Send();
}

Result<std::unique_ptr<ControlServer>> ControlServer::Create(EventLoop& loop,
                                                             const std::string& path,
                                                             Handler handler) {
  HULL_ASSIGN(UniqueFd listener, vsock::ListenAt(path));
  std::unique_ptr<ControlServer> server(
      new ControlServer(loop, path, std::move(listener), std::move(handler)));
  ControlServer* self = server.get();
  HULL_ASSIGN(server->accept_watch_,
              Watch::Create(loop, self->listener_.get(), [self] { self->Accept(); }));
  server->accept_watch_->WatchReadable(true);
  return server;
}

ControlServer::ControlServer(EventLoop& loop, std::string path, UniqueFd listener, Handler handler)
    : loop_(loop),
      path_(std::move(path)),
      listener_(std::move(listener)),
      handler_(std::move(handler)) {}

ControlServer::~ControlServer() {
  for (const auto& connection : connections_) {
    if (!connection->dropped) connection->Send();
    connection->watch->Stop();
  }
  ::unlink(path_.c_str());
}

void ControlServer::Accept() {
  Result<UniqueFd> socket = vsock::AcceptFrom(listener_.get());
  if (!socket) {
    log::Warn("control socket: {}", socket.error().ToString());
    return;
  }
  // Over the limit: hung up on. Closing tells the client at once.
  if (!socket->valid() || connections_.size() >= api::kMaxControlConnections) return;
  auto connection = std::make_shared<Connection>();
  connection->socket = std::move(*socket);
  Connection* raw = connection.get();
  auto watch = Watch::Create(
      loop_, raw->socket.get(), [this, raw] { OnReadable(*raw); },
      [this, raw] {
        raw->Send();
        if (raw->dropped) Drop(*raw);
      });
  if (!watch) {
    log::Warn("control socket: {}", watch.error().ToString());
    return;
  }
  connection->watch = std::move(*watch);
  connection->watch->WatchReadable(true);
  connections_.push_back(std::move(connection));
}

void ControlServer::OnReadable(Connection& connection) {
  std::array<char, 4096> buffer;
  const ssize_t count = ::recv(connection.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    Drop(connection);
    return;
  }
  connection.received.append(buffer.data(), static_cast<size_t>(count));
  if (!HandleLines(connection)) Drop(connection);
}

bool ControlServer::HandleLines(Connection& connection) {
  const auto self = std::find_if(connections_.begin(), connections_.end(),
                                 [&](const auto& each) { return each.get() == &connection; });
  const Client client(*self);
  size_t begin = 0;
  for (size_t end = connection.received.find('\n'); end != std::string::npos;
       end = connection.received.find('\n', begin)) {
    const auto request =
        api::ParseRequest(std::string_view(connection.received).substr(begin, end - begin));
    begin = end + 1;
    if (request) {
      handler_(*request, client);
    } else {
      client.Answer(api::WriteError(request.error().id, request.error().error));
    }
    if (connection.dropped || connection.unsent.size() > kMaxUnsentBytes) return false;
  }
  connection.received.erase(0, begin);
  if (connection.received.size() <= api::kMaxControlLineBytes) return true;
  client.Answer(
      api::WriteError(0, MakeError(ErrorCode::kInvalidArgument, "a line has more than {} bytes",
                                   api::kMaxControlLineBytes)));
  return false;
}

void ControlServer::Drop(Connection& connection) {
  connection.dropped = true;
  connection.watch->Stop();
  // Frees it: nothing may touch `connection` after this.
  connections_.remove_if([&](const auto& each) { return each.get() == &connection; });
}

}  // namespace hull
