#include "images/store/inspect.h"

#include <algorithm>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "images/store/reference.h"

namespace hull::images {
namespace {

namespace json = boost::json;

// A member of the configuration where it is of the kind that docker has there, else `otherwise`.
json::value Member(const json::object& object, std::string_view key, json::value otherwise) {
  const json::value* found = object.if_contains(json::string_view(key.data(), key.size()));
  if (found == nullptr || (found->kind() != otherwise.kind() && !otherwise.is_null()))
    return otherwise;
  return *found;
}

// docker shows every member of a container's configuration, set or not.
json::object ContainerConfig(const json::object& image_config) {
  json::object shown = {{"Hostname", ""},       {"Domainname", ""},      {"User", ""},
                        {"AttachStdin", false}, {"AttachStdout", false}, {"AttachStderr", false},
                        {"Tty", false},         {"OpenStdin", false},    {"StdinOnce", false},
                        {"Env", nullptr},       {"Cmd", nullptr},        {"Image", ""},
                        {"Volumes", nullptr},   {"WorkingDir", ""},      {"Entrypoint", nullptr},
                        {"OnBuild", nullptr},   {"Labels", nullptr}};
  const json::value* config = image_config.if_contains("config");
  const json::object* members = config == nullptr ? nullptr : config->if_object();
  if (members == nullptr) return shown;
  for (const auto& [key, value] : *members) shown[key] = value;
  return shown;
}

// "busybox@sha256:..." of each name's repository, once.
json::array RepoDigests(const Image& image) {
  std::vector<std::string> digests;
  for (size_t i = 0; i < image.names.size(); ++i) {
    const Result<ImageName> name = ParseImageName(image.names[i]);
    if (!name) continue;
    digests.push_back(fmt::format("{}@{}", FamiliarName(name->Repository()), image.digests[i]));
  }
  std::sort(digests.begin(), digests.end());
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
  json::array list;
  for (const std::string& digest : digests) list.emplace_back(digest);
  return list;
}

json::array RepoTags(const Image& image) {
  json::array tags;
  for (const std::string& name : image.names) {
    if (name.find('@') == std::string::npos) tags.emplace_back(FamiliarName(name));
  }
  return tags;
}

// docker takes an image's comment from its last step.
json::value LastComment(const json::object& config) {
  const json::value* history = config.if_contains("history");
  const json::array* steps = history == nullptr ? nullptr : history->if_array();
  if (steps == nullptr || steps->empty() || !steps->back().is_object()) return "";
  return Member(steps->back().get_object(), "comment", "");
}

}  // namespace

Result<boost::json::object> DescribeImage(const Image& image) {
  boost::system::error_code error;
  const json::value value = json::parse(image.config, error);
  if (error || !value.is_object())
    return Fail(ErrorCode::kCorrupt, "the configuration of image {} is damaged", image.id);
  const json::object& config = value.get_object();
  json::array layers;
  std::string files;
  for (const Layer& layer : image.layers) {
    layers.emplace_back(layer.diff_id);
    files += (files.empty() ? "" : ":") + layer.path;
  }
  json::object shown;
  shown["Id"] = image.id;
  shown["RepoTags"] = RepoTags(image);
  shown["RepoDigests"] = RepoDigests(image);
  shown["Parent"] = "";
  shown["Comment"] = LastComment(config);
  shown["Created"] = image.created;
  shown["DockerVersion"] = Member(config, "docker_version", "");
  shown["Author"] = Member(config, "author", "");
  shown["Config"] = ContainerConfig(config);
  shown["Architecture"] = Member(config, "architecture", "");
  if (const json::value variant = Member(config, "variant", ""); !variant.get_string().empty())
    shown["Variant"] = variant;
  shown["Os"] = Member(config, "os", "");
  if (const json::value version = Member(config, "os.version", ""); !version.get_string().empty())
    shown["OsVersion"] = version;
  shown["Size"] = image.size_bytes;
  shown["VirtualSize"] = image.size_bytes;
  // From the lowest up: what `lowerdir` would be, turned round.
  shown["GraphDriver"] =
      json::object{{"Data", json::object{{"LayerFiles", files}}}, {"Name", "erofs"}};
  shown["RootFS"] = json::object{{"Type", "layers"}, {"Layers", std::move(layers)}};
  shown["Metadata"] = json::object{{"LastTagTime", "0001-01-01T00:00:00Z"}};
  return shown;
}

Result<boost::json::object> InspectImage(const Store& store, std::string_view name_or_id) {
  HULL_ASSIGN(const Image image, store.Resolve(name_or_id));
  return DescribeImage(image);
}

}  // namespace hull::images
