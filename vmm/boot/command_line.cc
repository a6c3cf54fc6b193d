#include "vmm/boot/command_line.h"

namespace hull {
namespace {

constexpr std::string_view kInitMark = "--";

// Where the arguments of init begin (at their mark), or npos. The mark is a word of its own.
size_t FindInitArguments(std::string_view line) {
  for (size_t at = line.find(kInitMark); at != std::string_view::npos;
       at = line.find(kInitMark, at + 1)) {
    const size_t end = at + kInitMark.size();
    const bool begins = at == 0 || line[at - 1] == ' ';
    const bool ends = end == line.size() || line[end] == ' ';
    if (begins && ends) return at;
  }
  return std::string_view::npos;
}

void AppendWords(std::string& line, std::string_view words) {
  while (!words.empty() && words.back() == ' ') words.remove_suffix(1);
  if (words.empty()) return;
  if (!line.empty()) line += ' ';
  line += words;
}

}  // namespace

Result<std::string> AssembleCommandLine(std::string_view configured, std::string_view needed) {
  const size_t init = FindInitArguments(configured);
  std::string line;
  AppendWords(line, configured.substr(0, init));
  AppendWords(line, needed);
  if (init != std::string_view::npos) AppendWords(line, configured.substr(init));
  if (line.find('\0') != std::string::npos) {
    return Fail(ErrorCode::kInvalidArgument, "the kernel's command line contains a NUL");
  }
  if (line.size() >= kLinuxCommandLineBytes) {
    return Fail(ErrorCode::kInvalidArgument,
                "the kernel's command line has {} bytes, of which Linux keeps {}", line.size(),
                kLinuxCommandLineBytes - 1);
  }
  return line;
}

}  // namespace hull
