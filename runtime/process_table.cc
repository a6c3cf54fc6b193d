#include "runtime/process_table.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include "vmm/base/escape.h"

namespace hull {
namespace {

using agent::v1::ProcessesResponse;
using agent::v1::ProcessInfo;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kDay = 86'400;
// docker's table: a column is this wide at least, and this much stands between two.
constexpr size_t kMinWidth = 20;
constexpr size_t kPadding = 3;

struct Known {
  std::string_view key;
  std::string_view title;
  std::string (*value)(const ProcessInfo& process, const ProcessesResponse& all);
};

std::string OrQuestion(const std::string& text) {
  return text.empty() ? "?" : EscapeControl(text);
}

// What a hostile guest says of time must not overflow anything.
int64_t Seconds(const ProcessInfo& process) {
  const uint64_t ns = process.user_time_ns() / 2 + process.system_time_ns() / 2;
  return static_cast<int64_t>(ns / (kSecond / 2));
}

int64_t Age(const ProcessInfo& process, const ProcessesResponse& all) {
  return std::max<int64_t>(0, all.now_ns() / kSecond - process.started_at_ns() / kSecond);
}

uint64_t TenthsOfPercent(uint64_t part, uint64_t whole) {
  if (whole == 0) return 0;
  return static_cast<uint64_t>(static_cast<double>(part) * 1000.0 / static_cast<double>(whole));
}

uint64_t CpuTenths(const ProcessInfo& process, const ProcessesResponse& all) {
  return TenthsOfPercent(static_cast<uint64_t>(Seconds(process)),
                         static_cast<uint64_t>(Age(process, all)));
}

std::string Tenths(uint64_t tenths) {
  tenths = std::min<uint64_t>(tenths, 999'999);
  return fmt::format("{}.{}", tenths / 10, tenths % 10);
}

// "[DD-]HH:MM:SS"
std::string LongTime(int64_t seconds) {
  const std::string days = seconds >= kDay ? fmt::format("{}-", seconds / kDay) : "";
  seconds %= kDay;
  return fmt::format("{}{:02}:{:02}:{:02}", days, seconds / 3600, seconds / 60 % 60, seconds % 60);
}

// "[[DD-]HH:]MM:SS"
std::string Elapsed(int64_t seconds) {
  if (seconds >= 3600) return LongTime(seconds);
  return fmt::format("{:02}:{:02}", seconds / 60, seconds % 60);
}

enum class TimeShape { kMinutes, kSeconds, kDate, kYear, kWhole };

std::string Local(int64_t time_ns, TimeShape shape) {
  const time_t seconds = time_ns / kSecond;
  tm parts{};
  std::array<char, 64> text{};
  if (localtime_r(&seconds, &parts) == nullptr) return "?";
  size_t size = 0;
  switch (shape) {
    case TimeShape::kMinutes:
      size = strftime(text.data(), text.size(), "%H:%M", &parts);
      break;
    case TimeShape::kSeconds:
      size = strftime(text.data(), text.size(), "%H:%M:%S", &parts);
      break;
    case TimeShape::kDate:
      size = strftime(text.data(), text.size(), "%b%d", &parts);
      break;
    case TimeShape::kYear:
      size = strftime(text.data(), text.size(), "%Y", &parts);
      break;
    case TimeShape::kWhole:
      size = strftime(text.data(), text.size(), "%a %b %e %H:%M:%S %Y", &parts);
      break;
  }
  return {text.data(), size};
}

// As ps: the time of day on the first day, then the day, then the year.
std::string Started(const ProcessInfo& process, const ProcessesResponse& all) {
  const int64_t age = Age(process, all);
  const TimeShape shape = age < kDay         ? TimeShape::kMinutes
                          : age < 365 * kDay ? TimeShape::kDate
                                             : TimeShape::kYear;
  return Local(process.started_at_ns(), shape);
}

std::string Status(const ProcessInfo& process) {
  std::string text = OrQuestion(process.state().substr(0, 1));
  if (process.nice() < 0) text += '<';
  if (process.nice() > 0) text += 'N';
  if (process.session() == process.pid()) text += 's';
  if (process.threads() > 1) text += 'l';
  if (process.foreground()) text += '+';
  return text;
}

std::string CommandLine(const ProcessInfo& process) {
  std::string text = process.arguments();
  while (text.ends_with('\0')) text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ' ');
  if (text.empty()) return fmt::format("[{}]", EscapeControl(process.command()));
  return EscapeControl(text);
}

#define HULL_PS(expression)                                                                \
  [](const ProcessInfo& p, [[maybe_unused]] const ProcessesResponse& all) -> std::string { \
    return expression;                                                                     \
  }

constexpr Known kKnown[] = {
    {"args", "COMMAND", HULL_PS(CommandLine(p))},
    {"c", "C", HULL_PS(fmt::format("{}", std::min<uint64_t>(99, CpuTenths(p, all) / 10)))},
    {"cmd", "CMD", HULL_PS(CommandLine(p))},
    {"comm", "COMMAND", HULL_PS(EscapeControl(p.command()))},
    {"command", "COMMAND", HULL_PS(CommandLine(p))},
    {"cputime", "TIME", HULL_PS(LongTime(Seconds(p)))},
    {"egid", "EGID", HULL_PS(fmt::format("{}", p.effective_group()))},
    {"egroup", "EGROUP", HULL_PS(OrQuestion(p.effective_group_name()))},
    {"etime", "ELAPSED", HULL_PS(Elapsed(Age(p, all)))},
    {"etimes", "ELAPSED", HULL_PS(fmt::format("{}", Age(p, all)))},
    {"euid", "EUID", HULL_PS(fmt::format("{}", p.effective_user()))},
    {"euser", "EUSER", HULL_PS(OrQuestion(p.effective_user_name()))},
    {"gid", "GID", HULL_PS(fmt::format("{}", p.effective_group()))},
    {"group", "GROUP", HULL_PS(OrQuestion(p.effective_group_name()))},
    {"lstart", "STARTED", HULL_PS(Local(p.started_at_ns(), TimeShape::kWhole))},
    {"ni", "NI", HULL_PS(fmt::format("{}", p.nice()))},
    {"nice", "NI", HULL_PS(fmt::format("{}", p.nice()))},
    {"nlwp", "NLWP", HULL_PS(fmt::format("{}", p.threads()))},
    {"pcpu", "%CPU", HULL_PS(Tenths(CpuTenths(p, all)))},
    {"pgid", "PGID", HULL_PS(fmt::format("{}", p.group()))},
    {"pgrp", "PGRP", HULL_PS(fmt::format("{}", p.group()))},
    {"pid", "PID", HULL_PS(fmt::format("{}", p.pid()))},
    {"pmem", "%MEM", HULL_PS(Tenths(TenthsOfPercent(p.resident_bytes(), all.memory_bytes())))},
    {"ppid", "PPID", HULL_PS(fmt::format("{}", p.parent()))},
    {"pri", "PRI", HULL_PS(fmt::format("{}", 39 - std::clamp(p.priority(), -1000, 1000)))},
    {"rgid", "RGID", HULL_PS(fmt::format("{}", p.real_group()))},
    {"rgroup", "RGROUP", HULL_PS(OrQuestion(p.real_group_name()))},
    {"rss", "RSS", HULL_PS(fmt::format("{}", p.resident_bytes() / 1024))},
    {"ruid", "RUID", HULL_PS(fmt::format("{}", p.real_user()))},
    {"ruser", "RUSER", HULL_PS(OrQuestion(p.real_user_name()))},
    {"s", "S", HULL_PS(OrQuestion(p.state().substr(0, 1)))},
    {"sid", "SID", HULL_PS(fmt::format("{}", p.session()))},
    {"start", "STARTED",
     HULL_PS(
         Local(p.started_at_ns(), Age(p, all) < kDay ? TimeShape::kSeconds : TimeShape::kDate))},
    {"stat", "STAT", HULL_PS(Status(p))},
    {"state", "S", HULL_PS(OrQuestion(p.state().substr(0, 1)))},
    {"stime", "STIME", HULL_PS(Started(p, all))},
    {"thcount", "THCNT", HULL_PS(fmt::format("{}", p.threads()))},
    {"time", "TIME", HULL_PS(LongTime(Seconds(p)))},
    {"tname", "TTY", HULL_PS(OrQuestion(p.terminal()))},
    {"tt", "TT", HULL_PS(OrQuestion(p.terminal()))},
    {"tty", "TT", HULL_PS(OrQuestion(p.terminal()))},
    {"ucmd", "CMD", HULL_PS(EscapeControl(p.command()))},
    {"uid", "UID", HULL_PS(fmt::format("{}", p.effective_user()))},
    {"user", "USER", HULL_PS(OrQuestion(p.effective_user_name()))},
    {"vsize", "VSZ", HULL_PS(fmt::format("{}", p.virtual_bytes() / 1024))},
    {"vsz", "VSZ", HULL_PS(fmt::format("{}", p.virtual_bytes() / 1024))},
    {"wchan", "WCHAN", HULL_PS(p.wait_channel().empty() ? "-" : EscapeControl(p.wait_channel()))},
    // Not ps's own names: what its ready-made tables call by another's title.
    {"bsdtime", "TIME", HULL_PS(fmt::format("{}:{:02}", Seconds(p) / 60, Seconds(p) % 60))},
};

#undef HULL_PS

using Columns = std::vector<ProcessColumn>;

Columns FullFormat() {
  return {{"UID", "user"},    {"PID", "pid"},   {"PPID", "ppid"}, {"C", "c"},
          {"STIME", "stime"}, {"TTY", "tname"}, {"TIME", "time"}, {"CMD", "cmd"}};
}

Columns UserFormat() {
  return {{"USER", "user"},   {"PID", "pid"},      {"%CPU", "pcpu"},   {"%MEM", "pmem"},
          {"VSZ", "vsz"},     {"RSS", "rss"},      {"TTY", "tname"},   {"STAT", "stat"},
          {"START", "stime"}, {"TIME", "bsdtime"}, {"COMMAND", "args"}};
}

Columns ShortFormat() {
  return {{"PID", "pid"}, {"TTY", "tname"}, {"TIME", "time"}, {"CMD", "ucmd"}};
}

const Known* FindKnown(std::string_view key) {
  const auto* const found = std::find_if(std::begin(kKnown), std::end(kKnown),
                                         [&](const Known& known) { return known.key == key; });
  return found == std::end(kKnown) ? nullptr : found;
}

// "pid,ppid,comm=NAME": a title of one's own takes the rest of the list.
hull::Status AddList(std::string_view list, Columns& columns) {
  while (!list.empty()) {
    const size_t end = list.find_first_of(", =");
    std::string key(list.substr(0, end));
    if (key == "%cpu") key = "pcpu";
    if (key == "%mem") key = "pmem";
    const Known* known = FindKnown(key);
    if (known == nullptr) {
      return Fail(ErrorCode::kUnsupported, "ps option: hull top has no column '{}'",
                  EscapeControl(key));
    }
    if (end != std::string_view::npos && list[end] == '=') {
      const std::string_view title = list.substr(end + 1);
      columns.push_back({std::string(title), key});
      return {};
    }
    columns.push_back({std::string(known->title), key});
    list = end == std::string_view::npos ? std::string_view() : list.substr(end + 1);
  }
  return {};
}

Error Refused(std::string_view option) {
  return MakeError(ErrorCode::kUnsupported,
                   "ps option '{}': hull top makes its table itself, from what the guest's agent "
                   "says; it knows -e, -f, aux and -o",
                   EscapeControl(option));
}

}  // namespace

Result<Columns> ParsePsOptions(std::span<const std::string> options) {
  Columns columns;
  bool full = options.empty();
  bool by_user = false;
  for (size_t i = 0; i < options.size(); ++i) {
    const std::string& option = options[i];
    if (option == "--format" && i + 1 < options.size()) {
      HULL_TRY(AddList(options[++i], columns));
      continue;
    }
    if (option.starts_with("--format=")) {
      HULL_TRY(AddList(std::string_view(option).substr(9), columns));
      continue;
    }
    if (option.starts_with("--")) return Fail(Refused(option));
    // "-aux" is many people's "aux", and ps(1) takes it for that.
    const bool dashed =
        option.starts_with('-') && option != "-aux" && option != "-auxw" && option != "-auxww";
    for (size_t at = option.starts_with('-') ? 1 : 0; at < option.size(); ++at) {
      const char letter = option[at];
      if (letter == 'o' || letter == 'O') {
        std::string_view list = std::string_view(option).substr(at + 1);
        if (list.empty() && i + 1 < options.size()) list = options[++i];
        if (list.empty() || letter == 'O') return Fail(Refused(option));
        HULL_TRY(AddList(list, columns));
        break;
      }
      if (letter == 'f' && dashed) {
        full = true;
      } else if (letter == 'u' && !dashed) {
        by_user = true;
      } else if (std::string_view("eAaxwT").find(letter) == std::string_view::npos ||
                 letter == 'T') {
        // Which processes: always all of the container's; how wide: always whole.
        return Fail(Refused(option));
      }
    }
  }
  if (columns.empty()) columns = by_user ? UserFormat() : full ? FullFormat() : ShortFormat();
  const bool has_pid = std::any_of(columns.begin(), columns.end(),
                                   [](const ProcessColumn& column) { return column.key == "pid"; });
  if (!has_pid) return Fail(ErrorCode::kInvalidArgument, "Couldn't find PID field in ps output");
  return columns;
}

std::string FormatProcesses(const Columns& columns, const ProcessesResponse& processes) {
  std::vector<std::vector<std::string>> rows(1);
  for (const ProcessColumn& column : columns) rows.front().push_back(column.title);
  for (const ProcessInfo& process : processes.processes()) {
    std::vector<std::string>& row = rows.emplace_back();
    for (const ProcessColumn& column : columns) {
      row.push_back(FindKnown(column.key)->value(process, processes));
    }
  }
  std::vector<size_t> widths(columns.size(), kMinWidth);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size() + kPadding);
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) text += fmt::format("{:<{}}", row[i], widths[i]);
    text += row.back() + "\n";
  }
  return text;
}

}  // namespace hull
