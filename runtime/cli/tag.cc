// hull tag: give an image a further name.
#include "runtime/cli/command.h"
#include "runtime/cli/image_store.h"

namespace hull::cli {
namespace {

Result<std::string> Tag(const std::vector<std::string>& arguments, const GlobalOptions& global) {
  HULL_ASSIGN(images::Store store, OpenImageStore(global));
  HULL_TRY(store.Tag(arguments[0], arguments[1]));
  return std::string();
}

Action DeclareTag(CLI::App&, const GlobalOptions& global) {
  return [&global](const std::vector<std::string>& arguments) {
    return EndCommand(Tag(arguments, global));
  };
}

}  // namespace

extern const Command kTag;
constinit const Command kTag = {
    .name = "tag",
    .group = Group::kImages,
    .aliases = "image tag",
    .summary = "Give an image a further name",
    .arguments = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    .declare = DeclareTag,
};

}  // namespace hull::cli
