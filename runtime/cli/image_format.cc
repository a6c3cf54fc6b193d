#include "runtime/cli/image_format.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <cmath>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace hull::cli {
namespace {

constexpr size_t kShortId = 12;
constexpr size_t kMinimumColumn = 10;
constexpr size_t kColumnGap = 3;
constexpr std::string_view kStandardTable =
    "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
constexpr std::string_view kDigestTable =
    "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

struct Field {
  std::string_view name;
  std::string_view heading;
  std::string ImageRow::*value;
};
const std::array kFields = {
    Field{"Repository", "REPOSITORY", &ImageRow::repository},
    Field{"Tag", "TAG", &ImageRow::tag},
    Field{"Digest", "DIGEST", &ImageRow::digest},
    Field{"ID", "IMAGE ID", &ImageRow::id},
    Field{"CreatedSince", "CREATED", &ImageRow::created_since},
    Field{"CreatedAt", "CREATED AT", &ImageRow::created_at},
    Field{"Size", "SIZE", &ImageRow::size},
};

std::string Json(const ImageRow& row) {
  boost::json::object object;
  // docker's own list has these; they say nothing here.
  object["Containers"] = "N/A";
  for (const Field& field : kFields) object[field.name] = row.*field.value;
  object["SharedSize"] = "N/A";
  object["UniqueSize"] = "N/A";
  object["VirtualSize"] = row.size;
  return boost::json::serialize(object);
}

std::string_view Trim(std::string_view text) {
  const size_t start = text.find_first_not_of(' ');
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(' ') - start + 1);
}

// What stands between {{ and }}. `row` null: the heading.
Result<std::string> Expand(std::string_view action, const ImageRow* row) {
  action = Trim(action);
  if (action == "json .") return row == nullptr ? std::string() : Json(*row);
  for (const Field& field : kFields) {
    if (action.starts_with('.') && action.substr(1) == field.name) {
      return row == nullptr ? std::string(field.heading) : row->*field.value;
    }
  }
  std::string known;
  for (const Field& field : kFields) known += fmt::format(" .{}", field.name);
  return Fail(ErrorCode::kInvalidArgument, "--format: {{{{{}}}}} is not one of{}", action, known);
}

Result<std::string> Render(std::string_view format, const ImageRow* row) {
  std::string text;
  while (!format.empty()) {
    const size_t open = format.find("{{");
    text += format.substr(0, open);
    if (open == std::string_view::npos) break;
    const size_t close = format.find("}}", open);
    if (close == std::string_view::npos) {
      return Fail(ErrorCode::kInvalidArgument, "--format: a {{{{ has no }}}}");
    }
    HULL_ASSIGN(const std::string value, Expand(format.substr(open + 2, close - open - 2), row));
    text += value;
    format.remove_prefix(close + 2);
  }
  return text;
}

// A shell leaves \t and \n as they are typed.
std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    if (next != 't' && next != 'n') {
      out += text[i];
      continue;
    }
    out += next == 't' ? '\t' : '\n';
    ++i;
  }
  return out;
}

std::vector<std::string> Cells(std::string_view line) {
  std::vector<std::string> cells;
  for (;;) {
    const size_t tab = line.find('\t');
    cells.emplace_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return cells;
    line.remove_prefix(tab + 1);
  }
}

std::string Align(const std::vector<std::string>& lines) {
  std::vector<size_t> widths;
  for (const std::string& line : lines) {
    const std::vector<std::string> cells = Cells(line);
    widths.resize(std::max(widths.size(), cells.size()), kMinimumColumn);
    for (size_t i = 0; i < cells.size(); ++i)
      widths[i] = std::max(widths[i], cells[i].size() + kColumnGap);
  }
  std::string text;
  for (const std::string& line : lines) {
    const std::vector<std::string> cells = Cells(line);
    for (size_t i = 0; i < cells.size(); ++i) {
      const bool last = i + 1 == cells.size();
      text += last ? cells[i] + "\n" : fmt::format("{:<{}}", cells[i], widths[i]);
    }
  }
  return text;
}

// Takes `count` digits off `text`; -1 when they are not there.
int TakeDigits(std::string_view& text, size_t count) {
  if (text.size() < count) return -1;
  int value = 0;
  for (const char c : text.substr(0, count)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool Take(std::string_view& text, std::string_view one_of) {
  if (text.empty() || one_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string HumanSize(uint64_t bytes) {
  constexpr std::array<std::string_view, 7> kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  constexpr double kStep = 1000.0;
  auto size = static_cast<double>(bytes);
  size_t unit = 0;
  while (size >= kStep && unit + 1 < kUnits.size()) {
    size /= kStep;
    ++unit;
  }
  return fmt::format("{:.3g}{}", size, kUnits[unit]);
}

std::string HumanDuration(int64_t seconds) {
  constexpr int64_t kHoursOfDay = 24;
  const int64_t minutes = seconds / 60;
  const auto hours = static_cast<int64_t>(std::floor(static_cast<double>(seconds) / 3600.0 + 0.5));
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return fmt::format("{} seconds", seconds);
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return fmt::format("{} minutes", minutes);
  if (hours == 1) return "About an hour";
  if (hours < 48) return fmt::format("{} hours", hours);
  if (hours < kHoursOfDay * 7 * 2) return fmt::format("{} days", hours / kHoursOfDay);
  if (hours < kHoursOfDay * 30 * 2) return fmt::format("{} weeks", hours / kHoursOfDay / 7);
  if (hours < kHoursOfDay * 365 * 2) return fmt::format("{} months", hours / kHoursOfDay / 30);
  return fmt::format("{} years", seconds / 3600 / kHoursOfDay / 365);
}

std::optional<int64_t> ParseTimestamp(std::string_view text) {
  tm fields = {};
  fields.tm_year = TakeDigits(text, 4) - 1900;
  bool valid = Take(text, "-");
  fields.tm_mon = TakeDigits(text, 2) - 1;
  valid = valid && Take(text, "-");
  fields.tm_mday = TakeDigits(text, 2);
  valid = valid && Take(text, "Tt ");
  fields.tm_hour = TakeDigits(text, 2);
  valid = valid && Take(text, ":");
  fields.tm_min = TakeDigits(text, 2);
  valid = valid && Take(text, ":");
  fields.tm_sec = TakeDigits(text, 2);
  if (!valid || fields.tm_year < -1900 || fields.tm_mon < 0 || fields.tm_mon > 11 ||
      fields.tm_mday < 1 || fields.tm_mday > 31 || fields.tm_hour < 0 || fields.tm_hour > 23 ||
      fields.tm_min < 0 || fields.tm_min > 59 || fields.tm_sec < 0 || fields.tm_sec > 60) {
    return std::nullopt;
  }
  if (Take(text, ".")) {
    while (Take(text, "0123456789")) {
    }
  }
  const int64_t local = ::timegm(&fields);
  if (text == "Z" || text == "z") return local;
  const bool behind = text.starts_with('-');
  if (!Take(text, "+-")) return std::nullopt;
  const int hours = TakeDigits(text, 2);
  if (!Take(text, ":")) return std::nullopt;
  const int minutes = TakeDigits(text, 2);
  if (hours < 0 || minutes < 0 || !text.empty()) return std::nullopt;
  const int64_t offset = int64_t{60} * (hours * 60 + minutes);
  return behind ? local + offset : local - offset;
}

std::vector<ImageRow> RowsOf(const images::Image& image, int64_t now, bool truncate) {
  ImageRow row;
  const size_t hex = image.id.find(':') + 1;
  row.id = truncate ? image.id.substr(hex, kShortId) : image.id;
  row.size = HumanSize(image.size_bytes);
  row.created_at = row.created_since = "N/A";
  if (const std::optional<int64_t> created = ParseTimestamp(image.created)) {
    row.created_since = HumanDuration(now - *created) + " ago";
    const time_t seconds = *created;
    tm fields = {};
    std::array<char, 64> text{};
    ::gmtime_r(&seconds, &fields);
    if (::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S +0000 UTC", &fields) > 0) {
      row.created_at = text.data();
    }
  }
  std::vector<ImageRow> rows;
  for (size_t i = 0; i < image.names.size(); ++i) {
    const std::string familiar = images::FamiliarName(image.names[i]);
    const size_t at = familiar.find('@');
    ImageRow named = row;
    named.digest = image.digests[i];
    if (at != std::string::npos) {
      named.repository = familiar.substr(0, at);
      named.digest = familiar.substr(at + 1);
    } else {
      const size_t colon = familiar.rfind(':');
      named.repository = familiar.substr(0, colon);
      named.tag = familiar.substr(colon + 1);
    }
    rows.push_back(std::move(named));
  }
  if (rows.empty()) rows.push_back(std::move(row));
  return rows;
}

Result<std::string> FormatRows(std::span<const ImageRow> rows, std::string_view format,
                               bool digests) {
  constexpr std::string_view kTable = "table";
  if (format == "json") format = "{{json .}}";
  std::vector<std::string> lines;
  const bool is_table = format.starts_with(kTable);
  std::string line_format = Unescape(is_table ? Trim(format.substr(kTable.size())) : format);
  if (is_table && line_format.empty()) line_format = digests ? kDigestTable : kStandardTable;
  if (is_table) {
    HULL_ASSIGN(std::string heading, Render(line_format, nullptr));
    lines.push_back(std::move(heading));
  }
  for (const ImageRow& row : rows) {
    HULL_ASSIGN(std::string line, Render(line_format, &row));
    lines.push_back(std::move(line));
  }
  if (is_table) return Align(lines);
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace hull::cli
