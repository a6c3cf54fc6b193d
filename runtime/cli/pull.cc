// hull pull: get an image.
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "images/store/reference.h"
#include "images/store/store.h"
#include "runtime/cli/command.h"
#include "runtime/cli/image_store.h"
#include "runtime/cli/pull_display.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

struct PullFlags {
  std::string platform;
  bool all_tags = false;
  bool quiet = false;
  bool disable_content_trust = true;
  bool tls_verify = true;
  const CLI::Option* tls_verify_option = nullptr;  // the command line's; whether it was given
  images::PullOptions options;
};

std::string ShownName(const images::Image& image) {
  return image.pulled_name.empty() ? image.id : image.pulled_name;
}

Result<std::string> PullOne(images::Store& store, const std::string& reference,
                            const PullFlags& flags) {
  HULL_ASSIGN(const images::Image image, store.Pull(reference, flags.options));
  if (flags.quiet) return ShownName(image) + "\n";
  return fmt::format("Digest: {}\nStatus: {} for {}\n", image.digest,
                     image.is_new ? "Downloaded newer image" : "Image is up to date",
                     images::FamiliarName(ShownName(image))) +
         (flags.all_tags ? "" : ShownName(image) + "\n");
}

bool HasTag(std::string_view reference) {
  const size_t slash = reference.rfind('/');
  return reference.find_first_of(":@", slash == std::string_view::npos ? 0 : slash) !=
         std::string_view::npos;
}

// Every tag of a repository. The first that fails ends it.
Result<std::string> PullAllTags(images::Store& store, const std::string& repository,
                                const PullFlags& flags) {
  if (HasTag(repository))
    return Fail(ErrorCode::kInvalidArgument, "tag can't be used with --all-tags/-a");
  if (!flags.options.name.empty())
    return Fail(ErrorCode::kInvalidArgument,
                "--name names one image, --all-tags may bring several");
  HULL_ASSIGN(const std::vector<std::string> tags, store.RemoteTags(repository, flags.options));
  std::string text;
  for (const std::string& tag : tags) {
    HULL_ASSIGN(const std::string line,
                PullOne(store, fmt::format("{}:{}", repository, tag), flags));
    if (!flags.quiet) {
      text += line;
    } else {
      text = line;
    }
  }
  HULL_ASSIGN(const images::ImageName name, images::ParseImageName(repository));
  return flags.quiet ? name.Repository() + "\n" : text + name.Repository() + "\n";
}

Result<std::string> Pull(PullFlags& flags, const std::string& reference,
                         const GlobalOptions& global) {
  HULL_TRY(SetPlatform(flags.platform, flags.options));
  if (flags.tls_verify_option->count() > 0) flags.options.tls_verify = flags.tls_verify;
  // skopeo goes on without one.
  if (const std::string& file = flags.options.auth_file; !file.empty())
    HULL_TRY_WITHIN("--authfile", OpenFile(file, O_RDONLY));
  HULL_ASSIGN(images::Store store, OpenImageStore(global));
  PullDisplay display(STDERR_FILENO);
  if (!flags.quiet) {
    flags.options.progress = [&](const images::PullProgress& progress) { display.Show(progress); };
  }
  if (flags.all_tags) return PullAllTags(store, reference, flags);
  // Docker's line, to say what was meant.
  const bool bare = !HasTag(reference) && images::ParseImageName(reference).has_value();
  HULL_ASSIGN(std::string text, PullOne(store, reference, flags));
  return (bare && !flags.quiet ? "Using default tag: latest\n" : "") + text;
}

Action DeclarePull(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<PullFlags>();
  images::PullOptions& options = flags->options;
  app.add_flag("-a,--all-tags", flags->all_tags, "Every tag of the repository");
  app.add_option("--authfile", options.auth_file,
                 "Registry credentials; default: where skopeo looks")
      ->type_name("FILE");
  app.add_option("--creds", options.credentials, "Credentials, rather than those of a file")
      ->type_name("USER[:PASSWORD]");
  app.add_flag("--disable-content-trust", flags->disable_content_trust,
               "Accepted for docker's sake: signatures are the signature policy's");
  app.add_option("--name", options.name, "Name the image this instead of what it came with");
  app.add_option("--platform", flags->platform, "What to choose from an index")
      ->type_name("OS/ARCHITECTURE[/VARIANT]");
  app.add_flag("-q,--quiet", flags->quiet, "Print the image's full name only");
  app.add_option("--signature-policy", options.signature_policy,
                 "Signature policy; default: containers-policy.json(5)")
      ->type_name("FILE");
  flags->tls_verify_option = app.add_flag(
      "--tls-verify", flags->tls_verify,
      "Ask the registry for TLS and a valid certificate; default: what registries.conf "
      "says of it, else true");
  return [flags, &global](const std::vector<std::string>& arguments) {
    return EndCommand(Pull(*flags, arguments.front(), global));
  };
}

}  // namespace

extern const Command kPull;
constinit const Command kPull = {
    .name = "pull",
    .group = Group::kCommon,
    .aliases = "image pull",
    .summary = "Get an image from a registry, a layout or an archive",
    .arguments = "[OPTIONS] IMAGE",
    .description =
        "IMAGE is NAME[:TAG|@DIGEST] of a registry, oci:DIR[:TAG], oci-archive:FILE[:TAG] or "
        "docker-archive:FILE[:NAME]. Layers that are there already are not fetched. Credentials, "
        "mirrors, registries without TLS and signatures are configured as for skopeo and podman: "
        "containers-auth.json(5), containers-registries.conf(5), containers-policy.json(5).",
    .declare = DeclarePull,
};

}  // namespace hull::cli
