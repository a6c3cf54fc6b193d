#include "runtime/cli/container_rows.h"

#include <sys/stat.h>

#include <array>

#include "runtime/container_id.h"
#include "runtime/format/constants.h"
#include "runtime/format/human.h"
#include "vmm/base/escape.h"

namespace hull::cli {
namespace {

// In the order of {{json .}}.
constexpr std::array kColumns = {
    format::Column{"Command", "COMMAND"},   format::Column{"CreatedAt", "CREATED AT"},
    format::Column{"ID", "CONTAINER ID"},   format::Column{"Image", "IMAGE"},
    format::Column{"Labels", "LABELS"},     format::Column{"LocalVolumes", "LOCAL VOLUMES"},
    format::Column{"Mounts", "MOUNTS"},     format::Column{"Names", "NAMES"},
    format::Column{"Networks", "NETWORKS"}, format::Column{"Platform", "PLATFORM"},
    format::Column{"Ports", "PORTS"},       format::Column{"RunningFor", "CREATED"},
    format::Column{"Size", "SIZE"},         format::Column{"State", "STATE"},
    format::Column{"Status", "STATUS"},
};

// Docker's: at most so many columns, the last of them for the mark that there is more.
std::string Ellipsis(std::string_view text, size_t columns) {
  if (format::CountCodePoints(text) <= columns) return std::string(text);
  std::string_view rest = text;
  for (size_t i = 0; i + 1 < columns; ++i) {
    rest.remove_prefix(format::FirstCodePoint(rest).size_bytes);
  }
  return std::string(text.substr(0, text.size() - rest.size())) + "\u2026";
}

std::string CommandText(const ContainerRecord& record, bool truncate) {
  constexpr size_t kColumnsOfCommand = 20;
  std::string text;
  for (const std::string& word : record.process.command) {
    // Docker marks arguments with blanks, but not the program.
    const bool quoted = !text.empty() && word.find(' ') != std::string::npos;
    text += (text.empty() ? "" : " ") + (quoted ? "'" + word + "'" : word);
  }
  text = EscapeControl(text);
  if (truncate) text = Ellipsis(text, kColumnsOfCommand);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string JoinLabels(const ContainerRecord& record) {
  std::string text;
  for (const std::string& label : record.labels) text += (text.empty() ? "" : ",") + label;
  return EscapeControl(text);
}

std::string AgoText(int64_t since_ns, int64_t now_ns) {
  return format::HumanDuration((now_ns - since_ns) / format::kNsPerSecond);
}

}  // namespace

constinit const format::Listing kContainerListing = {
    kColumns,
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"};

std::string StatusText(const ContainerState& state, int64_t now_ns) {
  switch (state.status) {
    case ContainerStatus::kCreated:
      return "Created";
    case ContainerStatus::kRunning:
      return "Up " + AgoText(state.started_at_ns, now_ns);
    case ContainerStatus::kPaused:
      return "Up " + AgoText(state.started_at_ns, now_ns) + " (Paused)";
    case ContainerStatus::kExited:
      break;
  }
  return fmt::format("Exited ({}) {} ago", state.exit_code.value_or(0),
                     AgoText(state.finished_at_ns, now_ns));
}

ContainerSize MeasureContainer(const Containers& containers, const ContainerRecord& record) {
  constexpr uint64_t kStatBlock = 512;
  ContainerSize size;
  struct stat status {};
  if (stat(containers.ScratchPath(record.id).c_str(), &status) == 0) {
    size.own_bytes = static_cast<uint64_t>(status.st_blocks) * kStatBlock;
  }
  for (const std::string& file : record.machine.layer_files) {
    if (stat(containers.LayerPath(file).c_str(), &status) == 0) {
      size.image_bytes += static_cast<uint64_t>(status.st_size);
    }
  }
  return size;
}

boost::json::object LabelsOf(const ContainerRecord& record) {
  boost::json::object labels;
  for (const std::string& label : record.labels) {
    const size_t equals = label.find('=');
    labels[label.substr(0, equals)] = equals == std::string::npos ? "" : label.substr(equals + 1);
  }
  return labels;
}

int64_t PidOf(const Containers& containers, const ContainerRecord& record) {
  if (record.state.status != ContainerStatus::kRunning &&
      record.state.status != ContainerStatus::kPaused) {
    return 0;
  }
  const SandboxState sandbox = containers.Sandbox(record.id);
  return sandbox.vmm ? sandbox.vmm->pid : 0;
}

format::Row RowOf(const Containers& containers, const ContainerRecord& record,
                  const RowOptions& options) {
  std::string size = "0B";
  if (options.with_size) {
    const ContainerSize measured = MeasureContainer(containers, record);
    size = fmt::format("{} (virtual {})", format::HumanSize(measured.own_bytes),
                       format::HumanSize(measured.own_bytes + measured.image_bytes));
  }
  const std::string id = options.truncate ? record.id.substr(0, kShortIdLength) : record.id;
  format::Row row;
  row.fields = {
      {"Command", CommandText(record, options.truncate)},
      {"CreatedAt", format::GoTime(record.created_at_ns)},
      {"ID", id},
      {"Image", EscapeControl(record.image)},
      {"Labels", JoinLabels(record)},
      {"LocalVolumes", "0"},
      {"Mounts", ""},
      {"Names", record.name},
      {"Networks", ""},
      {"Platform", "linux/amd64"},
      {"Ports", ""},
      {"RunningFor", AgoText(record.created_at_ns, options.now_ns) + " ago"},
      {"Size", size},
      {"State", ContainerStatusName(record.state.status)},
      {"Status", StatusText(record.state, options.now_ns)},
  };
  row.labels = LabelsOf(record);
  return row;
}

}  // namespace hull::cli
