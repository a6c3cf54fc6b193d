// Lists of things as docker shows them: `--format table`, `table TEMPLATE`, `json`, or a template
// that is run for each.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "vmm/base/result.h"

namespace hull::format {

struct Column {
  std::string_view field;    // "ID"
  std::string_view heading;  // "CONTAINER ID"
};

struct Listing {
  // Every field that a row has, sorted by name: the order in which {{json .}} gives them.
  std::span<const Column> columns;
  // "{{.ID}}\t{{.Image}}": what `table` alone shows.
  std::string_view standard_table;
};

struct Row {
  // All of the listing's fields (docker's are strings).
  boost::json::object fields;
  // For {{.Label "name"}}.
  boost::json::object labels;
};

// Lines, each with its newline. `format` empty: "table". A listing has \t and \n in a template
// replaced, as a shell leaves them. kInvalidArgument for a wrong template.
Result<std::string> FormatRows(const Listing& listing, std::span<const Row> rows,
                               std::string_view format);

// A list that is only ids, names or the like.
std::string JoinLines(std::span<const std::string> lines);

// Cells are set apart by tabs: makes columns of them, at least 10 wide and 3 apart, as docker does.
std::string AlignColumns(std::string_view lines);

// "table", "json" and the like, or a template: whether a heading comes first.
bool IsTable(std::string_view format);

}  // namespace hull::format
