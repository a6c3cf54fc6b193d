// Copies one direction of a stream between the guest and the user.
//
// A thread for each: the user's descriptors are shared with other programs, so they must not be
// made non-blocking, and a reader that stalls must stall this stream alone. Nothing is buffered
// beyond one chunk; back-pressure goes through the vsock's credit to the container's process.
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "runtime/detach_keys.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

enum class PumpDirection {
  kToGuest,    // at the end of the source the guest's stream gets its end of file
  kFromGuest,  // when the user's side is closed the guest is told, so that writers there see it, as
               // in a pipeline
  kFromTerminal,  // when the user's side is closed the stream is shut; the process is not told
};

// Starts copying. `stream` is the guest's side and is shared with another pump in the case of a
// terminal; `user_fd` stays the caller's. `done` is posted to `io` when the source has ended or an
// end has failed; its Status has an error only when the user's side failed; that of a reader who
// has gone has EPIPE as its error_number(). The thread is detached: it may stay blocked in
// reading the user's input until the
// process ends.
//
// `keys` (kToGuest): when they are typed, copying stops, the stream is left open and `done` gets
// kCancelled.
void StartPump(boost::asio::io_context& io, std::shared_ptr<UniqueFd> stream, int user_fd,
               PumpDirection direction, std::function<void(Status)> done, DetachKeys keys = {});

}  // namespace hull
