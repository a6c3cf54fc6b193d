// What a container's process writes, to its log and to everybody who is attached; and what they
// type, to the process. On the supervisor's loop, without threads; nothing is buffered beyond one
// chunk: the slowest reader sets the pace, through the vsock's credit, and nothing is lost.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "vmm/base/unique_fd.h"

namespace hull {

// One end of a stream connection with the guest; of a terminal, both directions.
using GuestStream = std::shared_ptr<boost::asio::posix::stream_descriptor>;
GuestStream MakeGuestStream(boost::asio::io_context& io, UniqueFd socket);

class OutputRelay : public std::enable_shared_from_this<OutputRelay> {
 public:
  using LogHandler = std::function<void(std::string_view)>;
  using DoneHandler = std::function<void()>;

  OutputRelay(boost::asio::io_context& io, GuestStream source)
      : io_(io), source_(std::move(source)) {}

  // `log` gets every byte once. `done` is called once, when the source has ended and everybody has
  // everything.
  void Start(LogHandler log, DoneHandler done);
  // From now on this client gets all, too; `owner` marks whose it is.
  void Attach(UniqueFd client, const void* owner);
  void Detach(const void* owner);
  // Nobody reads on: the process's pipe is closed, as its reader's end in a pipeline.
  void BreakPipe();
  // The rest is given up; `done` is not called any more.
  void Stop();
  bool done() const { return done_; }

 private:
  struct Client {
    Client(boost::asio::io_context& io, UniqueFd fd, const void* its_owner)
        : socket(io, fd.Release()), owner(its_owner) {}
    boost::asio::posix::stream_descriptor socket;
    const void* owner;
    std::string_view left = {};
    bool waiting = false;
    bool gone = false;
  };

  void AwaitSource();
  void Read();
  // Gives each client what it takes now. True when all have all of the chunk.
  bool Deliver();
  void Feed(const std::shared_ptr<Client>& client);
  void Delivered();
  void Finish();

  boost::asio::io_context& io_;
  GuestStream source_;
  LogHandler log_;
  DoneHandler on_done_;
  std::list<std::shared_ptr<Client>> clients_;
  std::unique_ptr<char[]> chunk_;
  bool started_ = false;
  bool delivering_ = false;
  bool done_ = false;
};

class InputRelay : public std::enable_shared_from_this<InputRelay> {
 public:
  // `terminal`: the target is a terminal, whose input has no end.
  InputRelay(boost::asio::io_context& io, GuestStream target, bool terminal)
      : io_(io), target_(std::move(target)), terminal_(terminal) {}

  // What comes from `client` goes to the process. `ends`: its end is the end of the process's
  // input.
  void Attach(UniqueFd client, const void* owner, bool ends);
  void Detach(const void* owner);
  void Stop();

 private:
  struct Source {
    Source(boost::asio::io_context& io, UniqueFd fd, const void* its_owner, bool its_end_counts)
        : socket(io, fd.Release()), owner(its_owner), ends(its_end_counts) {}
    boost::asio::posix::stream_descriptor socket;
    const void* owner;
    bool ends;
  };

  void Await(const std::shared_ptr<Source>& source);
  void Read(const std::shared_ptr<Source>& source);
  void Write(const std::shared_ptr<Source>& source);
  void Ended(const std::shared_ptr<Source>& source);

  boost::asio::io_context& io_;
  GuestStream target_;
  bool terminal_;
  std::list<std::shared_ptr<Source>> sources_;
  std::list<std::shared_ptr<Source>> waiting_;  // for the target to be free
  std::unique_ptr<char[]> chunk_;
  std::string_view left_;
  bool writing_ = false;
};

}  // namespace hull
