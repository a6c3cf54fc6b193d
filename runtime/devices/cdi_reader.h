// The syntax of CDI's names. (How a file is read is in cdi_reader.cc: ParseCdiSpec.)
#pragma once

#include <string_view>

namespace hull::devices {

// "vendor.com/class"
bool IsCdiKind(std::string_view text);
// What is behind the equals sign.
bool IsCdiDeviceName(std::string_view text);

}  // namespace hull::devices
