// How `hull images` shows images: docker's columns, units and templates.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "images/store/store.h"
#include "vmm/base/result.h"

namespace hull::cli {

// 2023424 as "2.02MB": powers of 1000, three digits.
std::string HumanSize(uint64_t bytes);

// 90 as "About a minute", 100000 as "28 hours".
std::string HumanDuration(int64_t seconds);

// RFC 3339, as image configurations have it, in seconds since 1970. Fractions are dropped.
std::optional<int64_t> ParseTimestamp(std::string_view text);

// One line of the list: an image under one of its names.
struct ImageRow {
  std::string repository = "<none>";
  std::string tag = "<none>";
  std::string digest = "<none>";
  std::string id;
  std::string created_since;
  std::string created_at;
  std::string size;
};

// A row for each name, or one for an image without a name. `now`: seconds since 1970.
std::vector<ImageRow> RowsOf(const images::Image& image, int64_t now, bool truncate);

// "table", "table TEMPLATE", "json" or a template of {{.Field}}; `digests`: the standard table has
// them. kInvalidArgument for a field that there is none of.
Result<std::string> FormatRows(std::span<const ImageRow> rows, std::string_view format,
                               bool digests);

}  // namespace hull::cli
