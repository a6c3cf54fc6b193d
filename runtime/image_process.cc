#include "runtime/image_process.h"

#include <string>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

namespace hull {
namespace {

namespace json = boost::json;

// The member's value, or null when it is absent or null.
const json::value* Find(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(json::string_view(name.data(), name.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

Result<std::string> Text(const json::object& object, std::string_view name) {
  const json::value* value = Find(object, name);
  if (value == nullptr) return std::string();
  const json::string* text = value->if_string();
  if (text == nullptr || text->find('\0') != json::string::npos) {
    return Fail(ErrorCode::kCorrupt, "the image's configuration: {} is not a string", name);
  }
  return std::string(text->begin(), text->end());
}

Result<std::vector<std::string>> TextList(const json::object& object, std::string_view name) {
  std::vector<std::string> list;
  const json::value* value = Find(object, name);
  if (value == nullptr) return list;
  const json::array* array = value->if_array();
  if (array == nullptr) {
    return Fail(ErrorCode::kCorrupt, "the image's configuration: {} is not a list", name);
  }
  list.reserve(array->size());
  for (const json::value& element : *array) {
    const json::string* text = element.if_string();
    if (text == nullptr || text->find('\0') != json::string::npos) {
      return Fail(ErrorCode::kCorrupt, "the image's configuration: {} is not a list of strings",
                  name);
    }
    list.emplace_back(text->begin(), text->end());
  }
  return list;
}

// The member's names: a set in Go's JSON.
Result<std::vector<std::string>> NameList(const json::object& object, std::string_view name) {
  std::vector<std::string> list;
  const json::value* value = Find(object, name);
  if (value == nullptr) return list;
  if (!value->is_object()) {
    return Fail(ErrorCode::kCorrupt, "the image's configuration: {} is not an object", name);
  }
  for (const auto& member : value->get_object()) list.emplace_back(member.key());
  return list;
}

Result<std::vector<std::string>> LabelList(const json::object& object) {
  std::vector<std::string> list;
  const json::value* value = Find(object, "Labels");
  if (value == nullptr) return list;
  if (!value->is_object()) {
    return Fail(ErrorCode::kCorrupt, "the image's configuration: Labels is not an object");
  }
  for (const auto& member : value->get_object()) {
    const json::string* text = member.value().if_string();
    if (text == nullptr) {
      return Fail(ErrorCode::kCorrupt, "the image's configuration: a label is not a string");
    }
    list.push_back(fmt::format("{}={}", std::string_view(member.key().data(), member.key().size()),
                               std::string_view(text->data(), text->size())));
  }
  return list;
}

}  // namespace

Result<ImageProcess> ParseImageProcess(std::string_view config) {
  json::error_code error;
  const json::value document = json::parse(json::string_view(config.data(), config.size()), error);
  if (error || !document.is_object()) {
    return Fail(ErrorCode::kCorrupt, "the image's configuration is not a JSON object");
  }
  ImageProcess process;
  const json::value* section = Find(document.get_object(), "config");
  if (section == nullptr) return process;
  const json::object* object = section->if_object();
  if (object == nullptr) {
    return Fail(ErrorCode::kCorrupt, "the image's configuration: config is not an object");
  }
  HULL_ASSIGN(process.entrypoint, TextList(*object, "Entrypoint"));
  HULL_ASSIGN(process.command, TextList(*object, "Cmd"));
  HULL_ASSIGN(process.environment, TextList(*object, "Env"));
  HULL_ASSIGN(process.working_directory, Text(*object, "WorkingDir"));
  HULL_ASSIGN(process.user, Text(*object, "User"));
  HULL_ASSIGN(process.stop_signal, Text(*object, "StopSignal"));
  HULL_ASSIGN(process.labels, LabelList(*object));
  HULL_ASSIGN(process.exposed_ports, NameList(*object, "ExposedPorts"));
  HULL_ASSIGN(process.volumes, NameList(*object, "Volumes"));
  return process;
}

}  // namespace hull
