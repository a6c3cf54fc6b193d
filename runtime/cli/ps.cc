// hull ps: which containers there are.
#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/container_rows.h"
#include "runtime/cli/output.h"

namespace hull::cli {
namespace {

struct PsFlags {
  bool all = false;
  bool latest = false;
  bool quiet = false;
  bool size = false;
  bool no_trunc = false;
  int last = -1;
  std::string format;
  std::vector<std::string> filters;
};

bool Runs(const ContainerRecord& record) {
  return record.state.status == ContainerStatus::kRunning ||
         record.state.status == ContainerStatus::kPaused;
}

Result<std::string> List(const PsFlags& flags, const GlobalOptions& global) {
  HULL_ASSIGN(HostLayout layout, FindHostLayout(global.root, global.state));
  const Containers containers(std::move(layout));
  HULL_ASSIGN(const Filters filters, ParseContainerFilters(flags.filters));
  HULL_ASSIGN(std::vector<ContainerRecord> records, containers.List());
  HULL_ASSIGN(records, FilterContainers(containers, std::move(records), filters));
  const int last = flags.latest && flags.last < 0 ? 1 : flags.last;
  const bool all = flags.all || last > 0 || filters.Has("status") || filters.Has("exited");
  if (!all) std::erase_if(records, [](const ContainerRecord& record) { return !Runs(record); });
  if (last > 0 && records.size() > static_cast<size_t>(last)) {
    records.resize(static_cast<size_t>(last));
  }
  RowOptions options;
  options.now_ns = NowNs();
  options.truncate = !flags.no_trunc;
  options.with_size = flags.size || flags.format.find(".Size") != std::string::npos;
  std::vector<format::Row> rows;
  for (const ContainerRecord& record : records) rows.push_back(RowOf(containers, record, options));
  // Docker's: of -q and a template of one's own the template counts.
  const bool own_format = !flags.format.empty() && flags.format != "table";
  if (flags.quiet && !own_format) return FormatRows(kContainerListing, rows, "{{.ID}}");
  std::string format = flags.format;
  if (flags.size && !own_format) {
    format = fmt::format("table {}\t{{{{.Size}}}}", kContainerListing.standard_table);
  }
  return FormatRows(kContainerListing, rows, format);
}

Action DeclarePs(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<PsFlags>();
  app.add_flag("-a,--all", flags->all, "Show all containers, not only those that run");
  app.add_option("-f,--filter", flags->filters,
                 "Only these: ancestor=, before=, exited=, id=, label=, name=, since=, status=")
      ->type_name("NAME=VALUE");
  app.add_option("--format", flags->format,
                 "table, table TEMPLATE, json, or a template for each container")
      ->type_name("TEMPLATE");
  app.add_option("-n,--last", flags->last, "The last containers made, whether they run or not");
  app.add_flag("-l,--latest", flags->latest, "The last container made, whether it runs or not");
  app.add_flag("--no-trunc", flags->no_trunc, "Show ids and commands in full");
  app.add_flag("-q,--quiet", flags->quiet, "Show ids only");
  app.add_flag("-s,--size", flags->size, "Show what they have on disk");
  return [flags, &global](const std::vector<std::string>&) {
    return PrintResult(List(*flags, global));
  };
}

constexpr Example kExamples[] = {
    {"hull ps -a", "All containers, also those that have ended"},
    {"hull ps --filter label=tier=front --format '{{.Names}}: {{.Status}}'",
     "One line of one's own for each container with that label"},
    {"hull rm $(hull ps -aq --filter status=exited)", "Remove what has ended"},
};

}  // namespace

extern const Command kPs;
constinit const Command kPs = {
    .name = "ps",
    .group = Group::kCommon,
    .aliases = "container ls, container list, container ps",
    .summary = "List containers",
    .arguments = "[OPTIONS]",
    .description =
        "The fields of a template are .ID, .Image, .Command, .CreatedAt, .RunningFor, .Ports, "
        ".State, .Status, .Size, .Names, .Labels, .Label \"name\", .Mounts and .Networks. Values "
        "of "
        "one filter that is given more than once are alternatives (labels are all wanted); "
        "different filters must all fit. Names and ids are searched as regular expressions.",
    .examples = kExamples,
    .declare = DeclarePs,
};

}  // namespace hull::cli
