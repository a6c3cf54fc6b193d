#include "runtime/signal_name.h"

#include <signal.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "vmm/base/escape.h"

namespace hull {
namespace {

struct Name {
  int number;
  std::string_view name;
};
// The first name of a number is the one that is shown.
constexpr Name kNames[] = {
    {SIGHUP, "HUP"},       {SIGINT, "INT"},     {SIGQUIT, "QUIT"}, {SIGILL, "ILL"},
    {SIGTRAP, "TRAP"},     {SIGABRT, "ABRT"},   {SIGIOT, "IOT"},   {SIGBUS, "BUS"},
    {SIGFPE, "FPE"},       {SIGKILL, "KILL"},   {SIGUSR1, "USR1"}, {SIGSEGV, "SEGV"},
    {SIGUSR2, "USR2"},     {SIGPIPE, "PIPE"},   {SIGALRM, "ALRM"}, {SIGTERM, "TERM"},
    {SIGSTKFLT, "STKFLT"}, {SIGCHLD, "CHLD"},   {SIGCHLD, "CLD"},  {SIGCONT, "CONT"},
    {SIGSTOP, "STOP"},     {SIGTSTP, "TSTP"},   {SIGTTIN, "TTIN"}, {SIGTTOU, "TTOU"},
    {SIGURG, "URG"},       {SIGXCPU, "XCPU"},   {SIGXFSZ, "XFSZ"}, {SIGVTALRM, "VTALRM"},
    {SIGPROF, "PROF"},     {SIGWINCH, "WINCH"}, {SIGIO, "IO"},     {SIGPOLL, "POLL"},
    {SIGPWR, "PWR"},       {SIGSYS, "SYS"}};
// As docker counts real-time signals: the kernel's first two are the C library's own.
constexpr int kRealTimeFirst = 34;
constexpr int kRealTimeLast = 64;

int ParseNumber(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : -1;
}

// "RTMIN+3", "RTMAX-2"; -1: no such.
int ParseRealTime(std::string_view name) {
  const std::string_view base = name.substr(0, 5);
  if (base != "RTMIN" && base != "RTMAX") return -1;
  const std::string_view rest = name.substr(5);
  const bool from_first = base == "RTMIN";
  if (rest.empty()) return from_first ? kRealTimeFirst : kRealTimeLast;
  if (rest.front() != (from_first ? '+' : '-')) return -1;
  const int offset = ParseNumber(rest.substr(1));
  if (offset < 0 || offset > kRealTimeLast - kRealTimeFirst) return -1;
  return from_first ? kRealTimeFirst + offset : kRealTimeLast - offset;
}

}  // namespace

Result<int> ParseSignal(std::string_view text) {
  int number = ParseNumber(text);
  if (number < 0) {
    std::string name(text);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (name.starts_with("SIG")) name.erase(0, 3);
    const auto* const found = std::find_if(std::begin(kNames), std::end(kNames),
                                           [&](const Name& entry) { return entry.name == name; });
    number = found != std::end(kNames) ? found->number : ParseRealTime(name);
  }
  if (number >= 1 && number <= kRealTimeLast) return number;
  return Fail(ErrorCode::kInvalidArgument, "invalid signal: {}", EscapeControl(text));
}

std::string SignalName(int number) {
  for (const Name& entry : kNames) {
    if (entry.number == number) return fmt::format("SIG{}", entry.name);
  }
  return std::to_string(number);
}

}  // namespace hull
