#include "vmm/api/json_object.h"

#include <algorithm>

#include <boost/json/parse.hpp>
#include <boost/json/parser.hpp>
#include <boost/json/serialize.hpp>

#include "vmm/base/escape.h"

namespace hull::api {
namespace {

const boost::json::value& Null() {
  static const boost::json::value null;
  return null;
}

std::string_view KindName(const boost::json::value& value) {
  switch (value.kind()) {
    case boost::json::kind::null:
      return "null";
    case boost::json::kind::bool_:
      return "true or false";
    case boost::json::kind::int64:
    case boost::json::kind::uint64:
    case boost::json::kind::double_:
      return "a number";
    case boost::json::kind::string:
      return "a string";
    case boost::json::kind::array:
      return "an array";
    case boost::json::kind::object:
      return "an object";
  }
  return "something else";
}

std::string Expected(std::string_view wanted, const boost::json::value& got) {
  return fmt::format("should be {}, is {}", wanted, KindName(got));
}

// For quoting what somebody wrote in an error: short, and without control characters.
std::string Quote(std::string_view text) {
  constexpr size_t kMost = 64;
  return fmt::format("\"{}{}\"", EscapeControl(text.substr(0, kMost)),
                     text.size() > kMost ? "..." : "");
}

}  // namespace

Result<boost::json::value> ParseJson(std::string_view text, JsonLimits limits) {
  if (text.size() > limits.size_bytes) {
    return Fail(ErrorCode::kInvalidArgument, "{} bytes are more than the {} allowed", text.size(),
                limits.size_bytes);
  }
  boost::json::parse_options options;
  options.max_depth = limits.depth;
  boost::json::parser parser({}, options);
  boost::json::error_code error;
  const size_t used = parser.write(text.data(), text.size(), error);
  if (error == boost::json::error::incomplete) {
    return Fail(ErrorCode::kInvalidArgument, "not JSON: it ends too early");
  }
  if (error == boost::json::error::extra_data) {
    return Fail(ErrorCode::kInvalidArgument, "text behind the JSON document");
  }
  if (error) {
    return Fail(ErrorCode::kInvalidArgument, "not JSON at byte {}: {}", used, error.message());
  }
  return parser.release();
}

void JsonErrors::Add(std::string_view path, std::string_view message) {
  if (first_) return;
  first_ = path.empty() ? std::string(message) : fmt::format("{}: {}", path, message);
}

Status JsonErrors::Check() const {
  if (!first_) return {};
  return Fail(Error(ErrorCode::kInvalidArgument, *first_));
}

JsonObject::JsonObject(const boost::json::value& value, std::string path, JsonErrors& errors)
    : object_(value.if_object()), path_(std::move(path)), errors_(&errors) {
  if (object_ == nullptr) errors_->Add(path_, Expected("an object", value));
}

bool JsonObject::Has(std::string_view name) const {
  return object_ != nullptr && object_->if_contains(name) != nullptr;
}

std::string JsonObject::PathOf(std::string_view name) const {
  if (path_.empty()) return std::string(name);
  if (name.empty()) return path_;
  return fmt::format("{}.{}", path_, name);
}

const boost::json::value* JsonObject::Find(std::string_view name) {
  known_.push_back(name);
  return object_ == nullptr ? nullptr : object_->if_contains(name);
}

const boost::json::value* JsonObject::FindRequired(std::string_view name) {
  const boost::json::value* value = Find(name);
  if (value == nullptr) errors_->Add(PathOf(name), "is missing");
  return value;
}

uint64_t JsonObject::ToInteger(const boost::json::value& value, std::string_view name,
                               IntegerRange range) {
  std::optional<uint64_t> number;
  if (const uint64_t* unsigned_number = value.if_uint64()) {
    number = *unsigned_number;
  } else if (const int64_t* signed_number = value.if_int64();
             signed_number && *signed_number >= 0) {
    number = static_cast<uint64_t>(*signed_number);
  } else if (!value.is_number()) {
    errors_->Add(PathOf(name), Expected("a whole number", value));
    return range.least;
  }
  if (!number || *number < range.least || *number > range.most) {
    errors_->Add(PathOf(name), fmt::format("{} is not a whole number from {} to {}",
                                           boost::json::serialize(value), range.least, range.most));
    return range.least;
  }
  return *number;
}

std::string JsonObject::ToString(const boost::json::value& value, std::string_view name,
                                 LengthRange length) {
  const boost::json::string* string = value.if_string();
  if (string == nullptr) {
    errors_->Add(PathOf(name), Expected("a string", value));
    return {};
  }
  const std::string_view text(string->data(), string->size());
  if (text.size() < length.least && text.empty()) {
    errors_->Add(PathOf(name), "is empty");
  } else if (text.size() < length.least || text.size() > length.most) {
    errors_->Add(PathOf(name), fmt::format("has {} bytes, should have {} to {}", text.size(),
                                           length.least, length.most));
  } else if (text.find('\0') != std::string_view::npos) {
    errors_->Add(PathOf(name), "contains a NUL character");
  } else {
    return std::string(text);
  }
  return {};
}

uint64_t JsonObject::Integer(std::string_view name, IntegerRange range) {
  const boost::json::value* value = FindRequired(name);
  return value == nullptr ? range.least : ToInteger(*value, name, range);
}

std::string JsonObject::String(std::string_view name, LengthRange length) {
  const boost::json::value* value = FindRequired(name);
  return value == nullptr ? std::string() : ToString(*value, name, length);
}

JsonObject JsonObject::Object(std::string_view name) {
  const boost::json::value* value = FindRequired(name);
  return JsonObject(value == nullptr ? Null() : *value, PathOf(name), *errors_);
}

uint64_t JsonObject::IntegerOr(std::string_view name, IntegerRange range, uint64_t fallback) {
  const boost::json::value* value = Find(name);
  return value == nullptr ? fallback : ToInteger(*value, name, range);
}

bool JsonObject::BoolOr(std::string_view name, bool fallback) {
  const boost::json::value* value = Find(name);
  if (value == nullptr) return fallback;
  const bool* truth = value->if_bool();
  if (truth == nullptr) {
    errors_->Add(PathOf(name), Expected("true or false", *value));
    return fallback;
  }
  return *truth;
}

std::string JsonObject::StringOr(std::string_view name, LengthRange length, std::string fallback) {
  const boost::json::value* value = Find(name);
  return value == nullptr ? std::move(fallback) : ToString(*value, name, length);
}

std::optional<JsonObject> JsonObject::OptionalObject(std::string_view name) {
  const boost::json::value* value = Find(name);
  if (value == nullptr) return std::nullopt;
  return JsonObject(*value, PathOf(name), *errors_);
}

std::vector<JsonObject> JsonObject::Objects(std::string_view name, LengthRange length) {
  const boost::json::value* value = Find(name);
  if (value == nullptr) return {};
  const boost::json::array* array = value->if_array();
  if (array == nullptr) {
    errors_->Add(PathOf(name), Expected("an array", *value));
    return {};
  }
  if (array->size() < length.least || array->size() > length.most) {
    errors_->Add(PathOf(name), fmt::format("has {} elements, should have {} to {}", array->size(),
                                           length.least, length.most));
    return {};
  }
  std::vector<JsonObject> objects;
  objects.reserve(array->size());
  for (size_t i = 0; i < array->size(); ++i) {
    objects.emplace_back((*array)[i], fmt::format("{}[{}]", PathOf(name), i), *errors_);
  }
  return objects;
}

void JsonObject::AddError(std::string_view name, std::string_view message) {
  errors_->Add(PathOf(name), message);
}

void JsonObject::Finish() {
  if (object_ == nullptr) return;
  for (const auto& field : *object_) {
    const std::string_view key(field.key().data(), field.key().size());
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
      errors_->Add(path_, fmt::format("unknown field {}", Quote(key)));
    }
  }
}

}  // namespace hull::api
