#include "runtime/format/functions.h"

#include <algorithm>
#include <array>
#include <compare>
#include <limits>
#include <optional>

#include "runtime/format/constants.h"
#include "runtime/format/json_text.h"
#include "runtime/format/template.h"

namespace hull::format {
namespace {

namespace json = boost::json;
using Arguments = std::span<const Value>;

tl::unexpected<Error> Wrong(std::string message) {
  return Fail(Error(ErrorCode::kInvalidArgument, std::move(message)));
}

bool IsNull(const Value& value) {
  return value.data == nullptr || value.data->is_null();
}
std::string_view Text(const Value& value) {
  const json::string& text = value.data->get_string();
  return {text.data(), text.size()};
}
Result<Value> Made(Arena& arena, std::string_view text) {
  HULL_TRY(arena.Count(text.size()));
  return Value{arena.Keep(json::value(json::string_view(text.data(), text.size())))};
}
Value Truth(Arena& arena, bool truth) {
  return {arena.Keep(json::value(truth))};
}

std::optional<int64_t> Integer(const Value& value) {
  if (value.data == nullptr) return std::nullopt;
  if (value.data->is_int64()) return value.data->get_int64();
  if (value.data->is_uint64() &&
      value.data->get_uint64() <= uint64_t{std::numeric_limits<int64_t>::max()}) {
    return static_cast<int64_t>(value.data->get_uint64());
  }
  return std::nullopt;
}

std::vector<ValuePointer> Pointers(Arguments arguments) {
  std::vector<ValuePointer> pointers;
  for (const Value& value : arguments) pointers.push_back(value.data);
  return pointers;
}

// Where an index of index or slice points; `most` is still allowed.
Result<size_t> Place(const Value& index, size_t most) {
  if (IsNull(index)) return Wrong("cannot index slice/array with nil");
  const std::optional<int64_t> place = Integer(index);
  if (!place) {
    return Wrong(fmt::format("cannot index slice/array with type {}", TypeName(index.data)));
  }
  if (*place < 0 || static_cast<uint64_t>(*place) > most) {
    return Wrong(fmt::format("index out of range: {}", *place));
  }
  return static_cast<size_t>(*place);
}

Result<Value> IndexMap(const Value& map, const Value& key, Arena& arena) {
  if (IsNull(key)) return Wrong("value is nil; should be of type string");
  if (!key.data->is_string()) {
    return Wrong(fmt::format("value has type {}; should be string", TypeName(key.data)));
  }
  const json::value* const found = map.data->get_object().if_contains(Text(key));
  // docker's maps hold strings, so that what is missing is empty.
  if (found == nullptr && map.has_free_keys) return Made(arena, "");
  return Value{found};
}

Result<Value> Index(Arguments arguments, Arena& arena) {
  Value value = arguments[0];
  for (const Value& key : arguments.subspan(1)) {
    if (IsNull(value)) return Wrong("index of untyped nil");
    if (value.data->is_object()) {
      HULL_ASSIGN(value, IndexMap(value, key, arena));
    } else if (value.data->is_array()) {
      const json::array& array = value.data->get_array();
      HULL_ASSIGN(const size_t place, Place(key, array.empty() ? 0 : array.size() - 1));
      if (array.empty()) return Wrong(fmt::format("index out of range: {}", place));
      value = {&array[place]};
    } else if (value.data->is_string()) {
      const std::string_view text = Text(value);
      HULL_ASSIGN(const size_t place, Place(key, text.empty() ? 0 : text.size() - 1));
      if (text.empty()) return Wrong(fmt::format("index out of range: {}", place));
      value = {arena.Keep(json::value(int64_t{static_cast<unsigned char>(text[place])}))};
    } else {
      return Wrong(fmt::format("can't index item of type {}", TypeName(value.data)));
    }
  }
  return value;
}

Result<Value> Slice(Arguments arguments, Arena& arena) {
  const Value& value = arguments[0];
  if (IsNull(value)) return Wrong("slice of untyped nil");
  const bool is_string = value.data->is_string();
  if (!is_string && !value.data->is_array()) {
    return Wrong(fmt::format("can't slice item of type {}", TypeName(value.data)));
  }
  if (arguments.size() > (is_string ? 3 : 4)) {
    return Wrong(is_string ? "cannot 3-index slice a string"
                           : fmt::format("too many slice indexes: {}", arguments.size() - 1));
  }
  const size_t size = is_string ? Text(value).size() : value.data->get_array().size();
  size_t from = 0;
  size_t to = size;
  if (arguments.size() > 1) {
    HULL_ASSIGN(from, Place(arguments[1], size));
  }
  if (arguments.size() > 2) {
    HULL_ASSIGN(to, Place(arguments[2], size));
  }
  if (from > to) return Wrong(fmt::format("invalid slice index: {} > {}", from, to));
  if (is_string) return Made(arena, Text(value).substr(from, to - from));
  const json::array& array = value.data->get_array();
  json::array part;
  for (size_t i = from; i < to; ++i) part.push_back(array[i]);
  HULL_TRY(arena.Count((to - from) * sizeof(json::value)));
  return Value{arena.Keep(std::move(part))};
}

Result<Value> Length(Arguments arguments, Arena& arena) {
  const Value& value = arguments[0];
  size_t size = 0;
  if (IsNull(value)) {
    size = 0;  // docker's empty lists and maps are null
  } else if (value.data->is_string()) {
    size = Text(value).size();
  } else if (value.data->is_array()) {
    size = value.data->get_array().size();
  } else if (value.data->is_object()) {
    size = value.data->get_object().size();
  } else {
    return Wrong(fmt::format("len of type {}", TypeName(value.data)));
  }
  return Value{arena.Keep(json::value(static_cast<int64_t>(size)))};
}

Result<Value> Not(Arguments arguments, Arena& arena) {
  return Truth(arena, !IsTrue(arguments[0].data));
}

enum class Basic { kNil, kBool, kInteger, kFloat, kString, kNone };
Basic BasicKind(const Value& value) {
  if (IsNull(value)) return Basic::kNil;
  switch (value.data->kind()) {
    case json::kind::bool_:
      return Basic::kBool;
    case json::kind::int64:
    case json::kind::uint64:
      return Basic::kInteger;
    case json::kind::double_:
      return Basic::kFloat;
    case json::kind::string:
      return Basic::kString;
    default:
      return Basic::kNone;
  }
}

std::strong_ordering OrderIntegers(const Value& a, const Value& b) {
  const auto is_huge = [](const Value& value) { return !Integer(value).has_value(); };
  if (is_huge(a) || is_huge(b)) {
    if (is_huge(a) && is_huge(b)) return a.data->get_uint64() <=> b.data->get_uint64();
    return is_huge(a) ? std::strong_ordering::greater : std::strong_ordering::less;
  }
  return *Integer(a) <=> *Integer(b);
}

std::string Incompatible(const Value& a, const Value& b) {
  return fmt::format("incompatible types for comparison: {} and {}", TypeName(a.data),
                     TypeName(b.data));
}

Result<bool> Equal(const Value& a, const Value& b) {
  const Basic kind = BasicKind(a);
  const Basic other = BasicKind(b);
  if (kind == Basic::kNone || other == Basic::kNone) {
    if (kind == Basic::kNil || other == Basic::kNil) return false;
    return Wrong(fmt::format("non-comparable type {}: {}",
                             Print(kind == Basic::kNone ? a.data : b.data),
                             TypeName(kind == Basic::kNone ? a.data : b.data)));
  }
  if (kind == Basic::kNil || other == Basic::kNil) return kind == other;
  if (kind != other) return Wrong(Incompatible(a, b));
  switch (kind) {
    case Basic::kBool:
      return a.data->get_bool() == b.data->get_bool();
    case Basic::kInteger:
      return OrderIntegers(a, b) == 0;
    case Basic::kFloat:
      return a.data->get_double() == b.data->get_double();
    default:
      return Text(a) == Text(b);
  }
}

Result<Value> Eq(Arguments arguments, Arena& arena) {
  if (arguments.size() < 2) return Wrong("missing argument for comparison");
  for (const Value& other : arguments.subspan(1)) {
    HULL_ASSIGN(const bool equal, Equal(arguments[0], other));
    if (equal) return Truth(arena, true);
  }
  return Truth(arena, false);
}
Result<Value> Ne(Arguments arguments, Arena& arena) {
  HULL_ASSIGN(const bool equal, Equal(arguments[0], arguments[1]));
  return Truth(arena, !equal);
}

Result<std::partial_ordering> Order(const Value& a, const Value& b) {
  const Basic kind = BasicKind(a);
  const Basic other = BasicKind(b);
  for (const Basic one : {kind, other}) {
    if (one == Basic::kNil || one == Basic::kNone || one == Basic::kBool) {
      return Wrong("invalid type for comparison");
    }
  }
  if (kind != other) return Wrong(Incompatible(a, b));
  if (kind == Basic::kInteger) return OrderIntegers(a, b);
  if (kind == Basic::kFloat) return a.data->get_double() <=> b.data->get_double();
  return Text(a) <=> Text(b);
}
template <typename Test>
Result<Value> Compare(Arguments arguments, Arena& arena, Test test) {
  HULL_ASSIGN(const std::partial_ordering order, Order(arguments[0], arguments[1]));
  return Truth(arena, test(order));
}
Result<Value> Lt(Arguments arguments, Arena& arena) {
  return Compare(arguments, arena, [](std::partial_ordering order) { return order < 0; });
}
Result<Value> Le(Arguments arguments, Arena& arena) {
  return Compare(arguments, arena, [](std::partial_ordering order) { return order <= 0; });
}
Result<Value> Gt(Arguments arguments, Arena& arena) {
  return Compare(arguments, arena, [](std::partial_ordering order) { return order > 0; });
}
Result<Value> Ge(Arguments arguments, Arena& arena) {
  return Compare(arguments, arena, [](std::partial_ordering order) { return order >= 0; });
}

Result<Value> PrintAll(Arguments arguments, Arena& arena) {
  return Made(arena, Sprint(Pointers(arguments)));
}
Result<Value> PrintLine(Arguments arguments, Arena& arena) {
  return Made(arena, Sprintln(Pointers(arguments)));
}
Result<Value> PrintFormat(Arguments arguments, Arena& arena) {
  HULL_ASSIGN(const std::string text, Sprintf(Text(arguments[0]), Pointers(arguments.subspan(1))));
  return Made(arena, text);
}

Result<Value> Json(Arguments arguments, Arena& arena) {
  return Made(arena, arguments[0].data == nullptr ? "null" : WriteJson(*arguments[0].data));
}

Result<Value> Split(Arguments arguments, Arena& arena) {
  std::string_view rest = Text(arguments[0]);
  const std::string_view separator = Text(arguments[1]);
  json::array parts;
  const auto add = [&](std::string_view part) {
    parts.emplace_back(json::string_view(part.data(), part.size()));
  };
  while (separator.empty() && !rest.empty()) {
    const size_t size = FirstCodePoint(rest).size_bytes;
    add(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  while (!separator.empty()) {
    const size_t end = rest.find(separator);
    add(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + separator.size());
  }
  HULL_TRY(arena.Count(parts.size() * sizeof(json::value) + Text(arguments[0]).size()));
  return Value{arena.Keep(std::move(parts))};
}

Result<Value> Join(Arguments arguments, Arena& arena) {
  std::string text;
  if (IsNull(arguments[0])) return Made(arena, text);
  const json::array& parts = arguments[0].data->get_array();
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += Text(arguments[1]);
    text += Text({&parts[i]});
    // The separator may be long and the list, too.
    if (text.size() > Template::kMaxBytes)
      return arena.Count(text.size()).map([] { return Value(); });
  }
  return Made(arena, text);
}

// ASCII letters alone: names, states and the like are.
template <typename Change>
Result<Value> Changed(Arguments arguments, Arena& arena, Change change) {
  std::string text(Text(arguments[0]));
  std::transform(text.begin(), text.end(), text.begin(), change);
  return Made(arena, text);
}
bool IsLower(char c) {
  return c >= 'a' && c <= 'z';
}
bool IsUpper(char c) {
  return c >= 'A' && c <= 'Z';
}
Result<Value> Lower(Arguments arguments, Arena& arena) {
  return Changed(arguments, arena,
                 [](char c) { return IsUpper(c) ? static_cast<char>(c - 'A' + 'a') : c; });
}
Result<Value> Upper(Arguments arguments, Arena& arena) {
  return Changed(arguments, arena,
                 [](char c) { return IsLower(c) ? static_cast<char>(c - 'a' + 'A') : c; });
}
Result<Value> Title(Arguments arguments, Arena& arena) {
  bool starts = true;
  return Changed(arguments, arena, [&](char c) {
    const bool is_first = starts;
    starts = !(IsLower(c) || IsUpper(c) || (c >= '0' && c <= '9') || c == '_' ||
               static_cast<unsigned char>(c) >= 0x80);
    return is_first && IsLower(c) ? static_cast<char>(c - 'a' + 'A') : c;
  });
}

// How many blanks, or bytes.
Result<size_t> Amount(const Value& value) {
  constexpr int64_t kMost = 1 << 20;
  const std::optional<int64_t> amount = Integer(value);
  if (!amount) return Wrong(fmt::format("expected integer; found {}", Print(value.data)));
  if (*amount < 0 || *amount > kMost) return Wrong(fmt::format("{} is out of range", *amount));
  return static_cast<size_t>(*amount);
}

Result<Value> Pad(Arguments arguments, Arena& arena) {
  HULL_ASSIGN(const size_t before, Amount(arguments[1]));
  HULL_ASSIGN(const size_t after, Amount(arguments[2]));
  if (Text(arguments[0]).empty()) return arguments[0];
  return Made(arena,
              std::string(before, ' ') + std::string(Text(arguments[0])) + std::string(after, ' '));
}
Result<Value> Truncate(Arguments arguments, Arena& arena) {
  HULL_ASSIGN(const size_t most, Amount(arguments[1]));
  return Made(arena, Text(arguments[0]).substr(0, most));
}

constexpr std::array kFunctions = {
    Function{"and", "aa*", nullptr},
    Function{"eq", "aa*", Eq},
    Function{"ge", "aa", Ge},
    Function{"gt", "aa", Gt},
    Function{"index", "aa*", Index},
    Function{"join", "ls", Join, true},
    Function{"json", "a", Json, true},
    Function{"le", "aa", Le},
    Function{"len", "a", Length},
    Function{"lower", "s", Lower, true},
    Function{"lt", "aa", Lt},
    Function{"ne", "aa", Ne},
    Function{"not", "a", Not},
    Function{"or", "aa*", nullptr},
    Function{"pad", "saa", Pad, true},
    Function{"print", "a*", PrintAll},
    Function{"printf", "sa*", PrintFormat},
    Function{"println", "a*", PrintLine},
    Function{"slice", "aa*", Slice},
    Function{"split", "ss", Split, true},
    Function{"title", "s", Title, true},
    Function{"truncate", "sa", Truncate, true},
    Function{"upper", "s", Upper, true},
};

}  // namespace

ValuePointer Arena::Keep(json::value value) {
  return &values_.emplace_back(std::move(value));
}

Status Arena::Count(size_t bytes) {
  if (bytes > Template::kMaxBytes - bytes_) {
    return Fail(ErrorCode::kExhausted, "the template gives more than {} MiB",
                Template::kMaxBytes >> 20U);
  }
  bytes_ += bytes;
  return {};
}

const Function* FindFunction(std::string_view name) {
  const auto* const found =
      std::find_if(kFunctions.begin(), kFunctions.end(),
                   [&](const Function& function) { return function.name == name; });
  return found == kFunctions.end() ? nullptr : found;
}

bool IsTrue(ValuePointer value) {
  if (value == nullptr) return false;
  switch (value->kind()) {
    case json::kind::null:
      return false;
    case json::kind::bool_:
      return value->get_bool();
    case json::kind::int64:
      return value->get_int64() != 0;
    case json::kind::uint64:
      return value->get_uint64() != 0;
    case json::kind::double_:
      return value->get_double() != 0;
    case json::kind::string:
      return !value->get_string().empty();
    case json::kind::array:
      return !value->get_array().empty();
    case json::kind::object:
      return !value->get_object().empty();
  }
  return false;
}

}  // namespace hull::format
