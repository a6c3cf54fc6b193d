// hull inspect: all that is known of containers and images.
#include "images/store/inspect.h"

#include <unistd.h>

#include <memory>
#include <optional>

#include "images/store/store.h"
#include "runtime/cli/command.h"
#include "runtime/cli/container_inspect.h"
#include "runtime/cli/output.h"
#include "runtime/format/json_text.h"
#include "runtime/format/template.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

namespace json = boost::json;

// Docker's, of a template that cannot be read.
constexpr int kExitBadTemplate = 64;

struct InspectFlags {
  bool size = false;
  std::string format;
  std::string type;
};

Error NoSuch(std::string_view what, const std::string& name) {
  return MakeError(ErrorCode::kNotFound, "No such {}: {}", what, EscapeControl(name));
}

// Of the kind that is wanted, or of any: a container first.
Result<json::value> InspectOne(const HostLayout& layout, const InspectFlags& flags,
                               const std::string& name) {
  if (flags.type.empty() || flags.type == "container") {
    const Containers containers(layout);
    Result<ContainerRecord> record = containers.Load(name);
    if (record) return json::value(InspectContainer(containers, *record, flags.size));
    if (record.error().code() != ErrorCode::kNotFound) return Fail(std::move(record).error());
    if (flags.type == "container") return Fail(NoSuch("container", name));
  }
  HULL_ASSIGN(const images::Store store, images::Store::Open(layout.store_root));
  Result<json::object> image = images::InspectImage(store, name);
  if (image) return json::value(std::move(*image));
  // An image's name may be wrong in itself; with no kind asked for it is only not there.
  const bool is_missing = image.error().code() == ErrorCode::kNotFound ||
                          image.error().code() == ErrorCode::kInvalidArgument;
  if (!is_missing) return Fail(std::move(image).error());
  return Fail(NoSuch(flags.type == "image" ? "image" : "object", name));
}

// What is found is shown even when something else is not.
int Inspect(const InspectFlags& flags, const GlobalOptions& global,
            const std::vector<std::string>& names) {
  if (!flags.type.empty() && flags.type != "container" && flags.type != "image") {
    PrintError(MakeError(ErrorCode::kInvalidArgument, "\"{}\" is not a valid value for --type",
                         EscapeControl(flags.type)));
    return kExitFailed;
  }
  std::optional<format::Template> shape;
  if (!flags.format.empty() && flags.format != "json") {
    Result<format::Template> parsed = format::Template::Parse(flags.format);
    if (!parsed) {
      PrintError(parsed.error());
      return kExitBadTemplate;
    }
    shape = std::move(*parsed);
  }
  Result<HostLayout> layout = FindHostLayout(global.root, global.state);
  if (!layout) {
    PrintError(layout.error());
    return kExitFailed;
  }
  std::vector<Error> errors;
  json::array found;
  std::string text;
  for (const std::string& name : names) {
    Result<json::value> object = InspectOne(*layout, flags, name);
    if (object && shape) {
      Result<std::string> shown = shape->Execute(*object);
      if (shown) text += *shown + "\n";
      if (!shown) errors.push_back(std::move(shown).error());
    } else if (object) {
      found.push_back(std::move(*object));
    } else {
      errors.push_back(std::move(object).error());
    }
  }
  if (!shape) {
    text = flags.format.empty() ? format::WriteIndentedJson(found) : format::WriteJson(found);
  }
  if (!text.ends_with('\n')) text += '\n';
  if (const Status written = WriteAll(STDOUT_FILENO, text); !written) {
    return ExitAfterWriteError(written.error());
  }
  for (const Error& error : errors) PrintError(error);
  return errors.empty() ? 0 : kExitFailed;
}

void DeclareShared(CLI::App& app, InspectFlags& flags) {
  app.add_option("-f,--format", flags.format, "json, or a template for each object")
      ->type_name("TEMPLATE");
}

Action DeclareInspect(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<InspectFlags>();
  DeclareShared(app, *flags);
  app.add_flag("-s,--size", flags->size, "Show what containers have on disk");
  app.add_option("--type", flags->type, "Only objects of this kind")->type_name("container|image");
  return [flags, &global](const std::vector<std::string>& names) {
    return Inspect(*flags, global, names);
  };
}

Action DeclareContainerInspect(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<InspectFlags>();
  flags->type = "container";
  DeclareShared(app, *flags);
  app.add_flag("-s,--size", flags->size, "Show what the containers have on disk");
  return [flags, &global](const std::vector<std::string>& names) {
    return Inspect(*flags, global, names);
  };
}

Action DeclareImageInspect(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<InspectFlags>();
  flags->type = "image";
  DeclareShared(app, *flags);
  return [flags, &global](const std::vector<std::string>& names) {
    return Inspect(*flags, global, names);
  };
}

constexpr Example kExamples[] = {
    {"hull inspect web", "All of it as JSON"},
    {"hull inspect -f '{{.State.Status}} {{.State.ExitCode}}' web", "Two fields"},
    {"hull inspect -f '{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}' web", "The labels"},
    {"hull inspect -f '{{.Hull.MemoryBytes}}' web", "The memory of its virtual machine"},
};

constexpr ExitCode kExitCodes[] = {
    {"0", "success"},
    {"1", "an object is not there, or the template does not fit it"},
    {"64", "the template cannot be read"},
    {"125", "a flag is unknown"},
};

}  // namespace

extern const Command kInspect;
constinit const Command kInspect = {
    .name = "inspect",
    .group = Group::kSystem,
    .summary = "Show all that is known of containers and images",
    .arguments = "[OPTIONS] CONTAINER|IMAGE [CONTAINER|IMAGE...]",
    .description =
        "Shows docker's document of each container or image, in a JSON list. A "
        "container's has a part more, Hull: its virtual machine, its processes and where "
        "its files are. A name that a container and an image have is the container's.",
    .examples = kExamples,
    .exit_codes = kExitCodes,
    .declare = DeclareInspect,
};

extern const Command kContainerInspect;
constinit const Command kContainerInspect = {
    .name = "container inspect",
    .group = Group::kContainers,
    .summary = "Show all that is known of containers",
    .arguments = "[OPTIONS] CONTAINER [CONTAINER...]",
    .exit_codes = kExitCodes,
    .declare = DeclareContainerInspect,
};

extern const Command kImageInspect;
constinit const Command kImageInspect = {
    .name = "image inspect",
    .group = Group::kImages,
    .summary = "Show all that is known of images",
    .arguments = "[OPTIONS] IMAGE [IMAGE...]",
    .exit_codes = kExitCodes,
    .declare = DeclareImageInspect,
};

}  // namespace hull::cli
