// The values of flags, read as docker reads them and refused in its words:
// invalid argument "x" for "-m, --memory" flag: invalid size: 'x'
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull::cli {

// `names` as the table has them, "-m,--memory".
Error WrongValue(std::string_view names, std::string_view value, std::string_view why);

// 1, t, T, true, True, TRUE and their opposites.
Result<bool> ParseSwitch(std::string_view names, std::string_view value);

// A signed decimal number of 64 bits.
Result<int64_t> ParseInteger(std::string_view names, std::string_view value);

// A size as ParseBytes() takes it.
Result<uint64_t> ParseSize(std::string_view names, std::string_view value);

// As Go prints a string with %q, for what a terminal may see.
std::string Quoted(std::string_view text);

}  // namespace hull::cli
