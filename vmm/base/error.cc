#include "vmm/base/error.h"

#include <cerrno>
#include <cstring>

namespace hull {
namespace {

ErrorCode CodeOfErrno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ESRCH:
      return ErrorCode::kNotFound;
    case EEXIST:
      return ErrorCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kPermissionDenied;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
      return ErrorCode::kInvalidArgument;
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
      return ErrorCode::kExhausted;
    case ETIMEDOUT:
      return ErrorCode::kTimedOut;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EAGAIN:
    case EBUSY:
      return ErrorCode::kUnavailable;
    case ENOSYS:
    case EOPNOTSUPP:
    case ENOTTY:
      return ErrorCode::kUnsupported;
    default:
      return ErrorCode::kFailed;
  }
}

}  // namespace

Error Error::FromErrno(int error_number, std::string_view what) {
  char buffer[128];
  // SAFETY: the GNU variant returns a string that is either static or in `buffer`.
  const char* text = ::strerror_r(error_number, buffer, sizeof(buffer));
  Error error(CodeOfErrno(error_number), fmt::format("{}: {}", what, text));
  error.error_number_ = error_number;
  return error;
}

Error Error::Within(std::string_view attempt) && {
  attempts_.emplace_back(attempt);
  return std::move(*this);
}

Error Error::WithHint(std::string hint) && {
  if (hint_.empty()) hint_ = std::move(hint);
  return std::move(*this);
}

std::string Error::ToString() const {
  std::string line;
  for (auto it = attempts_.rbegin(); it != attempts_.rend(); ++it) {
    line += *it;
    line += ": ";
  }
  line += message_;
  return line;
}

}  // namespace hull
