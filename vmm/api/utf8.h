// Text for JSON, whoever wrote it: JSON must be UTF-8, and a guest's console need not be.
#pragma once

#include <string>
#include <string_view>

namespace hull::api {

// `text` with every byte that is not part of a well-formed UTF-8 sequence replaced by '?'.
std::string ToUtf8(std::string_view text);

}  // namespace hull::api
