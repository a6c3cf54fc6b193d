#include "runtime/cli/image_removal.h"

#include "runtime/cli/image_rows.h"
#include "runtime/cli/image_store.h"
#include "runtime/container_record.h"
#include "runtime/format/human.h"

namespace hull::cli {

std::string RemovalLines(const images::RemovalReport& report, bool lower_case) {
  std::string text;
  for (const images::Removal& removal : report.removals) {
    const bool untagged = removal.kind == images::Removal::Kind::kUntagged;
    const std::string_view word =
        untagged ? (lower_case ? "untagged" : "Untagged") : (lower_case ? "deleted" : "Deleted");
    text += fmt::format("{}: {}\n", word, removal.what);
  }
  return text;
}

Result<ImagePruneResult> PruneImages(const ImagePruneFlags& flags, const GlobalOptions& global) {
  HULL_ASSIGN(images::Store store, OpenImageStore(global));
  HULL_ASSIGN(const ImageFilters filters,
              ImageFilters::Parse(flags.filters, {"dangling", "label", "label!", "until"}, store,
                                  NowNs() / format::kNsPerSecond));
  images::PruneOptions options;
  options.all = flags.all || filters.dangling() == false;
  // dangling= says which kind is meant, not which of them.
  options.matches = [&](const images::Image& image) {
    return filters.dangling() ? filters.WithoutDangling().Matches(image) : filters.Matches(image);
  };
  HULL_ASSIGN(const images::RemovalReport report, store.Prune(options));
  ImagePruneResult result;
  result.freed_bytes = report.freed_bytes;
  if (!report.removals.empty()) result.text = "Deleted Images:\n" + RemovalLines(report, true);
  return result;
}

}  // namespace hull::cli
