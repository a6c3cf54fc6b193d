#include "runtime/variable_file.h"

#include "runtime/utf8.h"
#include "vmm/base/escape.h"

namespace hull {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
// Docker reads lines through a buffer of this size.
constexpr size_t kMaxLineBytes = 64 * 1024;

std::string DecimalBytes(std::string_view line) {
  std::string text = "[";
  for (const char c : line) {
    if (text.size() > 1) text += ' ';
    text += fmt::format("{}", static_cast<unsigned char>(c));
  }
  return text + "]";
}

// Leading blanks, and what else Unicode's Latin part counts as such.
std::string_view WithoutLeadingBlanks(std::string_view line) {
  while (!line.empty()) {
    constexpr std::string_view kNextLine = "\xc2\x85";
    constexpr std::string_view kNoBreakSpace = "\xc2\xa0";
    if (std::string_view(" \t\v\f\r\n").find(line.front()) != std::string_view::npos) {
      line.remove_prefix(1);
    } else if (line.starts_with(kNextLine) || line.starts_with(kNoBreakSpace)) {
      line.remove_prefix(kNextLine.size());
    } else {
      break;
    }
  }
  return line;
}

Status AddLine(std::string_view line, const VariableLookup& lookup,
               std::vector<std::string>& settings) {
  const size_t equals = line.find('=');
  const std::string name(line.substr(0, equals));
  if (name.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "no variable name on line '{}'", EscapeControl(line));
  }
  if (name.find_first_of(" \t") != std::string::npos) {
    return Fail(ErrorCode::kInvalidArgument, "variable '{}' contains whitespaces",
                EscapeControl(name));
  }
  if (line.find('\0') != std::string_view::npos) {
    return Fail(ErrorCode::kInvalidArgument, "variable '{}' contains a zero byte",
                EscapeControl(name));
  }
  if (equals != std::string_view::npos) {
    settings.emplace_back(line);
  } else if (lookup) {
    if (const std::optional<std::string> value = lookup(name)) {
      settings.push_back(fmt::format("{}={}", name, *value));
    }
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> ParseVariableFile(std::string_view text,
                                                   const VariableLookup& lookup) {
  std::vector<std::string> settings;
  for (int number = 1; !text.empty(); ++number) {
    const size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    text = newline == std::string_view::npos ? std::string_view() : text.substr(newline + 1);
    if (line.size() >= kMaxLineBytes) {
      return Fail(ErrorCode::kInvalidArgument, "bufio.Scanner: token too long");
    }
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!IsUtf8(line)) {
      return Fail(ErrorCode::kInvalidArgument, "invalid utf8 bytes at line {}: {}", number,
                  DecimalBytes(line));
    }
    if (number == 1 && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
    line = WithoutLeadingBlanks(line);
    if (line.empty() || line.front() == '#') continue;
    HULL_TRY(AddLine(line, lookup, settings));
  }
  return settings;
}

}  // namespace hull
