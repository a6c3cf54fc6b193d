// hull images: what is in the store.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "images/store/reference.h"
#include "runtime/cli/command.h"
#include "runtime/cli/image_rows.h"
#include "runtime/cli/image_store.h"
#include "runtime/container_record.h"
#include "runtime/format/human.h"

namespace hull::cli {
namespace {

struct ImagesFlags {
  std::vector<std::string> filters;
  std::string format;
  bool quiet = false;
  bool no_trunc = false;
  bool digests = false;
  bool all = false;
};

// "docker.io/library/busybox" is asked for as it is shown: "busybox". A pattern stays as it is.
std::string Familiar(const std::string& reference) {
  const Result<images::ImageName> name = images::ParseImageName(reference);
  if (!name) return reference;
  const size_t slash = reference.rfind('/');
  const bool tagged =
      reference.find(':', slash == std::string::npos ? 0 : slash) != std::string::npos;
  return images::FamiliarName(tagged ? name->Full() : name->Repository());
}

Result<std::string> List(const ImagesFlags& flags, const std::vector<std::string>& arguments,
                         const GlobalOptions& global) {
  HULL_ASSIGN(const images::Store store, OpenImageStore(global));
  const int64_t now_s = NowNs() / format::kNsPerSecond;
  HULL_ASSIGN(ImageFilters filters,
              ImageFilters::Parse(flags.filters,
                                  {"dangling", "label", "reference", "before", "since", "until"},
                                  store, now_s));
  if (!arguments.empty()) filters.AddReference(Familiar(arguments.front()));
  HULL_ASSIGN(const std::vector<images::Image> all, store.List());
  std::vector<format::Row> rows;
  for (const images::Image& image : all) {
    if (!filters.Matches(image)) continue;
    for (format::Row& row :
         ImageRows(image, filters.WantedNames(image), {now_s, !flags.no_trunc})) {
      rows.push_back(std::move(row));
    }
  }
  const format::Listing listing = ImageListing(flags.digests);
  if (flags.quiet) {
    return FormatRows(listing, rows, flags.digests ? "{{.Digest}}" : "{{.ID}}");
  }
  return FormatRows(listing, rows, flags.format);
}

Action DeclareImages(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<ImagesFlags>();
  app.add_flag("-a,--all", flags->all, "Accepted for docker's sake: there are no other images");
  app.add_flag("--digests", flags->digests, "Show digests");
  app.add_option("-f,--filter", flags->filters,
                 "Only these: before=, dangling=, label=, reference=, since=, until=")
      ->type_name("NAME=VALUE");
  app.add_option("--format", flags->format,
                 "table, table TEMPLATE, json, or a template for each image")
      ->type_name("TEMPLATE");
  app.add_flag("--no-trunc", flags->no_trunc, "Show ids in full");
  app.add_flag("-q,--quiet", flags->quiet, "Show ids only");
  return [flags, &global](const std::vector<std::string>& arguments) {
    return EndCommand(List(*flags, arguments, global));
  };
}

constexpr Example kExamples[] = {
    {"hull images 'sample/*'", "Images of these repositories"},
    {"hull images --filter dangling=true -q", "Ids of images without a name"},
};

}  // namespace

extern const Command kImages;
constinit const Command kImages = {
    .name = "images",
    .group = Group::kCommon,
    .aliases = "image ls, image list",
    .summary = "List images",
    .arguments = "[OPTIONS] [REPOSITORY[:TAG]]",
    .description =
        "The fields of a template are .Repository, .Tag, .Digest, .ID, .CreatedSince, .CreatedAt "
        "and .Size. References are shell patterns in which * does not match a slash. The size is "
        "that of the image's layers, which it may share with others.",
    .examples = kExamples,
    .declare = DeclareImages,
};

}  // namespace hull::cli
