#include "runtime/container_record.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <limits>
#include <span>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace hull {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 4> kStatusNames = {"created", "running", "paused", "exited"};
constexpr std::array<std::string_view, 2> kStorageNames = {"disk", "tmpfs"};
constexpr std::array<std::string_view, 3> kTransportNames = {"auto", "pmem", "block"};

json::string_view View(std::string_view text) {
  return {text.data(), text.size()};
}

json::array ToJson(const std::vector<std::string>& strings) {
  json::array array;
  array.reserve(strings.size());
  for (const std::string& text : strings) array.emplace_back(text);
  return array;
}

json::object ToJson(const ProcessOptions& process) {
  json::object object{
      {"interactive", process.interactive},
      {"terminal", process.terminal},
      {"user", process.user},
      {"additional_groups", ToJson(process.additional_groups)},
      {"command", ToJson(process.command)},
      {"stop_signal", process.stop_signal},
  };
  if (process.stop_timeout_s) object["stop_timeout_s"] = *process.stop_timeout_s;
  return object;
}

json::object ToJson(const MachineOptions& machine) {
  return {
      {"cpus", machine.cpus},
      {"memory_bytes", machine.memory_bytes},
      {"storage", View(kStorageNames[static_cast<size_t>(machine.storage.kind)])},
      {"storage_bytes", machine.storage.size_bytes},
      {"layer_transport", View(kTransportNames[static_cast<size_t>(machine.layer_transport)])},
      {"layer_files", ToJson(machine.layer_files)},
      {"debug", machine.debug},
  };
}

json::object ToJson(const DeviceOptions& devices) {
  json::object object{{"devices", ToJson(devices.devices)},
                      {"gpus", ToJson(devices.gpus)},
                      {"modules", ToJson(devices.modules)}};
  if (devices.dma_pool_bytes != 0) object["dma_pool_bytes"] = devices.dma_pool_bytes;
  return object;
}

json::array ToJson(const std::vector<PassedFunction>& functions) {
  json::array array;
  for (const PassedFunction& function : functions) {
    json::object object{
        {"address", function.address},
        {"iommu_group", function.iommu_group},
        {"vendor", function.vendor},
        {"device", function.device},
        {"guest_address", function.guest_address},
        {"driver", function.driver},
        {"nodes", ToJson(function.nodes)},
        {"interfaces", ToJson(function.interfaces)},
    };
    if (function.iommu_faults) object["iommu_faults"] = *function.iommu_faults;
    array.push_back(std::move(object));
  }
  return array;
}

json::object ToJson(const LogOptions& log) {
  return {{"max_bytes", log.max_bytes}, {"max_files", log.max_files}, {"disabled", log.disabled}};
}

json::object ToJson(const ContainerState& state) {
  json::object object{
      {"status", View(ContainerStatusName(state.status))},
      {"started_at_ns", state.started_at_ns},
      {"finished_at_ns", state.finished_at_ns},
      {"out_of_memory", state.out_of_memory},
      {"error", state.error},
      {"starts", state.starts},
  };
  if (state.exit_code) object["exit_code"] = *state.exit_code;
  return object;
}

// Reads fields of one object; `good` turns false for good at the first that is missing or does not
// fit.
class Reader {
 public:
  Reader(const json::object& object, bool& good) : object_(object), good_(good) {}

  bool Has(std::string_view name) const { return object_.if_contains(View(name)) != nullptr; }

  std::string Text(std::string_view name) {
    const json::value* value = Find(name);
    const json::string* text = value == nullptr ? nullptr : value->if_string();
    if (text == nullptr) good_ = false;
    return text == nullptr ? std::string() : std::string(text->begin(), text->end());
  }
  template <typename Number>
  Number Integer(std::string_view name) {
    const json::value* value = Find(name);
    json::error_code error;
    const Number number = value == nullptr ? Number{} : value->to_number<Number>(error);
    if (error) good_ = false;
    return error ? Number{} : number;
  }
  bool Bool(std::string_view name) {
    const json::value* value = Find(name);
    if (value == nullptr || !value->is_bool()) good_ = false;
    return value != nullptr && value->is_bool() && value->get_bool();
  }
  std::vector<std::string> Texts(std::string_view name) {
    std::vector<std::string> texts;
    const json::value* value = Find(name);
    if (value == nullptr || !value->is_array()) {
      good_ = false;
      return texts;
    }
    for (const json::value& entry : value->get_array()) {
      if (!entry.is_string()) good_ = false;
      if (entry.is_string()) texts.emplace_back(entry.get_string());
    }
    return texts;
  }
  Reader Object(std::string_view name) { return Of(Find(name)); }
  std::vector<Reader> Objects(std::string_view name) {
    std::vector<Reader> readers;
    const json::value* value = Find(name);
    if (value == nullptr || !value->is_array()) {
      good_ = false;
      return readers;
    }
    for (const json::value& entry : value->get_array()) readers.push_back(Of(&entry));
    return readers;
  }
  // One of `names`, by its place.
  template <typename Enum>
  Enum OneOf(std::string_view name, std::span<const std::string_view> names) {
    const std::string text = Text(name);
    const auto found = std::find(names.begin(), names.end(), text);
    if (found == names.end()) good_ = false;
    return found == names.end() ? Enum{} : static_cast<Enum>(found - names.begin());
  }
  const json::object& object() const { return object_; }

 private:
  Reader Of(const json::value* value) {
    static const json::object kNone;
    if (value == nullptr || !value->is_object()) good_ = false;
    return {value != nullptr && value->is_object() ? value->get_object() : kNone, good_};
  }
  const json::value* Find(std::string_view name) {
    const json::value* value = object_.if_contains(View(name));
    if (value == nullptr) good_ = false;
    return value;
  }

  const json::object& object_;
  bool& good_;
};

ProcessOptions ReadProcess(Reader from) {
  ProcessOptions process;
  process.interactive = from.Bool("interactive");
  process.terminal = from.Bool("terminal");
  process.user = from.Text("user");
  process.additional_groups = from.Texts("additional_groups");
  process.command = from.Texts("command");
  process.stop_signal = from.Text("stop_signal");
  if (from.Has("stop_timeout_s")) process.stop_timeout_s = from.Integer<int64_t>("stop_timeout_s");
  return process;
}

MachineOptions ReadMachine(Reader from) {
  MachineOptions machine;
  machine.cpus = from.Integer<uint32_t>("cpus");
  machine.memory_bytes = from.Integer<uint64_t>("memory_bytes");
  machine.storage.kind = from.OneOf<StorageKind>("storage", kStorageNames);
  machine.storage.size_bytes = from.Integer<uint64_t>("storage_bytes");
  machine.layer_transport = from.OneOf<LayerTransport>("layer_transport", kTransportNames);
  machine.layer_files = from.Texts("layer_files");
  machine.debug = from.Bool("debug");
  return machine;
}

DeviceOptions ReadDevices(Reader from) {
  DeviceOptions devices;
  devices.devices = from.Texts("devices");
  devices.gpus = from.Texts("gpus");
  devices.modules = from.Texts("modules");
  if (from.Has("dma_pool_bytes")) devices.dma_pool_bytes = from.Integer<uint64_t>("dma_pool_bytes");
  return devices;
}

PassedFunction ReadPassed(Reader from) {
  PassedFunction function;
  function.address = from.Text("address");
  function.iommu_group = from.Integer<uint32_t>("iommu_group");
  function.vendor = from.Integer<uint16_t>("vendor");
  function.device = from.Integer<uint16_t>("device");
  function.guest_address = from.Text("guest_address");
  function.driver = from.Text("driver");
  function.nodes = from.Texts("nodes");
  function.interfaces = from.Texts("interfaces");
  if (from.Has("iommu_faults")) function.iommu_faults = from.Integer<uint64_t>("iommu_faults");
  return function;
}

LogOptions ReadLog(Reader from) {
  LogOptions log;
  log.max_bytes = from.Integer<uint64_t>("max_bytes");
  log.max_files = from.Integer<uint32_t>("max_files");
  log.disabled = from.Bool("disabled");
  return log;
}

ContainerState ReadState(Reader from) {
  ContainerState state;
  state.status = from.OneOf<ContainerStatus>("status", kStatusNames);
  state.started_at_ns = from.Integer<int64_t>("started_at_ns");
  state.finished_at_ns = from.Integer<int64_t>("finished_at_ns");
  state.out_of_memory = from.Bool("out_of_memory");
  state.error = from.Text("error");
  state.starts = from.Integer<uint64_t>("starts");
  if (from.Has("exit_code")) state.exit_code = from.Integer<int>("exit_code");
  return state;
}

}  // namespace

std::string_view ContainerStatusName(ContainerStatus status) {
  return kStatusNames[static_cast<size_t>(status)];
}

std::string WriteContainerRecord(const ContainerRecord& record) {
  const json::object document{
      {"version", kContainerRecordVersion},
      {"id", record.id},
      {"name", record.name},
      {"image", record.image},
      {"image_id", record.image_id},
      {"created_at_ns", record.created_at_ns},
      {"remove_at_exit", record.remove_at_exit},
      {"state", ToJson(record.state)},
      {"process", ToJson(record.process)},
      {"machine", ToJson(record.machine)},
      {"devices", ToJson(record.devices)},
      {"passed", ToJson(record.passed)},
      {"log", ToJson(record.log)},
      {"labels", ToJson(record.labels)},
      {"shown", record.shown},
  };
  return json::serialize(document) + "\n";
}

Result<ContainerRecord> ParseContainerRecord(std::string_view text) {
  json::error_code error;
  const json::value document = json::parse(View(text), error);
  if (error || !document.is_object()) return Fail(ErrorCode::kCorrupt, "not a container's record");
  bool good = true;
  Reader reader(document.get_object(), good);
  const auto version = reader.Integer<uint64_t>("version");
  if (good && version > kContainerRecordVersion) {
    return Fail(Error(ErrorCode::kUnsupported,
                      fmt::format("a container's record of version {}, from a newer hull", version))
                    .WithHint("use the hull that made it"));
  }
  ContainerRecord record;
  record.id = reader.Text("id");
  record.name = reader.Text("name");
  record.image = reader.Text("image");
  record.image_id = reader.Text("image_id");
  record.created_at_ns = reader.Integer<int64_t>("created_at_ns");
  record.remove_at_exit = reader.Bool("remove_at_exit");
  record.state = ReadState(reader.Object("state"));
  record.process = ReadProcess(reader.Object("process"));
  record.machine = ReadMachine(reader.Object("machine"));
  if (version > kOldestContainerRecordVersion) {
    record.devices = ReadDevices(reader.Object("devices"));
    for (const Reader& function : reader.Objects("passed")) {
      record.passed.push_back(ReadPassed(function));
    }
  }
  record.log = ReadLog(reader.Object("log"));
  record.labels = reader.Texts("labels");
  record.shown = reader.Object("shown").object();
  if (!good || version < kOldestContainerRecordVersion) {
    return Fail(ErrorCode::kCorrupt, "not a container's record");
  }
  return record;
}

int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace hull
