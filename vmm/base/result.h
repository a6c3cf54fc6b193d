// Result<T>: a value or the Error that kept it from being made. hull's functions do not throw.
#pragma once

#include <cerrno>
#include <utility>

#include <tl/expected.hpp>

#include "vmm/base/error.h"

namespace hull {

template <typename T>
using Result = tl::expected<T, Error>;

// A Result without a value: success, or why not.
using Status = Result<void>;

// return Fail(ErrorCode::kNotFound, "no image {}", name);
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> Fail(ErrorCode code, fmt::format_string<Args...> format,
                                         Args&&... args) {
  return tl::unexpected<Error>(MakeError(code, format, std::forward<Args>(args)...));
}

[[nodiscard]] inline tl::unexpected<Error> Fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

// return FailErrno("open {}", path); reads errno, so call it before anything can change it.
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> FailErrno(fmt::format_string<Args...> format, Args&&... args) {
  const int error_number = errno;
  return tl::unexpected<Error>(
      Error::FromErrno(error_number, fmt::format(format, std::forward<Args>(args)...)));
}

}  // namespace hull

// HULL_TRY(expression): returns from the calling function with the error, if there is one.
#define HULL_TRY(...)                                                       \
  do {                                                                      \
    if (auto hull_try_result = (__VA_ARGS__); !hull_try_result.has_value()) \
      return ::hull::Fail(std::move(hull_try_result).error());              \
  } while (false)

// HULL_TRY_WITHIN("attempt", expression): the same, adding what was being attempted.
#define HULL_TRY_WITHIN(attempt, ...)                                          \
  do {                                                                         \
    if (auto hull_try_result = (__VA_ARGS__); !hull_try_result.has_value())    \
      return ::hull::Fail(std::move(hull_try_result).error().Within(attempt)); \
  } while (false)

#define HULL_CONCATENATE_INNER(a, b) a##b
#define HULL_CONCATENATE(a, b) HULL_CONCATENATE_INNER(a, b)

// HULL_ASSIGN(auto fd, Open(path)): declares (or assigns) from a Result, or returns its error.
#define HULL_ASSIGN(target, ...) \
  HULL_ASSIGN_IMPL(HULL_CONCATENATE(hull_result_, __LINE__), target, __VA_ARGS__)
#define HULL_ASSIGN_IMPL(result, target, ...)                                \
  auto result = (__VA_ARGS__);                                               \
  if (!(result).has_value()) return ::hull::Fail(std::move(result).error()); \
  target = std::move(result).value()

// HULL_ASSIGN_WITHIN("attempt", auto fd, Open(path)): the same, adding what was being attempted.
#define HULL_ASSIGN_WITHIN(attempt, target, ...) \
  HULL_ASSIGN_WITHIN_IMPL(HULL_CONCATENATE(hull_result_, __LINE__), attempt, target, __VA_ARGS__)
#define HULL_ASSIGN_WITHIN_IMPL(result, attempt, target, ...)                                \
  auto result = (__VA_ARGS__);                                                               \
  if (!(result).has_value()) return ::hull::Fail(std::move(result).error().Within(attempt)); \
  target = std::move(result).value()
