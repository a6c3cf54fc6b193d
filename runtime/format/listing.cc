#include "runtime/format/listing.h"

#include <algorithm>

#include "runtime/format/constants.h"
#include "runtime/format/template.h"

namespace hull::format {
namespace {

constexpr std::string_view kTable = "table";
constexpr size_t kNarrowest = 10;
constexpr size_t kGap = 3;

std::string_view Trim(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t");
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(" \t") - start + 1);
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

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

Result<std::string> Heading(const Listing& listing, const Template& line) {
  boost::json::object headings;
  for (const Column& column : listing.columns) headings[column.field] = column.heading;
  const boost::json::object no_labels;
  return line.Execute(boost::json::value(std::move(headings)),
                      {Template::Purpose::kHeadings, &no_labels});
}

}  // namespace

bool IsTable(std::string_view format) {
  format = Trim(format);
  return format.empty() || format == kTable ||
         (format.starts_with(kTable) &&
          std::string_view(" \t{").find(format[kTable.size()]) != std::string_view::npos);
}

Result<std::string> FormatRows(const Listing& listing, std::span<const Row> rows,
                               std::string_view format) {
  format = Trim(format);
  const bool is_table = IsTable(format);
  if (is_table && !format.empty()) format = Trim(format.substr(kTable.size()));
  if (is_table && format.empty()) format = listing.standard_table;
  if (format == "json") format = "{{json .}}";
  HULL_ASSIGN(const Template line, Template::Parse(Unescape(format)));
  std::string text;
  if (is_table) {
    HULL_ASSIGN(text, Heading(listing, line));
    text += '\n';
  }
  for (const Row& row : rows) {
    const boost::json::value fields(row.fields);
    HULL_ASSIGN(const std::string shown,
                line.Execute(fields, {Template::Purpose::kValues, &row.labels}));
    text += shown + "\n";
  }
  return is_table ? AlignColumns(text) : text;
}

std::string JoinLines(std::span<const std::string> lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::string AlignColumns(std::string_view lines) {
  if (lines.ends_with('\n')) lines.remove_suffix(1);
  std::vector<std::vector<std::string_view>> table;
  std::vector<size_t> widths;
  for (const std::string_view line : Split(lines, '\n')) {
    table.push_back(Split(line, '\t'));
    const std::vector<std::string_view>& cells = table.back();
    widths.resize(std::max(widths.size(), cells.size()), kNarrowest);
    // The last cell of a line takes what it needs.
    for (size_t i = 0; i + 1 < cells.size(); ++i) {
      widths[i] = std::max(widths[i], CountCodePoints(cells[i]) + kGap);
    }
  }
  std::string text;
  for (const std::vector<std::string_view>& cells : table) {
    for (size_t i = 0; i < cells.size(); ++i) {
      text += cells[i];
      if (i + 1 < cells.size()) text.append(widths[i] - CountCodePoints(cells[i]), ' ');
    }
    text += '\n';
  }
  return text;
}

}  // namespace hull::format
