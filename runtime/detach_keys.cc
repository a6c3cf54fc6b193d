#include "runtime/detach_keys.h"

#include <algorithm>

namespace hull {
namespace {

constexpr std::string_view kControl = "ctrl-";

Result<char> ParseKey(std::string_view key) {
  if (key.size() == 1) return key.front();
  if (key.size() == kControl.size() + 1 && key.starts_with(kControl)) {
    const char of = key.back();
    if (of >= 'a' && of <= 'z') return static_cast<char>(of - 'a' + 1);
    if (of == '@' || (of >= '[' && of <= '_')) return static_cast<char>(of - '@');
  }
  return Fail(ErrorCode::kInvalidArgument, "Unknown character: '{}'", key);
}

}  // namespace

Result<DetachKeys> DetachKeys::Parse(std::string_view text) {
  if (text.empty()) text = kDefaultDetachKeys;
  DetachKeys keys;
  while (true) {
    const size_t comma = text.find(',');
    HULL_ASSIGN_WITHIN("invalid detach keys", const char key, ParseKey(text.substr(0, comma)));
    keys.sequence_ += key;
    if (comma == std::string_view::npos) return keys;
    text.remove_prefix(comma + 1);
  }
}

bool DetachKeys::Filter(std::string& typed) {
  if (sequence_.empty()) return false;
  std::string passed;
  for (const char key : typed) {
    // What was held back and is no beginning of the sequence any more goes on; its end may begin
    // the sequence again.
    while (matched_ > 0 && key != sequence_[matched_]) {
      const std::string held = sequence_.substr(0, matched_);
      size_t keep = matched_ - 1;
      while (keep > 0 && held.substr(matched_ - keep) != sequence_.substr(0, keep)) --keep;
      passed += held.substr(0, matched_ - keep);
      matched_ = keep;
    }
    if (key != sequence_[matched_]) {
      passed += key;
      continue;
    }
    if (++matched_ == sequence_.size()) {
      matched_ = 0;
      typed = std::move(passed);
      return true;
    }
  }
  typed = std::move(passed);
  return false;
}

}  // namespace hull
