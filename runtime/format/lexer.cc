#include "runtime/format/lexer.h"

#include <algorithm>
#include <array>

namespace hull::format {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";
constexpr std::string_view kOpen = "{{";
constexpr std::string_view kClose = "}}";

bool IsSpace(char c) {
  return kSpaces.find(c) != std::string_view::npos;
}
// Go allows every Unicode letter: what is not ASCII is taken for one.
bool IsWord(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> Run() {
    while (at_ < text_.size() && !failed_) {
      Text();
      if (at_ < text_.size()) Action();
    }
    if (!failed_) tokens_.push_back({TokenKind::kEnd, text_.size(), {}});
    return std::move(tokens_);
  }

 private:
  bool Has(std::string_view word) const { return text_.substr(at_).starts_with(word); }
  char Peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  void Add(TokenKind kind, size_t size) {
    tokens_.push_back({kind, at_, text_.substr(at_, size)});
    at_ += size;
  }
  void Fail(std::string_view what) {
    tokens_.push_back({TokenKind::kError, std::min(at_, text_.size()), what});
    failed_ = true;
  }

  // " -}}": the blank is part of the mark.
  bool AtTrimmedClose() const {
    return IsSpace(Peek()) && text_.substr(at_ + 1).starts_with("-}}");
  }

  // Up to the next "{{", less the blanks that a trim mark there takes away.
  void Text() {
    const size_t open = text_.find(kOpen, at_);
    std::string_view part = text_.substr(at_, open - at_);
    if (open != std::string_view::npos && IsTrimMark(open + kOpen.size())) {
      const size_t last = part.find_last_not_of(kSpaces);
      part = part.substr(0, last == std::string_view::npos ? 0 : last + 1);
    }
    if (!part.empty()) tokens_.push_back({TokenKind::kText, at_, part});
    at_ = open == std::string_view::npos ? text_.size() : open;
  }
  bool IsTrimMark(size_t at) const {
    return at + 1 < text_.size() && text_[at] == '-' && IsSpace(text_[at + 1]);
  }
  void SkipSpaces() {
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  }

  // From "{{" to behind "}}".
  void Action() {
    const size_t start = at_;
    at_ += kOpen.size();
    if (IsTrimMark(at_)) at_ += 1;
    size_t comment = at_;
    if (comment > start + kOpen.size() && comment < text_.size()) comment += 1;
    if (text_.substr(comment).starts_with("/*")) {
      at_ = comment;
      Comment();
      return;
    }
    tokens_.push_back({TokenKind::kOpen, start, text_.substr(start, at_ - start)});
    parens_ = 0;
    while (!failed_) {
      if (AtTrimmedClose()) {
        at_ += 2;
        Close();
        SkipSpaces();
        return;
      }
      if (Has(kClose)) {
        Close();
        return;
      }
      Inside();
    }
  }
  void Close() {
    if (parens_ != 0) return Fail("unclosed left paren");
    Add(TokenKind::kClose, kClose.size());
  }

  void Comment() {
    const size_t end = text_.find("*/", at_ + 2);
    if (end == std::string_view::npos) return Fail("unclosed comment");
    at_ = end + 2;
    if (AtTrimmedClose()) {
      at_ += 2 + kClose.size();
      SkipSpaces();
    } else if (Has(kClose)) {
      at_ += kClose.size();
    } else {
      Fail("comment ends before closing delimiter");
    }
  }

  // One token between the braces.
  void Inside() {
    const char c = Peek();
    if (at_ >= text_.size()) return Fail("unclosed action");
    if (IsSpace(c)) {
      const size_t end = text_.find_first_not_of(kSpaces, at_);
      size_t size = (end == std::string_view::npos ? text_.size() : end) - at_;
      // The last blank belongs to a mark behind it.
      if (end != std::string_view::npos && text_.substr(end).starts_with("-}}")) --size;
      if (size == 0) return Fail("unclosed action");
      return Add(TokenKind::kSpace, size);
    }
    if (c == '"' || c == '\'') return Quoted(c);
    if (c == '`') return RawQuoted();
    if (c == '$') return Add(TokenKind::kVariable, 1 + WordSize(1));
    if (c == '.' && !IsDigit(Peek(1))) {
      const size_t size = WordSize(1);
      return Add(size == 0 ? TokenKind::kDot : TokenKind::kField, 1 + size);
    }
    if (IsDigit(c) || c == '.' ||
        ((c == '+' || c == '-') && (IsDigit(Peek(1)) || Peek(1) == '.'))) {
      return Number();
    }
    if (IsWord(c)) return Add(TokenKind::kIdentifier, WordSize(0));
    Sign(c);
  }
  void Sign(char c) {
    if (c == '}') return Fail("bad character U+007D '}'");
    if (c == '(') ++parens_;
    if (c == ')' && --parens_ < 0) return Fail("unexpected right paren");
    if (c == ':' && Peek(1) != '=') return Fail("expected :=");
    switch (c) {
      case ':':
        return Add(TokenKind::kDeclare, 2);
      case '=':
        return Add(TokenKind::kAssign, 1);
      case '|':
        return Add(TokenKind::kPipe, 1);
      case '(':
        return Add(TokenKind::kLeftParen, 1);
      case ')':
        return Add(TokenKind::kRightParen, 1);
      case ',':
        return Add(TokenKind::kComma, 1);
      default:
        if (c < ' ' || c == 0x7f) return Fail("unrecognized character in action");
        return Add(TokenKind::kOther, 1);
    }
  }
  size_t WordSize(size_t from) const {
    size_t size = 0;
    while (at_ + from + size < text_.size() && IsWord(text_[at_ + from + size])) ++size;
    return size;
  }
  void Number() {
    size_t size = 1;
    const auto goes_on = [&] {
      const char c = Peek(size);
      const char before = Peek(size - 1);
      return IsWord(c) || c == '.' ||
             ((c == '+' || c == '-') && (before == 'e' || before == 'E') && !Has("0x"));
    };
    while (at_ + size < text_.size() && goes_on()) ++size;
    Add(TokenKind::kNumber, size);
  }
  void Quoted(char quote) {
    for (size_t i = 1;; ++i) {
      const char c = Peek(i);
      if (at_ + i >= text_.size() || c == '\n') {
        return Fail(quote == '"' ? "unterminated quoted string"
                                 : "unterminated character constant");
      }
      if (c == '\\' && Peek(i + 1) != '\n') {
        ++i;
      } else if (c == quote) {
        return Add(quote == '"' ? TokenKind::kString : TokenKind::kNumber, i + 1);
      }
    }
  }
  void RawQuoted() {
    const size_t end = text_.find('`', at_ + 1);
    if (end == std::string_view::npos) return Fail("unterminated raw quoted string");
    Add(TokenKind::kRawString, end + 1 - at_);
  }

  std::string_view text_;
  size_t at_ = 0;
  int parens_ = 0;
  bool failed_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> Tokenize(std::string_view text) {
  return Lexer(text).Run();
}

}  // namespace hull::format
