#include "runtime/cli/new_container.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "images/store/manifest.h"
#include "images/store/store.h"
#include "runtime/cli/cidfile.h"
#include "runtime/cli/image_store.h"
#include "runtime/cli/pull_image.h"
#include "runtime/container_id.h"
#include "runtime/container_sweep.h"
#include "runtime/events.h"
#include "runtime/passed_devices.h"
#include "runtime/prepare_container.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull::cli {
namespace {

// Images that are removed between their being found and the container that needs them.
constexpr int kAttempts = 3;

// One for another platform than --platform says is not there, as docker has it.
Result<images::Image> FindHere(const images::Store& store, const RunRequest& request,
                               const images::PullOptions& options) {
  Result<images::Image> image = store.Resolve(request.image);
  if (!image || request.platform.empty()) return image;
  const Result<images::ConfigSummary> fits =
      images::ParseConfig(image->config, {options.os, options.architecture, options.variant});
  if (fits || fits.error().code() != ErrorCode::kUnsupported) return image;
  return Fail(ErrorCode::kNotFound,
              "image with reference {} was found but does not provide the specified platform ({})",
              ShownName(request.image), request.platform);
}

Result<images::Image> FindImage(const Containers& containers, const RunRequest& request) {
  images::PullOptions options;
  HULL_TRY(SetPlatform(request.platform, options));
  if (request.quiet) options.progress = [](const images::PullProgress&) {};
  HULL_ASSIGN(images::Store store, OpenImageStore(containers.layout()));
  if (request.pull != PullPolicy::kAlways) {
    Result<images::Image> image = FindHere(store, request, options);
    if (image || image.error().code() != ErrorCode::kNotFound) return image;
    if (request.pull == PullPolicy::kNever) return image;
    if (!request.quiet) {
      static_cast<void>(WriteAll(STDERR_FILENO, fmt::format("Unable to find image '{}' locally\n",
                                                            ShownName(request.image))));
    }
  }
  return PullImage(store, request.image, std::move(options));
}

// `warnings`: what the user is to read before the container starts.
Result<NewContainer> Prepare(const Containers& containers, const RunRequest& request,
                             const std::string& id, std::vector<std::string>& warnings) {
  HULL_ASSIGN(const images::Image image, FindImage(containers, request));
  ContainerImage from{image.id, image.config, {}, 0};
  for (const images::Layer& layer : image.layers) {
    from.layer_files.push_back(layer.path.substr(layer.path.rfind('/') + 1));
    from.layer_bytes += layer.size_bytes;
  }
  HULL_ASSIGN(PreparedContainer prepared,
              PrepareContainer(id, request.container, from, static_cast<uint32_t>(get_nprocs())));
  // For the errors alone, while nothing has been made; the start finds them again.
  if (request.container.devices.Any()) {
    HULL_TRY(
        FindDevices(containers, devices::HostTree::FromEnvironment(), request.container.devices));
  }
  warnings = std::move(prepared.warnings);
  // Whatever the preparation calls it: without a name of the user's it is given one.
  prepared.record.name = request.container.name;
  return NewContainer{std::move(prepared.record), std::move(prepared.oci_config), request.cidfile};
}

void Unmake(const Containers& containers, const std::string& id, const RunDirectory* run) {
  const Status removed = run != nullptr ? RemoveContainer(containers, id) : containers.Remove(id);
  if (!removed) log::Warn("container {} stays: {}", id, removed.error().ToString());
}

}  // namespace

Result<NewContainer> PrepareNewContainer(const Containers& containers, const RunRequest& request) {
  HULL_ASSIGN(const std::string id, NewContainerId());
  std::vector<std::string> warnings;
  HULL_ASSIGN(NewContainer container, Prepare(containers, request, id, warnings));
  for (const std::string& warning : warnings) {
    static_cast<void>(WriteAll(STDERR_FILENO, warning + "\n"));
  }
  return container;
}

Result<ContainerRecord> MakeNewContainer(const Containers& containers, const RunRequest& request,
                                         NewContainer container, const RunDirectory* run) {
  const std::string id = container.record.id;
  HULL_ASSIGN(CidFile cidfile, CidFile::Create(container.cidfile));
  HULL_ASSIGN(const images::Store store, images::Store::Open(containers.layout().store_root));
  for (int attempt = 1;; ++attempt) {
    HULL_ASSIGN(ContainerRecord record,
                containers.Create(std::move(container.record), container.oci_config));
    RecordContainerEvent(containers.layout(), record, "create");
    const Status layers = store.CheckLayers(record.machine.layer_files);
    const Status ready = layers ? cidfile.Write(id) : layers;
    if (ready) return record;
    Unmake(containers, id, run);
    if (layers || attempt == kAttempts) return Fail(ready.error());
    std::vector<std::string> said_already;
    HULL_ASSIGN(container, Prepare(containers, request, id, said_already));
  }
}

Result<ContainerRecord> CreateContainer(const Containers& containers, const RunRequest& request) {
  HULL_ASSIGN(NewContainer container, PrepareNewContainer(containers, request));
  return MakeNewContainer(containers, request, std::move(container), nullptr);
}

}  // namespace hull::cli
