// JSON as docker writes it.
#pragma once

#include <string>

#include <boost/json/value.hpp>

namespace hull::format {

// On one line, as {{json .}} has it. Objects keep the order of their fields.
std::string WriteJson(const boost::json::value& value);

// As `docker inspect` has it: a line for each value, four blanks a level, no newline at the end.
std::string WriteIndentedJson(const boost::json::value& value);

}  // namespace hull::format
