// hull's errors as ttrpc's status (google.rpc codes) and back.
#pragma once

#include <cstdint>
#include <string>

#include "vmm/base/error.h"

namespace hull::ttrpc {

// google.rpc.Code.
enum class StatusCode : int32_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// kUnavailable ("not now: not running") travels as FAILED_PRECONDITION: whoever answers is there.
StatusCode CodeOf(ErrorCode code);

// FAILED_PRECONDITION and UNAVAILABLE both become kUnavailable; codes that hull has no word for,
// kFailed.
ErrorCode ErrorCodeOf(int32_t status_code);

}  // namespace hull::ttrpc
