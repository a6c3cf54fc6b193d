#include "runtime/devices/cdi_reader.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "runtime/devices/cdi.h"
#include "vmm/base/escape.h"

namespace hull::devices {
namespace {

namespace json = boost::json;

constexpr size_t kMaxDepth = 16;
constexpr size_t kMaxDevices = 4096;
constexpr size_t kMaxListEntries = 1024;
constexpr size_t kMaxTextBytes = 4096;
constexpr size_t kMaxClassBytes = 63;
constexpr size_t kMaxVendorBytes = 253;
constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxShownBytes = 64;

// The versions, by their second number: 0.3.0 to 0.8.0. 1.0.0 counts as the one after those.
constexpr std::array<std::string_view, 7> kVersions = {"0.3.0", "0.4.0", "0.5.0", "0.6.0",
                                                       "0.7.0", "0.8.0", "1.0.0"};
constexpr size_t kFirstMinor = 3;

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsLetterOrDigit(char c) {
  return IsLetter(c) || (c >= '0' && c <= '9');
}

// Letters, digits and what is in `marks` between the first and the last.
bool IsName(std::string_view text, std::string_view marks, size_t most) {
  if (text.empty() || text.size() > most || !IsLetterOrDigit(text.front()) ||
      !IsLetterOrDigit(text.back())) {
    return false;
  }
  return std::all_of(text.begin(), text.end(), [marks](char c) {
    return IsLetterOrDigit(c) || marks.find(c) != std::string_view::npos;
  });
}

// One file; `where` is the path of the field that is being read.
class Reader {
 public:
  explicit Reader(std::string_view file) : file_(EscapeControl(file)) {}

  Result<CdiSpec> Read(std::string_view text);

 private:
  template <typename... Args>
  tl::unexpected<Error> Wrong(const std::string& where, fmt::format_string<Args...> format,
                              Args&&... args) const {
    const std::string what = fmt::format(format, std::forward<Args>(args)...);
    return Fail(ErrorCode::kInvalidArgument, "{}: {}{}{}", file_, where, where.empty() ? "" : ": ",
                what);
  }

  // An object with no other fields than `known`.
  Result<const json::object*> Object(const json::value& value, const std::string& where,
                                     std::initializer_list<std::string_view> known) const;
  Result<const json::array*> List(const json::value& value, const std::string& where,
                                  size_t most = kMaxListEntries) const;
  // Text without NUL, at most kMaxTextBytes.
  Result<std::string> Text(const json::value& value, const std::string& where) const;
  Result<std::string> Needed(const json::object& object, const std::string& where,
                             std::string_view name) const;
  Result<std::string> NeededPath(const json::object& object, const std::string& where,
                                 std::string_view name) const;
  // A field that came with 0.`minor`.0.
  Status Since(size_t minor, const std::string& where) const;

  Status Version(const json::object& object);
  Status Annotations(const json::object& object, const std::string& where) const;
  Result<CdiEdits> Edits(const json::value& value, const std::string& where) const;
  Status Environment(const json::value& value, const std::string& where, CdiEdits& edits) const;
  Status DeviceNodes(const json::value& value, const std::string& where, CdiEdits& edits) const;
  Status Mounts(const json::value& value, const std::string& where, CdiEdits& edits) const;
  Status Hooks(const json::value& value, const std::string& where, CdiEdits& edits) const;
  Status Gids(const json::value& value, const std::string& where, CdiEdits& edits) const;
  Status Devices(const json::object& object, CdiSpec& spec) const;

  std::string file_;
  size_t minor_ = 0;
};

std::string Field(const std::string& where, std::string_view name) {
  return where.empty() ? std::string(name) : fmt::format("{}.{}", where, name);
}

Result<const json::object*> Reader::Object(const json::value& value, const std::string& where,
                                           std::initializer_list<std::string_view> known) const {
  if (!value.is_object()) return Wrong(where, "it is no object");
  const json::object& object = value.get_object();
  for (const json::key_value_pair& field : object) {
    const std::string_view name(field.key().data(), field.key().size());
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return Wrong(Field(where, EscapeControl(name.substr(0, kMaxShownBytes))),
                   "there is no such field");
    }
  }
  return &object;
}

Result<const json::array*> Reader::List(const json::value& value, const std::string& where,
                                        size_t most) const {
  if (!value.is_array()) return Wrong(where, "it is no list");
  if (value.get_array().size() > most) return Wrong(where, "it has more than {} entries", most);
  return &value.get_array();
}

Result<std::string> Reader::Text(const json::value& value, const std::string& where) const {
  if (!value.is_string()) return Wrong(where, "it is no text");
  const json::string& text = value.get_string();
  if (text.size() > kMaxTextBytes) return Wrong(where, "it has more than {} bytes", kMaxTextBytes);
  if (text.find('\0') != json::string::npos) return Wrong(where, "it has a NUL in it");
  return std::string(text.data(), text.size());
}

Result<std::string> Reader::Needed(const json::object& object, const std::string& where,
                                   std::string_view name) const {
  const json::value* const value = object.if_contains(name);
  if (value == nullptr) return Wrong(Field(where, name), "it is missing");
  HULL_ASSIGN(std::string text, Text(*value, Field(where, name)));
  if (text.empty()) return Wrong(Field(where, name), "it is empty");
  return text;
}

Result<std::string> Reader::NeededPath(const json::object& object, const std::string& where,
                                       std::string_view name) const {
  HULL_ASSIGN(std::string path, Needed(object, where, name));
  if (!path.starts_with('/')) return Wrong(Field(where, name), "it is no absolute path");
  // "/dev/vfio/../sda" would be taken for what it is not.
  if ((path + "/").find("/../") != std::string::npos)
    return Wrong(Field(where, name), "it has .. in it");
  return path;
}

Status Reader::Since(size_t minor, const std::string& where) const {
  if (minor_ >= minor) return {};
  return Wrong(where, "it needs cdiVersion 0.{}.0", minor);
}

Status Reader::Version(const json::object& object) {
  HULL_ASSIGN(const std::string text, Needed(object, "", "cdiVersion"));
  std::string_view version = text;
  if (version.starts_with('v')) version.remove_prefix(1);
  const auto* const found = std::find(kVersions.begin(), kVersions.end(), version);
  if (found == kVersions.end()) {
    return Wrong("cdiVersion", "'{}' is none of 0.3.0 to 0.8.0 and 1.0.0",
                 EscapeControl(version.substr(0, kMaxShownBytes)));
  }
  minor_ = kFirstMinor + static_cast<size_t>(found - kVersions.begin());
  return {};
}

Status Reader::Annotations(const json::object& object, const std::string& where) const {
  const json::value* const value = object.if_contains("annotations");
  if (value == nullptr) return {};
  const std::string field = Field(where, "annotations");
  if (!value->is_object()) return Wrong(field, "it is no object");
  const json::object& annotations = value->get_object();
  if (annotations.size() > kMaxListEntries) {
    return Wrong(field, "it has more than {} entries", kMaxListEntries);
  }
  for (const json::key_value_pair& pair : annotations) {
    if (!pair.value().is_string()) return Wrong(field, "a value in it is no text");
  }
  return annotations.empty() ? Status() : Since(6, field);
}

Status Reader::Environment(const json::value& value, const std::string& where,
                           CdiEdits& edits) const {
  HULL_ASSIGN(const json::array* const list, List(value, where));
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string entry = fmt::format("{}[{}]", where, i);
    HULL_ASSIGN(std::string text, Text((*list)[i], entry));
    if (text.find('=') == std::string::npos || text.starts_with('=')) {
      return Wrong(entry, "it is not of the form NAME=value");
    }
    edits.environment.push_back(std::move(text));
  }
  return {};
}

Status Reader::DeviceNodes(const json::value& value, const std::string& where,
                           CdiEdits& edits) const {
  HULL_ASSIGN(const json::array* const list, List(value, where));
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string entry = fmt::format("{}[{}]", where, i);
    HULL_ASSIGN(const json::object* const object,
                Object((*list)[i], entry,
                       {"path", "hostPath", "type", "major", "minor", "fileMode", "permissions",
                        "uid", "gid"}));
    CdiEdits::DeviceNode node;
    HULL_ASSIGN(node.path, NeededPath(*object, entry, "path"));
    node.host_path = node.path;
    if (object->contains("hostPath")) {
      HULL_TRY(Since(5, entry + ".hostPath"));
      HULL_ASSIGN(node.host_path, NeededPath(*object, entry, "hostPath"));
    }
    for (const std::string_view name : {"type", "permissions"}) {
      if (const json::value* const text = object->if_contains(name)) {
        HULL_TRY(Text(*text, Field(entry, name)));
      }
    }
    for (const std::string_view name : {"major", "minor", "fileMode", "uid", "gid"}) {
      const json::value* const number = object->if_contains(name);
      if (number != nullptr && !number->is_int64())
        return Wrong(Field(entry, name), "it is no number");
    }
    edits.device_nodes.push_back(std::move(node));
  }
  return {};
}

Status Reader::Mounts(const json::value& value, const std::string& where, CdiEdits& edits) const {
  HULL_ASSIGN(const json::array* const list, List(value, where));
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string entry = fmt::format("{}[{}]", where, i);
    HULL_ASSIGN(const json::object* const object,
                Object((*list)[i], entry, {"hostPath", "containerPath", "type", "options"}));
    CdiEdits::Mount mount;
    HULL_ASSIGN(mount.host_path, NeededPath(*object, entry, "hostPath"));
    HULL_ASSIGN(mount.container_path, NeededPath(*object, entry, "containerPath"));
    if (const json::value* const type = object->if_contains("type")) {
      HULL_TRY(Since(4, entry + ".type"));
      HULL_ASSIGN(mount.type, Text(*type, entry + ".type"));
    }
    if (const json::value* const options = object->if_contains("options")) {
      HULL_ASSIGN(const json::array* const words, List(*options, entry + ".options"));
      for (size_t k = 0; k < words->size(); ++k) {
        HULL_ASSIGN(std::string word, Text((*words)[k], fmt::format("{}.options[{}]", entry, k)));
        mount.options.push_back(std::move(word));
      }
    }
    edits.mounts.push_back(std::move(mount));
  }
  return {};
}

Status Reader::Hooks(const json::value& value, const std::string& where, CdiEdits& edits) const {
  HULL_ASSIGN(const json::array* const list, List(value, where));
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string entry = fmt::format("{}[{}]", where, i);
    HULL_ASSIGN(const json::object* const object,
                Object((*list)[i], entry, {"hookName", "path", "args", "env", "timeout"}));
    HULL_ASSIGN(const std::string name, Needed(*object, entry, "hookName"));
    edits.unsupported.push_back(fmt::format(
        "{} ({})", entry, EscapeControl(std::string_view(name).substr(0, kMaxShownBytes))));
  }
  return {};
}

Status Reader::Gids(const json::value& value, const std::string& where, CdiEdits& edits) const {
  HULL_TRY(Since(7, where));
  HULL_ASSIGN(const json::array* const list, List(value, where));
  for (size_t i = 0; i < list->size(); ++i) {
    const json::value& entry = (*list)[i];
    if (!entry.is_int64() || entry.get_int64() < 0 || entry.get_int64() > UINT32_MAX) {
      return Wrong(fmt::format("{}[{}]", where, i), "it is no group id");
    }
    // 0.8.0: "Values of 0 are ignored."
    if (entry.get_int64() != 0) {
      edits.additional_gids.push_back(static_cast<uint32_t>(entry.get_int64()));
    }
  }
  return {};
}

Result<CdiEdits> Reader::Edits(const json::value& value, const std::string& where) const {
  // The specification's text and its examples write the last one differently.
  HULL_ASSIGN(const json::object* const object,
              Object(value, where,
                     {"env", "deviceNodes", "mounts", "hooks", "intelRdt", "additionalGids",
                      "additionalGIDs"}));
  CdiEdits edits;
  using Method = Status (Reader::*)(const json::value&, const std::string&, CdiEdits&) const;
  constexpr std::array<std::pair<std::string_view, Method>, 6> kParts = {{
      {"env", &Reader::Environment},
      {"deviceNodes", &Reader::DeviceNodes},
      {"mounts", &Reader::Mounts},
      {"hooks", &Reader::Hooks},
      {"additionalGids", &Reader::Gids},
      {"additionalGIDs", &Reader::Gids},
  }};
  for (const auto& [name, read] : kParts) {
    if (const json::value* const part = object->if_contains(name)) {
      HULL_TRY((this->*read)(*part, Field(where, name), edits));
    }
  }
  if (object->contains("intelRdt")) {
    const std::string field = Field(where, "intelRdt");
    HULL_TRY(Since(7, field));
    edits.unsupported.push_back(field);
  }
  return edits;
}

Status Reader::Devices(const json::object& object, CdiSpec& spec) const {
  const json::value* const value = object.if_contains("devices");
  if (value == nullptr) return Wrong("devices", "it is missing");
  HULL_ASSIGN(const json::array* const list, List(*value, "devices", kMaxDevices));
  if (list->empty()) return Wrong("devices", "it is empty");
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string where = fmt::format("devices[{}]", i);
    HULL_ASSIGN(const json::object* const device,
                Object((*list)[i], where, {"name", "annotations", "containerEdits"}));
    HULL_ASSIGN(const std::string name, Needed(*device, where, "name"));
    if (!IsCdiDeviceName(name)) {
      return Wrong(where + ".name", "'{}' is no device name",
                   EscapeControl(std::string_view(name).substr(0, kMaxShownBytes)));
    }
    HULL_TRY(Annotations(*device, where));
    CdiEdits edits;
    if (const json::value* const own = device->if_contains("containerEdits")) {
      HULL_ASSIGN(edits, Edits(*own, where + ".containerEdits"));
    }
    if (!spec.devices.emplace(name, std::move(edits)).second) {
      return Wrong(where + ".name", "there is a device '{}' before it", name);
    }
  }
  return {};
}

Result<CdiSpec> Reader::Read(std::string_view text) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::system::error_code error;
  const json::value value =
      json::parse(json::string_view(text.data(), text.size()), error, {}, options);
  if (error) return Wrong("", "it is no JSON: {}", error.message());
  HULL_ASSIGN(
      const json::object* const object,
      Object(value, "", {"cdiVersion", "kind", "annotations", "devices", "containerEdits"}));
  CdiSpec spec;
  spec.file = file_;
  HULL_TRY(Version(*object));
  HULL_ASSIGN(spec.kind, Needed(*object, "", "kind"));
  if (!IsCdiKind(spec.kind)) {
    return Wrong("kind", "'{}' is not of the form vendor.com/class",
                 EscapeControl(std::string_view(spec.kind).substr(0, kMaxShownBytes)));
  }
  // Dots in a class came with 0.6.0.
  if (spec.kind.find('.', spec.kind.find('/')) != std::string::npos) HULL_TRY(Since(6, "kind"));
  HULL_TRY(Annotations(*object, ""));
  HULL_TRY(Devices(*object, spec));
  if (const json::value* const edits = object->if_contains("containerEdits")) {
    HULL_ASSIGN(spec.edits, Edits(*edits, "containerEdits"));
  }
  return spec;
}

}  // namespace

bool IsCdiKind(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return false;
  const std::string_view vendor = text.substr(0, slash);
  const std::string_view name = text.substr(slash + 1);
  return IsName(vendor, "_-.", kMaxVendorBytes) && IsLetter(vendor.front()) &&
         IsName(name, "_-.", kMaxClassBytes) && IsLetter(name.front());
}

bool IsCdiDeviceName(std::string_view text) {
  return IsName(text, "_-.:", kMaxNameBytes);
}

Result<CdiSpec> ParseCdiSpec(std::string_view text, std::string_view file) {
  if (text.size() > kMaxCdiFileBytes) {
    return Fail(ErrorCode::kExhausted, "{}: it is larger than {} KiB", EscapeControl(file),
                kMaxCdiFileBytes >> 10U);
  }
  return Reader(file).Read(text);
}

}  // namespace hull::devices
