// hull load: images from an archive.
#include <fcntl.h>
#include <unistd.h>

#include <memory>

#include "images/store/reference.h"
#include "runtime/cli/command.h"
#include "runtime/cli/image_store.h"
#include "runtime/cli/pull_display.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

struct LoadFlags {
  std::string input;
  std::string platform;
  bool quiet = false;
};

Result<std::string> Load(const LoadFlags& flags, const GlobalOptions& global) {
  images::PullOptions options;
  HULL_TRY(SetPlatform(flags.platform, options));
  UniqueFd file;
  if (!flags.input.empty()) {
    HULL_ASSIGN(file, OpenFile(flags.input, O_RDONLY));
  } else if (::isatty(STDIN_FILENO) == 1) {
    return Fail(ErrorCode::kInvalidArgument, "requested load from stdin, but stdin is empty");
  }
  HULL_ASSIGN(images::Store store, OpenImageStore(global));
  PullDisplay display(STDERR_FILENO);
  if (!flags.quiet) {
    options.progress = [&](const images::PullProgress& progress) { display.Show(progress); };
  }
  HULL_ASSIGN(const std::vector<images::Loaded> all,
              store.Load(file.valid() ? file.get() : STDIN_FILENO, options));
  std::string text;
  for (const images::Loaded& loaded : all) {
    if (loaded.names.empty()) text += fmt::format("Loaded image ID: {}\n", loaded.id);
    for (const std::string& name : loaded.names)
      text += fmt::format("Loaded image: {}\n", images::FamiliarName(name));
  }
  return text;
}

Action DeclareLoad(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<LoadFlags>();
  app.add_option("-i,--input", flags->input,
                 "Read this archive, or directory of an image, rather than standard input")
      ->type_name("FILE");
  app.add_option("--platform", flags->platform, "What to choose from an index")
      ->type_name("OS/ARCHITECTURE[/VARIANT]");
  app.add_flag("-q,--quiet", flags->quiet, "Show no progress");
  return [flags, &global](const std::vector<std::string>&) {
    return EndCommand(Load(*flags, global));
  };
}

constexpr Example kExamples[] = {
    {"hull load -i images.tar", "All images of an archive"},
    {"ssh host hull save app | hull load", "An image from another host"},
};

}  // namespace

extern const Command kLoad;
constinit const Command kLoad = {
    .name = "load",
    .group = Group::kImages,
    .aliases = "image load",
    .summary = "Load images from an archive",
    .arguments = "[OPTIONS]",
    .description =
        "Reads archives of docker's (docker save) and of OCI's kind, plain or compressed with "
        "gzip, zstd, xz or bzip2, and directories with an OCI layout or with one image (podman "
        "save --format docker-dir).",
    .examples = kExamples,
    .declare = DeclareLoad,
};

}  // namespace hull::cli
