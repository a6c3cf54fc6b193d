#include "guest-agent/stream_acceptor.h"

#include <array>
#include <string>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "guest-agent/protocol/agent.pb.h"
#include "guest-agent/protocol/stream_frame.h"

namespace hull::agent {
namespace {

constexpr size_t kMaxUnderWay = 256;
constexpr std::chrono::seconds kFirstFrameWait{10};

using boost::system::error_code;

}  // namespace

// Lives as long as its operations: each holds it. A failed one lets go, which closes the
// connection.
class StreamAcceptor::Handshake : public std::enable_shared_from_this<Handshake> {
 public:
  Handshake(StreamAcceptor& acceptor, UniqueFd connection)
      : acceptor_(acceptor),
        connection_(acceptor.io_, connection.Release()),
        timer_(acceptor.io_, kFirstFrameWait) {
    ++acceptor_.under_way_;
  }
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;
  ~Handshake() { --acceptor_.under_way_; }

  void Start() {
    timer_.async_wait([weak = weak_from_this()](const error_code& cancelled) {
      const auto self = weak.lock();
      if (cancelled || !self) return;
      error_code ignored;
      self->connection_.close(ignored);
    });
    boost::asio::async_read(connection_, boost::asio::buffer(header_),
                            [self = shared_from_this()](const error_code& failed, size_t) {
                              if (!failed) self->ReadMessage();
                            });
  }

 private:
  void ReadMessage() {
    const Result<uint32_t> size = DecodeStreamFrameLength(header_);
    if (!size) return;
    body_.resize(*size);
    boost::asio::async_read(connection_, boost::asio::buffer(body_),
                            [self = shared_from_this()](const error_code& failed, size_t) {
                              if (!failed) self->Answer();
                            });
  }

  void Answer() {
    if (!open_.ParseFromString(body_)) return;
    if (open_.has_archive()) return AnswerArchive();
    const Status found = acceptor_.containers_.CheckStream(open_);
    v1::StreamOpened opened;
    if (!found) opened.set_error(found.error().ToString());
    Result<std::string> frame = EncodeStreamFrame(opened);
    if (!frame) return;
    body_ = std::move(*frame);
    boost::asio::async_write(
        connection_, boost::asio::buffer(body_),
        [self = shared_from_this(), exists = found.has_value()](const error_code& failed, size_t) {
          self->timer_.cancel();
          if (failed || !exists) return;
          self->acceptor_.containers_.AttachStream(self->open_,
                                                   UniqueFd(self->connection_.release()));
        });
  }

  void AnswerArchive() {
    const Result<Containers::ArchiveLaunchPtr> prepared =
        acceptor_.containers_.PrepareArchive(open_);
    const Containers::ArchiveLaunchPtr launch = prepared ? *prepared : nullptr;
    v1::StreamOpened opened;
    if (!prepared) opened.set_error(prepared.error().ToString());
    Result<std::string> frame = EncodeStreamFrame(opened);
    if (!frame) return;
    body_ = std::move(*frame);
    boost::asio::async_write(connection_, boost::asio::buffer(body_),
                             [self = shared_from_this(), launch](const error_code& failed, size_t) {
                               self->timer_.cancel();
                               if (failed || !launch) return;
                               UniqueFd socket(self->connection_.release());
                               self->acceptor_.containers_.StartArchive(launch, std::move(socket));
                             });
  }

  StreamAcceptor& acceptor_;
  boost::asio::posix::stream_descriptor connection_;
  boost::asio::steady_timer timer_;
  std::array<std::byte, kStreamFrameHeaderBytes> header_;
  std::string body_;
  v1::StreamOpen open_;
};

void StreamAcceptor::Accept(UniqueFd connection) {
  if (under_way_ >= kMaxUnderWay) return;
  std::make_shared<Handshake>(*this, std::move(connection))->Start();
}

}  // namespace hull::agent
