// The scripts of `hull completion`.
#pragma once

#include <string_view>

namespace hull::cli {

// `shell`: "bash", "zsh" or "fish"; empty for any other.
std::string_view CompletionScript(std::string_view shell);

}  // namespace hull::cli
