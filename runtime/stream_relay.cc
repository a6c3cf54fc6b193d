#include "runtime/stream_relay.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <boost/asio/post.hpp>

namespace hull {
namespace {

using Descriptor = boost::asio::posix::stream_descriptor;

constexpr size_t kChunkBytes = 64 * 1024;
// So that one busy stream leaves the loop to others.
constexpr int kChunksInOneGo = 8;

void Close(Descriptor& descriptor) {
  boost::system::error_code ignored;
  descriptor.close(ignored);
}

bool WouldBlock() {
  return errno == EAGAIN;  // the same as EWOULDBLOCK on Linux
}

// Pages that nothing is read into are never touched.
std::unique_ptr<char[]> MakeChunk() {
  return std::make_unique_for_overwrite<char[]>(kChunkBytes);
}

ssize_t Receive(Descriptor& from, char* chunk) {
  ssize_t got = -1;
  do {
    got = recv(from.native_handle(), chunk, kChunkBytes, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  return got;
}

// Gives what is taken now. False: the other side is gone.
bool GiveSome(Descriptor& to, std::string_view& left) {
  while (!left.empty()) {
    const ssize_t sent =
        send(to.native_handle(), left.data(), left.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return WouldBlock();
    left.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

GuestStream MakeGuestStream(boost::asio::io_context& io, UniqueFd socket) {
  return std::make_shared<Descriptor>(io, socket.Release());
}

void OutputRelay::Start(LogHandler log, DoneHandler done) {
  log_ = std::move(log);
  on_done_ = std::move(done);
  started_ = true;
  AwaitSource();
}

void OutputRelay::Attach(UniqueFd client, const void* owner) {
  auto made = std::make_shared<Client>(io_, std::move(client), owner);
  // With a chunk on its way it begins behind it.
  if (!done_) clients_.push_back(std::move(made));
}

void OutputRelay::Detach(const void* owner) {
  for (const std::shared_ptr<Client>& client : clients_) {
    if (client->owner != owner) continue;
    client->gone = true;
    Close(client->socket);
  }
  // A reader that stalled holds nobody up any more.
  if (delivering_) boost::asio::post(io_, [self = shared_from_this()] { self->Delivered(); });
}

void OutputRelay::BreakPipe() {
  if (done_) return;
  // agent.proto, StreamOpen: a byte from the host closes the process's pipe. If the guest is not
  // there to take it, nobody writes either.
  [[maybe_unused]] const ssize_t ignored =
      send(source_->native_handle(), "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  shutdown(source_->native_handle(), SHUT_RDWR);
}

void OutputRelay::Stop() {
  on_done_ = {};
  if (!done_) Finish();
}

void OutputRelay::AwaitSource() {
  source_->async_wait(Descriptor::wait_read,
                      [self = shared_from_this()](boost::system::error_code error) {
                        if (!self->done_ && !error) self->Read();
                      });
}

void OutputRelay::Read() {
  if (!chunk_) chunk_ = MakeChunk();
  for (int count = 0; count < kChunksInOneGo; ++count) {
    const ssize_t got = Receive(*source_, chunk_.get());
    if (got < 0 && WouldBlock()) break;
    if (got <= 0) return Finish();
    const std::string_view bytes(chunk_.get(), static_cast<size_t>(got));
    log_(bytes);
    for (const std::shared_ptr<Client>& client : clients_) client->left = bytes;
    if (!Deliver()) return;
  }
  AwaitSource();
}

bool OutputRelay::Deliver() {
  delivering_ = true;
  bool all = true;
  for (auto next = clients_.begin(); next != clients_.end();) {
    const std::shared_ptr<Client> client = *next++;
    if (!client->gone && !GiveSome(client->socket, client->left)) client->gone = true;
    if (client->gone) {
      Close(client->socket);
      clients_.remove(client);
    } else if (!client->left.empty()) {
      all = false;
      Feed(client);
    }
  }
  delivering_ = !all;
  return all;
}

void OutputRelay::Feed(const std::shared_ptr<Client>& client) {
  if (client->waiting) return;
  client->waiting = true;
  client->socket.async_wait(Descriptor::wait_write,
                            [self = shared_from_this(), client](boost::system::error_code error) {
                              client->waiting = false;
                              if (error) client->gone = true;
                              self->Delivered();
                            });
}

void OutputRelay::Delivered() {
  if (done_ || !delivering_) return;
  if (Deliver()) AwaitSource();
}

void OutputRelay::Finish() {
  done_ = true;
  // Their ends of file.
  for (const std::shared_ptr<Client>& client : clients_) Close(client->socket);
  clients_.clear();
  Close(*source_);
  if (on_done_) std::exchange(on_done_, {})();
}

void InputRelay::Attach(UniqueFd client, const void* owner, bool ends) {
  if (!target_->is_open()) return;
  sources_.push_back(std::make_shared<Source>(io_, std::move(client), owner, ends));
  Await(sources_.back());
}

void InputRelay::Detach(const void* owner) {
  for (auto next = sources_.begin(); next != sources_.end();) {
    const std::shared_ptr<Source> source = *next++;
    if (source->owner == owner) Ended(source);
  }
}

void InputRelay::Stop() {
  for (const std::shared_ptr<Source>& source : sources_) Close(source->socket);
  sources_.clear();
  waiting_.clear();
}

void InputRelay::Await(const std::shared_ptr<Source>& source) {
  if (!source->socket.is_open()) return;
  source->socket.async_wait(Descriptor::wait_read,
                            [self = shared_from_this(), source](boost::system::error_code error) {
                              if (!error) self->Read(source);
                            });
}

void InputRelay::Read(const std::shared_ptr<Source>& source) {
  if (!source->socket.is_open()) return;
  if (writing_) {
    waiting_.push_back(source);
    return;
  }
  if (!chunk_) chunk_ = MakeChunk();
  const ssize_t got = Receive(source->socket, chunk_.get());
  if (got < 0 && WouldBlock()) return Await(source);
  if (got <= 0) return Ended(source);
  left_ = std::string_view(chunk_.get(), static_cast<size_t>(got));
  writing_ = true;
  Write(source);
}

void InputRelay::Write(const std::shared_ptr<Source>& source) {
  if (!target_->is_open() || !GiveSome(*target_, left_)) {
    // The process has closed its input, or has ended: nobody's input is wanted any more.
    writing_ = false;
    return Stop();
  }
  if (!left_.empty()) {
    target_->async_wait(
        Descriptor::wait_write,
        [self = shared_from_this(), source](boost::system::error_code) { self->Write(source); });
    return;
  }
  writing_ = false;
  Await(source);
  if (waiting_.empty()) return;
  const std::shared_ptr<Source> next = waiting_.front();
  waiting_.pop_front();
  Read(next);
}

void InputRelay::Ended(const std::shared_ptr<Source>& source) {
  Close(source->socket);
  sources_.remove(source);
  waiting_.remove(source);
  if (source->ends && !terminal_ && target_->is_open()) {
    shutdown(target_->native_handle(), SHUT_WR);
    Stop();
  }
}

}  // namespace hull
