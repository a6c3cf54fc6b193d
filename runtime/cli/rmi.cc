// hull rmi: take names away, and images with their last one.
#include <unistd.h>

#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/image_removal.h"
#include "runtime/cli/image_store.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

struct RmiFlags {
  bool force = false;
  bool no_prune = false;
};

int Remove(const RmiFlags& flags, const std::vector<std::string>& names,
           const GlobalOptions& global) {
  Result<images::Store> store = OpenImageStore(global);
  if (!store) {
    PrintError(store.error());
    return kExitFailed;
  }
  bool failed = false;
  for (const std::string& name : names) {
    const Result<images::RemovalReport> report = store->Remove(name, flags.force);
    if (report) {
      if (!WriteAll(STDOUT_FILENO, RemovalLines(*report, false))) return kExitFailed;
      continue;
    }
    // Docker's: what is not there need not be removed by force.
    const bool missing = report.error().code() == ErrorCode::kNotFound;
    failed = failed || !flags.force || !missing;
    PrintError(missing ? Error(report.error().code(), report.error().ToString()) : report.error());
  }
  return failed ? kExitFailed : 0;
}

Action DeclareRmi(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<RmiFlags>();
  app.add_flag("-f,--force", flags->force,
               "Also with several names, or when a container that does not run uses it");
  app.add_flag("--no-prune", flags->no_prune,
               "Accepted for docker's sake: there are no untagged parents");
  return [flags, &global](const std::vector<std::string>& arguments) {
    return Remove(*flags, arguments, global);
  };
}

}  // namespace

extern const Command kRmi;
constinit const Command kRmi = {
    .name = "rmi",
    .group = Group::kImages,
    .aliases = "image rm, image remove",
    .summary = "Remove images",
    .arguments = "[OPTIONS] IMAGE [IMAGE...]",
    .description =
        "A name is taken away; with its last name an image goes. By its id an image goes with its "
        "name, if it has one alone. Layers that a container uses stay until that is removed.",
    .declare = DeclareRmi,
};

}  // namespace hull::cli
