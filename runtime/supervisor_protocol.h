// What a client says to a container's supervisor, and what it hears: JSON lines over a Unix stream
// socket (`supervisor.sock` in the run directory, or a socket pair from before the fork).
//
// Requests, each answered by {"id":N,"result":{}} or {"id":N,"error":{"code":..,"message":..}}:
//   {"id":1,"method":"attach","stdin":true,"stdout":true,"stderr":true,"owner":true}
//       with one descriptor for each that is true (SCM_RIGHTS): one end of a socket pair, raw
//       bytes. With a terminal `stdout` is what it shows. `owner`: the client in the foreground:
//       the end of its input is the end of the process's.
//   {"id":2,"method":"signal","number":15}       to the container's first process
//   {"id":3,"method":"resize","columns":80,"rows":24}
//   {"id":4,"method":"pause"}   {"id":5,"method":"resume"}
//   {"id":6,"method":"end","exit_code":137}      the machine is ended at once, unflushed
//   {"id":7,"method":"reader-gone","stream":"stdout"}   nobody reads on: the process shall see it
// Events, to every client, with those that have happened already first:
//   {"event":"started"}
//   {"event":"failed","exit_code":127,...}   before it was started
//   {"event":"exited","exit_code":0,...}
//   {"event":"warning","message":"write the container's log: ..."}   once; not told to later
//   clients
//   {"event":"pinning","done_bytes":1073741824,"total_bytes":68719476736}   about once a second
//   while the machine's memory is pinned for its devices; not told to later clients
// "failed" and "exited" have "out_of_memory", and when hull is at fault "error", "hint" and
// "console" (the guest's last words, fit for a terminal). The end of the connection says that all
// is cleaned up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

inline constexpr size_t kMaxSupervisorLineBytes = 64 * 1024;
inline constexpr size_t kMaxPassedDescriptors = 3;

// How a container ended, or why it was never started.
struct ContainerEnd {
  bool started = false;
  int exit_code = 0;
  bool out_of_memory = false;
  std::string error;  // empty: its own process's end, or what the user asked for
  std::string hint;
  std::string console;
};

boost::json::object ToJson(const ContainerEnd& end);
// kCorrupt: neither "failed" nor "exited".
Result<ContainerEnd> ContainerEndOf(const boost::json::object& event);

// Sends one line with descriptors on a socket that may wait.
Status SendLine(int socket, const boost::json::object& message,
                const std::vector<int>& descriptors);

// Receives what is there: bytes behind `text`, descriptors (close-on-exec) behind `descriptors`.
// Returns how many bytes, 0 at the end; kUnavailable: nothing there now.
Result<size_t> ReceiveSome(int socket, std::string& text, std::vector<UniqueFd>& descriptors);

// Takes the first whole line out of `text`. kNotFound: there is none yet; kCorrupt: it is no JSON
// object, or too long.
Result<boost::json::object> TakeLine(std::string& text);

// Fields; a default when absent or of another type.
std::string TextOf(const boost::json::object& object, std::string_view name);
int64_t IntegerOf(const boost::json::object& object, std::string_view name, int64_t otherwise);
bool BoolOf(const boost::json::object& object, std::string_view name);

}  // namespace hull
