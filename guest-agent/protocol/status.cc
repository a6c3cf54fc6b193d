#include "guest-agent/protocol/status.h"

namespace hull::ttrpc {

StatusCode CodeOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kFailed:
      return StatusCode::kInternal;
    case ErrorCode::kInvalidArgument:
      return StatusCode::kInvalidArgument;
    case ErrorCode::kNotFound:
      return StatusCode::kNotFound;
    case ErrorCode::kAlreadyExists:
      return StatusCode::kAlreadyExists;
    case ErrorCode::kPermissionDenied:
      return StatusCode::kPermissionDenied;
    case ErrorCode::kUnavailable:
      return StatusCode::kFailedPrecondition;
    case ErrorCode::kTimedOut:
      return StatusCode::kDeadlineExceeded;
    case ErrorCode::kCancelled:
      return StatusCode::kCancelled;
    case ErrorCode::kExhausted:
      return StatusCode::kResourceExhausted;
    case ErrorCode::kUnsupported:
      return StatusCode::kUnimplemented;
    case ErrorCode::kCorrupt:
      return StatusCode::kDataLoss;
  }
  return StatusCode::kUnknown;
}

ErrorCode ErrorCodeOf(int32_t status_code) {
  switch (static_cast<StatusCode>(status_code)) {
    case StatusCode::kCancelled:
      return ErrorCode::kCancelled;
    case StatusCode::kInvalidArgument:
    case StatusCode::kOutOfRange:
      return ErrorCode::kInvalidArgument;
    case StatusCode::kDeadlineExceeded:
      return ErrorCode::kTimedOut;
    case StatusCode::kNotFound:
      return ErrorCode::kNotFound;
    case StatusCode::kAlreadyExists:
      return ErrorCode::kAlreadyExists;
    case StatusCode::kPermissionDenied:
    case StatusCode::kUnauthenticated:
      return ErrorCode::kPermissionDenied;
    case StatusCode::kResourceExhausted:
      return ErrorCode::kExhausted;
    case StatusCode::kFailedPrecondition:
    case StatusCode::kUnavailable:
      return ErrorCode::kUnavailable;
    case StatusCode::kUnimplemented:
      return ErrorCode::kUnsupported;
    case StatusCode::kDataLoss:
      return ErrorCode::kCorrupt;
    case StatusCode::kOk:
    case StatusCode::kUnknown:
    case StatusCode::kAborted:
    case StatusCode::kInternal:
      return ErrorCode::kFailed;
  }
  return ErrorCode::kFailed;
}

}  // namespace hull::ttrpc
