#include "images/store/history.h"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

namespace hull::images {
namespace {

namespace json = boost::json;

std::string Text(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(json::string_view(key.data(), key.size()));
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

}  // namespace

Result<std::vector<HistoryStep>> HistoryOf(const Image& image) {
  boost::system::error_code error;
  const json::value value = json::parse(image.config, error);
  if (error || !value.is_object())
    return Fail(ErrorCode::kCorrupt, "the configuration of image {} is damaged", image.id);
  std::vector<HistoryStep> steps;
  size_t layer = 0;
  const json::value* history = value.get_object().if_contains("history");
  if (history != nullptr && history->is_array()) {
    for (const json::value& element : history->get_array()) {
      const json::object* object = element.if_object();
      if (object == nullptr) continue;
      HistoryStep step{Text(*object, "created"), Text(*object, "created_by"),
                       Text(*object, "comment"), 0};
      const json::value* empty = object->if_contains("empty_layer");
      const bool makes_layer = empty == nullptr || !empty->is_bool() || !empty->get_bool();
      if (makes_layer && layer < image.layers.size())
        step.size_bytes = image.layers[layer++].size_bytes;
      steps.push_back(std::move(step));
    }
  }
  for (; layer < image.layers.size(); ++layer)
    steps.push_back({image.created, {}, {}, image.layers[layer].size_bytes});
  std::reverse(steps.begin(), steps.end());
  return steps;
}

}  // namespace hull::images
