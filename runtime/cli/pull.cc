// hull pull: get an image.
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "images/store/store.h"
#include "runtime/cli/command.h"
#include "runtime/cli/pull_display.h"
#include "runtime/host_layout.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

struct PullFlags {
  std::string reference;
  std::string platform;
  bool quiet = false;
  images::PullOptions options;
};

// OS/ARCHITECTURE[/VARIANT]
Status SetPlatform(std::string_view text, images::PullOptions& options) {
  if (text.empty()) return {};
  const size_t first = text.find('/');
  const size_t second = first == std::string_view::npos ? first : text.find('/', first + 1);
  if (first == std::string_view::npos || first == 0 || first + 1 == text.size()) {
    return Fail(ErrorCode::kInvalidArgument, "--platform: \"{}\" is not OS/ARCHITECTURE[/VARIANT]",
                text);
  }
  options.os = text.substr(0, first);
  options.architecture =
      text.substr(first + 1, second == std::string_view::npos ? second : second - first - 1);
  options.variant = second == std::string_view::npos ? "" : text.substr(second + 1);
  return {};
}

Result<std::string> Pull(PullFlags& flags, const GlobalOptions& global) {
  HULL_ASSIGN(const HostLayout layout, FindHostLayout(global.root, global.state));
  HULL_ASSIGN(images::Store store, images::Store::Open(layout.store_root));
  HULL_TRY(SetPlatform(flags.platform, flags.options));
  PullDisplay display(STDERR_FILENO);
  if (!flags.quiet) {
    flags.options.progress = [&](const images::PullProgress& progress) { display.Show(progress); };
  }
  HULL_ASSIGN(const images::Image image, store.Pull(flags.reference, flags.options));
  const std::string shown = image.pulled_name.empty() ? image.id : image.pulled_name;
  if (flags.quiet) return shown + "\n";
  return fmt::format("Digest: {}\nStatus: {} for {}\n{}\n", image.digest,
                     image.is_new ? "Downloaded newer image" : "Image is up to date",
                     images::FamiliarName(shown), shown);
}

int Run(PullFlags& flags, const GlobalOptions& global) {
  const Result<std::string> text = Pull(flags, global);
  if (!text) {
    PrintError(text.error());
    return kExitFailed;
  }
  return WriteAll(STDOUT_FILENO, *text) ? 0 : kExitFailed;
}

Action DeclarePull(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<PullFlags>();
  images::PullOptions& options = flags->options;
  app.add_option("--authfile", options.auth_file,
                 "Registry credentials; default: where skopeo looks");
  app.add_option("--name", options.name, "Name the image this instead of what it came with");
  app.add_option("--platform", flags->platform,
                 "OS/ARCHITECTURE[/VARIANT] to choose from an index");
  app.add_flag("-q,--quiet", flags->quiet, "Print the image's full name only");
  app.add_option("--signature-policy", options.signature_policy,
                 "Signature policy; default: containers-policy.json(5)");
  app.add_option("--tls-verify", options.tls_verify,
                 "Ask the registry for TLS and a valid certificate")
      ->default_str("true");
  app.add_option(
         "IMAGE", flags->reference,
         "NAME[:TAG|@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME]")
      ->required();
  return [flags, &global](const std::vector<std::string>&) { return Run(*flags, global); };
}

}  // namespace

extern const Command kPull;
constinit const Command kPull = {
    .name = "pull",
    .group = Group::kCommon,
    .aliases = "image pull",
    .summary = "Get an image from a registry, a layout or an archive",
    .arguments = "[OPTIONS] IMAGE",
    .declare = DeclarePull,
};

}  // namespace hull::cli
