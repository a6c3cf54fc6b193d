#include "vmm/virtio/vsock/host_clients.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>
#include <variant>

#include "vmm/virtio/vsock/connect_line.h"
#include "vmm/virtio/vsock/host_socket.h"
#include "vmm/virtio/vsock/limits.h"

namespace hull::vsock {
namespace {

enum class LineState { kIncomplete, kComplete, kUseless };

// Takes the line's bytes that have come and not one more: what follows belongs to the guest.
LineState TakeLine(int socket, std::string& line) {
  std::array<char, kMaxConnectLineBytes> text;
  const ssize_t seen =
      recv(socket, text.data(), text.size() - line.size(), MSG_PEEK | MSG_DONTWAIT);
  if (seen < 0 && (errno == EAGAIN || errno == EINTR)) return LineState::kIncomplete;
  if (seen <= 0) return LineState::kUseless;
  const std::string_view peeked(text.data(), static_cast<size_t>(seen));
  const size_t newline = peeked.find('\n');
  const size_t mine = newline == std::string_view::npos ? peeked.size() : newline + 1;
  if (recv(socket, text.data(), mine, MSG_DONTWAIT) != static_cast<ssize_t>(mine))
    return LineState::kUseless;
  line.append(peeked.substr(0, mine));
  const ConnectLineResult result = ParseConnectLine(line);
  if (std::holds_alternative<ConnectLine>(result)) return LineState::kComplete;
  return std::holds_alternative<ConnectLineIncomplete>(result) ? LineState::kIncomplete
                                                               : LineState::kUseless;
}

}  // namespace

Result<std::unique_ptr<HostClients>> HostClients::Create(EventLoop& loop, std::string path,
                                                         Events events) {
  HULL_ASSIGN(UniqueFd listener, ListenAt(path));
  auto clients = std::unique_ptr<HostClients>(
      new HostClients(loop, std::move(path), std::move(listener), std::move(events)));
  HostClients* self = clients.get();
  HULL_ASSIGN(clients->listener_watch_,
              Watch::Create(loop, self->listener_.get(), [self] { self->OnArrival(); }));
  self->listener_watch_->WatchReadable(true);
  return clients;
}

HostClients::~HostClients() {
  static_cast<void>(unlink(path_.c_str()));
}

void HostClients::OnArrival() {
  while (!paused_) {
    if (!events_.has_room()) {
      // Whoever connects now waits in the backlog.
      paused_ = true;
      break;
    }
    Result<UniqueFd> socket = AcceptFrom(listener_.get());
    if (!socket) {
      if (limit_.Allow()) log::Warn("vsock: {}", socket.error().ToString());
      paused_ = true;
      break;
    }
    if (!socket->valid()) return;
    Add(std::move(*socket));
  }
  listener_watch_->WatchReadable(false);
  events_.arrived();
}

void HostClients::Add(UniqueFd socket) {
  const uint64_t id = next_id_++;
  Result<std::unique_ptr<Watch>> watch =
      Watch::Create(loop_, socket.get(), [this, id] { OnReadable(id); });
  if (!watch) {
    if (limit_.Allow()) log::Warn("vsock: {}", watch.error().ToString());
    return;
  }
  (*watch)->WatchReadable(true);
  clients_.emplace(id, Client{.socket = std::move(socket),
                              .line = {},
                              .deadline = Clock::now() + events_.limit,
                              .watch = std::move(*watch)});
  events_.arrived();
}

void HostClients::OnReadable(uint64_t id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  const LineState state = TakeLine(found->second.socket.get(), found->second.line);
  if (state == LineState::kIncomplete) return;
  Client client = std::move(found->second);
  clients_.erase(found);
  client.watch.reset();
  if (state == LineState::kComplete)
    events_.connect(std::move(client.socket),
                    std::get<ConnectLine>(ParseConnectLine(client.line)).port);
  Resume();
}

bool HostClients::OnTick(Clock::time_point now) {
  std::erase_if(clients_, [now](const auto& entry) { return entry.second.deadline <= now; });
  Resume();
  return paused_ || !clients_.empty();
}

void HostClients::Resume() {
  if (!paused_ || !events_.has_room()) return;
  paused_ = false;
  listener_watch_->WatchReadable(true);
}

}  // namespace hull::vsock
