// Bytes that may not be UTF-8, and a JSON document, which must.
#pragma once

#include <string>
#include <string_view>

namespace hull {

// Without overlong forms, surrogates and what is beyond U+10FFFF (RFC 3629).
bool IsUtf8(std::string_view text);

// U+FFFD for each byte that is part of no character, as docker does it.
std::string ReplaceNonUtf8(std::string_view text);

}  // namespace hull
