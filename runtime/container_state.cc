#include "runtime/container_state.h"

#include <array>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace hull {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 4> kStatusNames = {"creating", "created", "running",
                                                          "stopped"};

json::value ToJson(const std::optional<ProcessIdentity>& process) {
  if (!process) return nullptr;
  return json::object{{"pid", process->pid}, {"start_time", process->start_time}};
}

// Reads fields of one object; `good` turns false for good at the first that does not fit.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  bool good() const { return good_; }

  std::string Text(std::string_view name) {
    const json::value* value = Find(name);
    const json::string* text = value == nullptr ? nullptr : value->if_string();
    if (text == nullptr) good_ = false;
    return text == nullptr ? std::string() : std::string(text->begin(), text->end());
  }
  int64_t Integer(std::string_view name) {
    const json::value* value = Find(name);
    if (value == nullptr) return 0;
    json::error_code error;
    const auto number = value->to_number<int64_t>(error);
    if (error) good_ = false;
    return error ? 0 : number;
  }
  bool Bool(std::string_view name) {
    const json::value* value = Find(name);
    if (value == nullptr) return false;
    if (!value->is_bool()) good_ = false;
    return value->is_bool() && value->get_bool();
  }
  std::optional<int> ExitCode(std::string_view name) {
    const json::value* value = Find(name);
    if (value == nullptr || value->is_null()) return std::nullopt;
    return static_cast<int>(Integer(name));
  }
  std::optional<ProcessIdentity> Process(std::string_view name) {
    const json::value* value = Find(name);
    if (value == nullptr || value->is_null()) return std::nullopt;
    if (!value->is_object()) {
      good_ = false;
      return std::nullopt;
    }
    Reader process(value->get_object());
    const ProcessIdentity identity{static_cast<pid_t>(process.Integer("pid")),
                                   static_cast<uint64_t>(process.Integer("start_time"))};
    good_ = good_ && process.good();
    return identity;
  }

 private:
  const json::value* Find(std::string_view name) const {
    return object_.if_contains(json::string_view(name.data(), name.size()));
  }

  const json::object& object_;
  bool good_ = true;
};

}  // namespace

std::string_view OldContainerStatusName(OldContainerStatus status) {
  return kStatusNames[static_cast<size_t>(status)];
}

std::string WriteOldContainerState(const OldContainerState& state) {
  const std::string_view status = OldContainerStatusName(state.status);
  json::object document{
      {"version", kContainerStateVersion},
      {"id", state.id},
      {"name", state.name},
      {"image", state.image},
      {"image_id", state.image_id},
      {"status", json::string_view(status.data(), status.size())},
      {"remove_at_exit", state.remove_at_exit},
      {"created_at_ns", state.created_at_ns},
      {"started_at_ns", state.started_at_ns},
      {"stopped_at_ns", state.stopped_at_ns},
      {"out_of_memory", state.out_of_memory},
      {"supervisor", ToJson(state.supervisor)},
      {"vmm", ToJson(state.vmm)},
  };
  if (state.exit_code) document["exit_code"] = *state.exit_code;
  return json::serialize(document) + "\n";
}

Result<OldContainerState> ParseOldContainerState(std::string_view text) {
  json::error_code error;
  const json::value document = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !document.is_object()) return Fail(ErrorCode::kCorrupt, "not a container's state");
  Reader reader(document.get_object());
  const int64_t version = reader.Integer("version");
  if (version > static_cast<int64_t>(kContainerStateVersion)) {
    return Fail(Error(ErrorCode::kUnsupported,
                      fmt::format("a container's state of version {}, from a newer hull", version))
                    .WithHint("use the hull that made it"));
  }
  OldContainerState state;
  state.id = reader.Text("id");
  state.name = reader.Text("name");
  state.image = reader.Text("image");
  state.image_id = reader.Text("image_id");
  const std::string status = reader.Text("status");
  bool known = false;
  for (size_t i = 0; i < kStatusNames.size(); ++i) {
    if (kStatusNames[i] != status) continue;
    state.status = static_cast<OldContainerStatus>(i);
    known = true;
  }
  state.remove_at_exit = reader.Bool("remove_at_exit");
  state.created_at_ns = reader.Integer("created_at_ns");
  state.started_at_ns = reader.Integer("started_at_ns");
  state.stopped_at_ns = reader.Integer("stopped_at_ns");
  state.exit_code = reader.ExitCode("exit_code");
  state.out_of_memory = reader.Bool("out_of_memory");
  state.supervisor = reader.Process("supervisor");
  state.vmm = reader.Process("vmm");
  if (version < 1 || !known || !reader.good()) {
    return Fail(ErrorCode::kCorrupt, "not a container's state");
  }
  return state;
}

}  // namespace hull
