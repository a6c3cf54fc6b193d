// The one place that waits for children. PID 1 inherits every orphan of the guest; container
// processes are children of an intermediate crun, so they too arrive here.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "vmm/base/result.h"

namespace hull::agent {

struct ExitStatus {
  int code = 0;       // 0 to 255; 128 + signal when a signal ended the process
  int signal = 0;     // or 0
  int64_t at_ns = 0;  // CLOCK_REALTIME

  static ExitStatus FromWait(int wait_status, int64_t at_ns);
};

// Who waits for which process, without any system call.
//
// A process may end before anyone knows its number: crun writes it to a file that is read only when
// crun has ended. While such an operation is under way (Hold), exits that nobody waits for are
// kept.
class ExitTable {
 public:
  using Handler = std::function<void(ExitStatus)>;

  // A process ended. Its handler is taken out and returned for the caller to run, if there is one.
  std::optional<Handler> Record(pid_t pid, ExitStatus status);

  // Waits for `pid`; gives the exit at once if it has been kept (the handler is then not stored).
  std::optional<ExitStatus> Watch(pid_t pid, Handler handler);

  void BeginHold() { ++holds_; }
  void EndHold();

  size_t kept() const { return kept_.size(); }

 private:
  std::map<pid_t, Handler> watched_;
  std::map<pid_t, ExitStatus> kept_;
  int holds_ = 0;
};

// Lives on the agent's loop, from before the first child until the end.
class Reaper {
 public:
  explicit Reaper(boost::asio::io_context& io) : io_(io), signals_(io) {}

  // Blocks SIGCHLD and begins to listen for it. With `subreaper`, orphans of our children come to
  // us although we are not PID 1.
  Status Start(bool subreaper);

  // `handler` runs once, on the loop, never from within this call.
  void Watch(pid_t pid, ExitTable::Handler handler);

  // Keeps exits of unknown processes while it lives.
  class Hold {
   public:
    explicit Hold(Reaper& reaper) : table_(reaper.table_) { table_.BeginHold(); }
    ~Hold() { table_.EndHold(); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    ExitTable& table_;
  };

 private:
  void Listen();
  void ReapAll();

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor signals_;
  ExitTable table_;
};

}  // namespace hull::agent
