// hull history: how an image came to be.
#include "images/store/history.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "runtime/cli/command.h"
#include "runtime/cli/image_store.h"
#include "runtime/container_record.h"
#include "runtime/format/human.h"
#include "runtime/format/listing.h"
#include "vmm/base/escape.h"

namespace hull::cli {
namespace {

constexpr size_t kShortId = 12;
constexpr size_t kShortText = 45;

struct HistoryFlags {
  std::string format;
  bool human = true;
  bool no_trunc = false;
  bool quiet = false;
};

constexpr std::array kColumns = {
    format::Column{"Comment", "COMMENT"},
    format::Column{"CreatedAt", "CREATED AT"},
    format::Column{"CreatedBy", "CREATED BY"},
    format::Column{"CreatedSince", "CREATED"},
    format::Column{"ID", "IMAGE"},
    format::Column{"Size", "SIZE"},
};

// As docker shortens it: to 45 characters, the last one an ellipsis. Not in the middle of one.
std::string Shorten(std::string text) {
  constexpr unsigned char kContinuation = 0x80;
  size_t characters = 0;
  size_t cut = 0;  // where the 45th character begins
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) == kContinuation) continue;
    if (++characters == kShortText) cut = i;
  }
  return characters <= kShortText ? text : text.substr(0, cut) + "\u2026";
}

format::Row RowOf(const images::HistoryStep& step, std::string id, int64_t now_s,
                  const HistoryFlags& flags) {
  std::string created_by = EscapeControl(step.created_by);
  std::replace(created_by.begin(), created_by.end(), '\t', ' ');
  format::Row row;
  row.fields["Comment"] = EscapeControl(step.comment);
  row.fields["CreatedAt"] = "N/A";
  row.fields["CreatedBy"] = flags.no_trunc ? created_by : Shorten(created_by);
  row.fields["CreatedSince"] = "N/A";
  if (const std::optional<int64_t> created = format::ParseTimestamp(step.created)) {
    row.fields["CreatedAt"] = format::Rfc3339Local(*created * format::kNsPerSecond);
    row.fields["CreatedSince"] = flags.human
                                     ? format::HumanDuration(now_s - *created) + " ago"
                                     : format::Rfc3339Local(*created * format::kNsPerSecond);
  }
  row.fields["ID"] = std::move(id);
  row.fields["Size"] =
      flags.human ? format::HumanSize(step.size_bytes) : fmt::format("{}", step.size_bytes);
  return row;
}

Result<std::string> History(const HistoryFlags& flags, const std::string& name,
                            const GlobalOptions& global) {
  HULL_ASSIGN(const images::Store store, OpenImageStore(global));
  HULL_ASSIGN(const images::Image image, store.Resolve(name));
  HULL_ASSIGN(const std::vector<images::HistoryStep> steps, images::HistoryOf(image));
  const int64_t now_s = NowNs() / format::kNsPerSecond;
  std::vector<format::Row> rows;
  for (const images::HistoryStep& step : steps) {
    // Only the image itself has an id; what it was built from has none here.
    std::string id = "<missing>";
    if (rows.empty()) {
      id = flags.no_trunc ? image.id : image.id.substr(image.id.find(':') + 1, kShortId);
    }
    rows.push_back(RowOf(step, std::move(id), now_s, flags));
  }
  const format::Listing listing{
      kColumns, flags.human ? "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
                            : "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"};
  return FormatRows(listing, rows, flags.quiet ? "{{.ID}}" : flags.format);
}

Action DeclareHistory(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<HistoryFlags>();
  app.add_option("--format", flags->format,
                 "table, table TEMPLATE, json, or a template for each step")
      ->type_name("TEMPLATE");
  app.add_flag("-H,--human", flags->human,
               "Sizes and times for people (--human=false: for programs)");
  app.add_flag("--no-trunc", flags->no_trunc, "Show ids and commands in full");
  app.add_flag("-q,--quiet", flags->quiet, "Show ids only");
  return [flags, &global](const std::vector<std::string>& arguments) {
    return EndCommand(History(*flags, arguments.front(), global));
  };
}

}  // namespace

extern const Command kHistory;
constinit const Command kHistory = {
    .name = "history",
    .group = Group::kImages,
    .aliases = "image history",
    .summary = "Show how an image came to be",
    .arguments = "[OPTIONS] IMAGE",
    .description =
        "The last step comes first. The fields of a template are .ID, .CreatedSince, .CreatedAt, "
        ".CreatedBy, .Size and .Comment.",
    .declare = DeclareHistory,
};

}  // namespace hull::cli
