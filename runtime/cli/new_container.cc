#include "runtime/cli/new_container.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include <utility>

#include "images/store/store.h"
#include "runtime/cli/cidfile.h"
#include "runtime/cli/image_store.h"
#include "runtime/cli/pull_image.h"
#include "runtime/container_id.h"
#include "runtime/events.h"
#include "runtime/prepare_container.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

Result<images::Image> FindImage(const Containers& containers, const RunRequest& request) {
  HULL_ASSIGN(images::Store store, OpenImageStore(containers.layout()));
  if (request.pull != PullPolicy::kAlways) {
    Result<images::Image> image = store.Resolve(request.image);
    if (image || image.error().code() != ErrorCode::kNotFound) return image;
    if (request.pull == PullPolicy::kNever) return image;
    static_cast<void>(WriteAll(STDERR_FILENO, fmt::format("Unable to find image '{}' locally\n",
                                                          ShownName(request.image))));
  }
  return PullImage(store, request.image, images::PullOptions());
}

}  // namespace

Result<NewContainer> PrepareNewContainer(const Containers& containers, const RunRequest& request) {
  HULL_ASSIGN(const images::Image image, FindImage(containers, request));
  HULL_ASSIGN(const std::string id, NewContainerId());
  ContainerImage from{image.id, image.config, {}, 0};
  for (const images::Layer& layer : image.layers) {
    from.layer_files.push_back(layer.path.substr(layer.path.rfind('/') + 1));
    from.layer_bytes += layer.size_bytes;
  }
  HULL_ASSIGN(PreparedContainer prepared,
              PrepareContainer(id, request.container, from, static_cast<uint32_t>(get_nprocs())));
  for (const std::string& warning : prepared.warnings) {
    static_cast<void>(WriteAll(STDERR_FILENO, warning + "\n"));
  }
  // Whatever the preparation calls it: without a name of the user's it is given one.
  prepared.record.name = request.container.name;
  return NewContainer{std::move(prepared.record), std::move(prepared.oci_config), request.cidfile};
}

Result<ContainerRecord> MakeNewContainer(const Containers& containers, NewContainer container) {
  HULL_ASSIGN(CidFile cidfile, CidFile::Create(container.cidfile));
  HULL_ASSIGN(ContainerRecord record,
              containers.Create(std::move(container.record), container.oci_config));
  HULL_TRY(cidfile.Write(record.id));
  RecordContainerEvent(containers.layout(), record, "create");
  return record;
}

Result<ContainerRecord> CreateContainer(const Containers& containers, const RunRequest& request) {
  HULL_ASSIGN(NewContainer container, PrepareNewContainer(containers, request));
  return MakeNewContainer(containers, std::move(container));
}

}  // namespace hull::cli
