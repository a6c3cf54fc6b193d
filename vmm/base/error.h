// What went wrong, told so that the person at the terminal can act on it.
//
// An Error is one line of cause, the chain of what was being attempted (outermost last added), and
// optionally what to do about it. It is a value: returned in Result<T>, printed once at the top.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hull {

// What callers may branch on. Anything finer belongs into the message.
enum class ErrorCode {
  kFailed,            // no finer class
  kInvalidArgument,   // what the caller, a file or a peer said does not fit its contract
  kNotFound,          // the thing named does not exist
  kAlreadyExists,     // the name or id is taken
  kPermissionDenied,  // the host refused
  kUnavailable,       // it could be there, but is not now: peer gone, not running
  kTimedOut,
  kCancelled,    // the user or an orderly stop ended it
  kExhausted,    // memory, disk, descriptors, or a cap of hull's own
  kUnsupported,  // understood and refused: hull or this host cannot do it
  kCorrupt,      // data that should verify does not
};

class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  // "open /dev/kvm: Permission denied". `error_number` is an errno value.
  static Error FromErrno(int error_number, std::string_view what);

  ErrorCode code() const { return code_; }
  // The cause alone, without its chain.
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }
  // The errno value that this error came from, or 0.
  int error_number() const { return error_number_; }

  // Adds what was being attempted: Error("no such file").Within("open kernel") reads
  // "open kernel: no such file".
  Error Within(std::string_view attempt) &&;
  // What the user can do about it; the innermost hint wins.
  Error WithHint(std::string hint) &&;

  // One line: "start sandbox web: open kernel: no such file".
  std::string ToString() const;

 private:
  ErrorCode code_;
  int error_number_ = 0;
  std::string message_;
  std::string hint_;
  std::vector<std::string> attempts_;
};

// MakeError(ErrorCode::kNotFound, "no image {}", name)
template <typename... Args>
Error MakeError(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace hull
