// hull image prune: remove images that nobody needs.
#include <unistd.h>

#include <array>
#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/image_removal.h"
#include "runtime/cli/image_store.h"
#include "runtime/format/human.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

struct Flags {
  ImagePruneFlags prune;
  bool force = false;
};

// docker's question. Anything but y is no.
bool Confirm(bool all) {
  const std::string question = fmt::format(
      "WARNING! This will remove all {}.\nAre you sure you want to continue? [y/N] ",
      all ? "images without at least one container associated to them" : "dangling images");
  if (!WriteAll(STDOUT_FILENO, question)) return false;
  std::string answer;
  char byte = 0;
  while (answer.size() < 100 && ::read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n') answer += byte;
  return answer == "y" || answer == "Y";
}

Result<std::string> Prune(const Flags& flags, const GlobalOptions& global) {
  HULL_ASSIGN(const ImagePruneResult result, PruneImages(flags.prune, global));
  return fmt::format("{}{}Total reclaimed space: {}\n", result.text,
                     result.text.empty() ? "" : "\n", format::HumanSize(result.freed_bytes));
}

Action DeclareImagePrune(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<Flags>();
  app.add_flag("-a,--all", flags->prune.all,
               "All images that no container uses, not only those "
               "without a name");
  app.add_option("--filter", flags->prune.filters, "Only these: dangling=, label=, label!=, until=")
      ->type_name("NAME=VALUE");
  app.add_flag("-f,--force", flags->force, "Do not ask");
  return [flags, &global](const std::vector<std::string>&) {
    if (!flags->force && !Confirm(flags->prune.all)) return kExitFailed;
    return EndCommand(Prune(*flags, global));
  };
}

}  // namespace

extern const Command kImagePrune;
constinit const Command kImagePrune = {
    .name = "image prune",
    .group = Group::kImages,
    .summary = "Remove images that nobody needs",
    .arguments = "[OPTIONS]",
    .declare = DeclareImagePrune,
};

}  // namespace hull::cli
