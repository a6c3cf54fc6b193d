// The words of a template.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hull::format {

enum class TokenKind {
  kError,  // `text` says what is wrong
  kText,   // outside {{ }}, trimmed already
  kOpen,   // {{
  kClose,  // }}
  kSpace,
  kIdentifier,  // also nil, true, false and the keywords
  kField,       // .Name
  kVariable,    // $, $name
  kDot,
  kNumber,  // also character constants
  kString,  // with its quotes
  kRawString,
  kPipe,
  kLeftParen,
  kRightParen,
  kComma,
  kAssign,   // =
  kDeclare,  // :=
  kOther,    // a sign that has no meaning
  kEnd,      // of the template
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  size_t position = 0;  // of its first byte in the template
  std::string_view text;
};

// The last one is kEnd or kError. The tokens point into `text`, or to static words.
std::vector<Token> Tokenize(std::string_view text);

}  // namespace hull::format
