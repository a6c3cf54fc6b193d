// hull images: what is in the store.
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "images/store/store.h"
#include "runtime/cli/command.h"
#include "runtime/cli/image_format.h"
#include "runtime/host_layout.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

struct ImagesFlags {
  std::string name;
  std::string format = "table";
  bool quiet = false;
  bool no_trunc = false;
  bool digests = false;
  bool all = false;  // docker's; hull keeps no intermediate images
};

// REPOSITORY or REPOSITORY:TAG, as the list shows it.
bool IsWanted(const ImageRow& row, const images::ImageName& wanted, bool any_tag) {
  const std::string repository = images::FamiliarName(wanted.Repository());
  return row.repository == repository && (any_tag || row.tag == wanted.tag);
}

Result<std::string> List(const ImagesFlags& flags, const GlobalOptions& global) {
  HULL_ASSIGN(const HostLayout layout, FindHostLayout(global.root, global.state));
  HULL_ASSIGN(const images::Store store, images::Store::Open(layout.store_root));
  HULL_ASSIGN(const std::vector<images::Image> all, store.List());
  images::ImageName wanted;
  if (!flags.name.empty()) {
    HULL_ASSIGN(wanted, images::ParseImageName(flags.name));
  }
  const size_t slash = flags.name.rfind('/');
  const bool any_tag =
      flags.name.find(':', slash == std::string::npos ? 0 : slash) == std::string::npos;
  const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count();
  std::vector<ImageRow> rows;
  for (const images::Image& image : all) {
    for (ImageRow& row : RowsOf(image, now, !flags.no_trunc)) {
      if (flags.name.empty() || IsWanted(row, wanted, any_tag)) rows.push_back(std::move(row));
    }
  }
  if (!flags.quiet) return FormatRows(rows, flags.format, flags.digests);
  std::string text;
  for (const ImageRow& row : rows) text += row.id + "\n";
  return text;
}

int Run(const ImagesFlags& flags, const GlobalOptions& global) {
  const Result<std::string> text = List(flags, global);
  if (!text) {
    PrintError(text.error());
    return kExitFailed;
  }
  return WriteAll(STDOUT_FILENO, *text) ? 0 : kExitFailed;
}

Action DeclareImages(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<ImagesFlags>();
  app.add_flag("-a,--all", flags->all, "Accepted for docker's sake: there are no other images");
  app.add_flag("--digests", flags->digests, "Show digests");
  app.add_option("--format", flags->format,
                 "table, json, or a template of {{.Repository}} and the like");
  app.add_flag("--no-trunc", flags->no_trunc, "Show ids in full");
  app.add_flag("-q,--quiet", flags->quiet, "Show ids only");
  app.add_option("REPOSITORY", flags->name, "Only these images");
  return [flags, &global](const std::vector<std::string>&) { return Run(*flags, global); };
}

}  // namespace

extern const Command kImages;
constinit const Command kImages = {
    .name = "images",
    .group = Group::kCommon,
    .aliases = "image ls, image list",
    .summary = "List images",
    .arguments = "[OPTIONS] [REPOSITORY[:TAG]]",
    .declare = DeclareImages,
};

}  // namespace hull::cli
