// Makes nodes of a template's words.
#pragma once

#include <memory>
#include <string_view>

#include "runtime/format/nodes.h"
#include "vmm/base/result.h"

namespace hull::format {

// kInvalidArgument, in Go's words: "template: :1: unexpected EOF".
Result<std::unique_ptr<ListNode>> ParseTemplate(std::string_view text);

// The line of `position`, from 1, and the byte in it, from 0.
struct LineAndColumn {
  size_t line = 1;
  size_t column = 0;
};
LineAndColumn Locate(std::string_view text, size_t position);

}  // namespace hull::format
