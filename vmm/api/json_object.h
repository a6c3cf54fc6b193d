// Reading JSON that somebody else wrote: every field is named once, its type and range are checked,
// and what was not asked for is an error. The first error sticks, with the path of its field
// ("block[0].path"), and the reads after it give harmless defaults, so that callers read straight
// on and look once, at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "vmm/base/result.h"

namespace hull::api {

// Caps for a whole document, checked while it is parsed.
struct JsonLimits {
  size_t size_bytes;
  size_t depth;
};

// Parses `text`, refusing what is larger or deeper than `limits`. Errors: kInvalidArgument, with
// the byte at which the text stops being JSON.
Result<boost::json::value> ParseJson(std::string_view text, JsonLimits limits);

// Where the first error of a document is kept. One for each document, outliving its JsonObjects.
class JsonErrors {
 public:
  // Keeps "path: message", unless an earlier error is kept already.
  void Add(std::string_view path, std::string_view message);
  bool any() const { return first_.has_value(); }
  // The first error (kInvalidArgument), or success.
  Status Check() const;

 private:
  std::optional<std::string> first_;
};

struct IntegerRange {
  uint64_t least = 0;
  uint64_t most = UINT64_MAX;
};

struct LengthRange {
  size_t least = 0;
  size_t most = SIZE_MAX;
};

// One object of a document; a view that must not outlive the document's value. Give each object its
// Finish() when everything has been read.
class JsonObject {
 public:
  // `value` should be an object; otherwise that is the error. `path` is "" for the document itself.
  JsonObject(const boost::json::value& value, std::string path, JsonErrors& errors);

  const std::string& path() const { return path_; }
  bool Has(std::string_view name) const;

  // Required fields.
  uint64_t Integer(std::string_view name, IntegerRange range);
  // Strings have no NUL; lengths are in bytes.
  std::string String(std::string_view name, LengthRange length);
  JsonObject Object(std::string_view name);

  // Optional fields: absent gives the fallback, nullopt or an empty list. null is not absent.
  uint64_t IntegerOr(std::string_view name, IntegerRange range, uint64_t fallback);
  bool BoolOr(std::string_view name, bool fallback);
  std::string StringOr(std::string_view name, LengthRange length, std::string fallback);
  std::optional<JsonObject> OptionalObject(std::string_view name);
  // The elements of an array of objects, each with its index in its path.
  std::vector<JsonObject> Objects(std::string_view name, LengthRange length);

  // Adds an error about one field, or about this object as a whole (empty name).
  void AddError(std::string_view name, std::string_view message);
  // Refuses the fields that nobody asked for.
  void Finish();

 private:
  const boost::json::value* Find(std::string_view name);
  const boost::json::value* FindRequired(std::string_view name);
  std::string PathOf(std::string_view name) const;
  uint64_t ToInteger(const boost::json::value& value, std::string_view name, IntegerRange range);
  std::string ToString(const boost::json::value& value, std::string_view name, LengthRange length);

  const boost::json::object* object_ = nullptr;  // null when the value was no object
  std::string path_;
  JsonErrors* errors_;
  std::vector<std::string_view> known_;
};

}  // namespace hull::api
