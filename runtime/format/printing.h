// Values as Go's fmt package prints them.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "vmm/base/result.h"

namespace hull::format {

// A value that may be missing (nullptr).
using ValuePointer = const boost::json::value*;

// What {{.}} puts out: %v, and "<no value>" for null and what is missing.
std::string Print(ValuePointer value);

// fmt.Sprint, Sprintln, Sprintf. kExhausted: a width, precision or result beyond all reason.
std::string Sprint(std::span<const ValuePointer> values);
std::string Sprintln(std::span<const ValuePointer> values);
Result<std::string> Sprintf(std::string_view format, std::span<const ValuePointer> values);

// Go's name of the type that encoding/json would make of it, integers being int: "string".
std::string_view TypeName(ValuePointer value);

}  // namespace hull::format
