#include "runtime/prepare_container.h"

#include <algorithm>
#include <map>
#include <utility>

#include "runtime/image_process.h"
#include "runtime/limit_checks.h"
#include "runtime/machine_size.h"
#include "runtime/oci_config.h"
#include "runtime/shown_options.h"
#include "runtime/signal_name.h"

namespace hull {
namespace {

// The image's labels, and the user's over them.
std::vector<std::string> MergeLabels(const ImageProcess& image, const ContainerOptions& options) {
  std::map<std::string, std::string> labels;
  for (const std::vector<std::string>* list : {&image.labels, &options.labels}) {
    for (const std::string& label : *list) labels[label.substr(0, label.find('='))] = label;
  }
  std::vector<std::string> sorted;
  for (auto& [name, label] : labels) sorted.push_back(std::move(label));
  return sorted;
}

Result<ProcessOptions> MakeProcess(const ImageProcess& image, const ContainerOptions& options) {
  ProcessOptions process;
  process.interactive = options.interactive;
  process.terminal = options.terminal;
  process.user = options.user.value_or(image.user);
  process.additional_groups = options.additional_groups;
  HULL_ASSIGN(process.command, CommandLine(image, options));
  process.stop_signal = options.stop_signal.empty() ? image.stop_signal : options.stop_signal;
  if (!process.stop_signal.empty()) {
    HULL_ASSIGN(const int number, ParseSignal(process.stop_signal));
    static_cast<void>(number);
  }
  process.stop_timeout_s = options.stop_timeout_s;
  return process;
}

}  // namespace

Result<PreparedContainer> PrepareContainer(std::string_view container_id,
                                           const ContainerOptions& options,
                                           const ContainerImage& image, uint32_t host_cpus) {
  PreparedContainer prepared;
  HULL_ASSIGN(const ImageProcess image_process, ParseImageProcess(image.config));
  HULL_TRY(CheckLimits(options, host_cpus, prepared.warnings));
  for (std::string& warning : prepared.warnings) warning.insert(0, "WARNING: ");
  HULL_ASSIGN(const MachineSize size, SizeMachine(options, image.layer_bytes, host_cpus));
  ContainerRecord& record = prepared.record;
  HULL_ASSIGN(record.process, MakeProcess(image_process, options));
  HULL_ASSIGN(prepared.oci_config, MakeOciConfig(container_id, image_process, options));
  record.id = std::string(container_id);
  record.name = options.name;
  record.image = options.image;
  record.image_id = image.id;
  record.created_at_ns = NowNs();
  record.remove_at_exit = options.remove_at_exit;
  record.machine.cpus = size.cpus;
  record.machine.memory_bytes = size.memory_bytes;
  record.machine.storage = options.storage;
  record.machine.layer_transport = options.layer_transport;
  record.machine.layer_files = image.layer_files;
  record.machine.debug = options.debug;
  record.devices = options.devices;
  record.log = options.log;
  record.labels = MergeLabels(image_process, options);
  record.shown = ShowOptions(container_id, image_process, options, record.labels);
  return prepared;
}

}  // namespace hull
