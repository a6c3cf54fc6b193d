#include "vmm/api/control.h"

#include <algorithm>
#include <array>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "vmm/api/json_object.h"
#include "vmm/api/utf8.h"

namespace hull::api {
namespace {

constexpr std::array<std::pair<Method, std::string_view>, 5> kMethods = {
    {{Method::kState, "state"},
     {Method::kStop, "stop"},
     {Method::kKill, "kill"},
     {Method::kConsole, "console"},
     {Method::kCounters, "counters"}}};

constexpr std::array<std::pair<ErrorCode, std::string_view>, 11> kErrorCodes = {
    {{ErrorCode::kFailed, "failed"},
     {ErrorCode::kInvalidArgument, "invalid-argument"},
     {ErrorCode::kNotFound, "not-found"},
     {ErrorCode::kAlreadyExists, "already-exists"},
     {ErrorCode::kPermissionDenied, "permission-denied"},
     {ErrorCode::kUnavailable, "unavailable"},
     {ErrorCode::kTimedOut, "timed-out"},
     {ErrorCode::kCancelled, "cancelled"},
     {ErrorCode::kExhausted, "exhausted"},
     {ErrorCode::kUnsupported, "unsupported"},
     {ErrorCode::kCorrupt, "corrupt"}}};

// Methods of other monitors that this one has a reason not to have (ARCHITECTURE.md,
// "Passed-through devices").
constexpr std::array<std::string_view, 2> kHotPlug = {"attach-device", "detach-device"};
constexpr std::string_view kNoHotPlug =
    "a running VM gets no further device and loses none: without ACPI its kernel could not be "
    "told; name devices in \"vfio\" before the start";

constexpr JsonLimits kRequestLimits = {.size_bytes = kMaxControlLineBytes, .depth = 3};
// An answer may quote the whole console, escaped.
constexpr JsonLimits kResponseLimits = {.size_bytes = 1U << 20U, .depth = 8};

template <typename Value, size_t kSize>
std::string_view NameOf(const std::array<std::pair<Value, std::string_view>, kSize>& table,
                        Value value) {
  for (const auto& [candidate, name] : table) {
    if (candidate == value) return name;
  }
  return table.front().second;
}

template <typename Value, size_t kSize>
std::optional<Value> ValueOf(const std::array<std::pair<Value, std::string_view>, kSize>& table,
                             std::string_view name) {
  for (const auto& [value, candidate] : table) {
    if (candidate == name) return value;
  }
  return std::nullopt;
}

std::string Line(const boost::json::object& object) {
  return boost::json::serialize(object) + "\n";
}

boost::json::array WriteGroups(const std::vector<CounterGroup>& groups) {
  boost::json::array array;
  for (const CounterGroup& group : groups) {
    boost::json::object object{{"name", group.name}};
    for (const auto& [name, value] : group.values) object[name] = value;
    array.push_back(std::move(object));
  }
  return array;
}

void ReadParameters(JsonObject& object, Request& request) {
  switch (request.method) {
    case Method::kStop:
      request.timeout_ms =
          object.IntegerOr("timeout_ms", {0, kMaxStopTimeoutMs}, kDefaultStopTimeoutMs);
      break;
    case Method::kConsole:
      request.lines = object.IntegerOr("lines", {1, 1'000'000}, kDefaultConsoleLines);
      break;
    case Method::kState:
    case Method::kKill:
    case Method::kCounters:
      break;
  }
}

}  // namespace

tl::expected<Request, BadRequest> ParseRequest(std::string_view line) {
  Result<boost::json::value> value = ParseJson(line, kRequestLimits);
  if (!value) return tl::unexpected<BadRequest>({.id = 0, .error = std::move(value).error()});
  JsonErrors errors;
  JsonObject object(*value, "", errors);
  Request request;
  request.id = object.Integer("id", {0, INT64_MAX});
  const bool has_id = !errors.any();
  const std::string name = object.String("method", {1, 64});
  if (const std::optional<Method> method = ValueOf(kMethods, name)) {
    request.method = *method;
    ReadParameters(object, request);
  } else if (has_id && std::find(kHotPlug.begin(), kHotPlug.end(), name) != kHotPlug.end()) {
    return tl::unexpected<BadRequest>(
        {.id = request.id,
         .error = MakeError(ErrorCode::kUnsupported, "{}: {}", name, kNoHotPlug)});
  } else {
    object.AddError("method", "is not one of state, stop, kill, console, counters");
  }
  object.Finish();
  if (Status status = errors.Check(); !status) {
    return tl::unexpected<BadRequest>(
        {.id = has_id ? request.id : 0, .error = std::move(status).error()});
  }
  return request;
}

std::string WriteRequest(const Request& request) {
  boost::json::object object{{"id", request.id}, {"method", NameOf(kMethods, request.method)}};
  if (request.method == Method::kStop) object["timeout_ms"] = request.timeout_ms;
  if (request.method == Method::kConsole) object["lines"] = request.lines;
  return Line(object);
}

std::string WriteError(uint64_t id, const Error& error) {
  return Line(
      {{"id", id},
       {"error",
        {{"code", NameOf(kErrorCodes, error.code())}, {"message", ToUtf8(error.ToString())}}}});
}

std::string WriteState(uint64_t id, const VmState& state) {
  return Line({{"id", id},
               {"result",
                {{"state", state.state},
                 {"pid", state.pid},
                 {"cpus", state.cpus},
                 {"memory_bytes", state.memory_bytes},
                 {"uptime_ms", state.uptime_ms}}}});
}

std::string WriteConsole(uint64_t id, std::string_view text) {
  return Line({{"id", id}, {"result", boost::json::object{{"text", ToUtf8(text)}}}});
}

std::string WriteCounters(uint64_t id, const Counters& counters) {
  return Line({{"id", id},
               {"result", boost::json::object{{"vcpus", WriteGroups(counters.vcpus)},
                                              {"devices", WriteGroups(counters.devices)}}}});
}

std::string WriteDone(uint64_t id) {
  return Line({{"id", id}, {"result", boost::json::object{}}});
}

Result<Response> ParseResponse(std::string_view line) {
  HULL_ASSIGN(const boost::json::value value, ParseJson(line, kResponseLimits));
  JsonErrors errors;
  JsonObject object(value, "", errors);
  Response response;
  response.id = object.Integer("id", {0, INT64_MAX});
  if (object.Has("result") == object.Has("error")) {
    return Fail(ErrorCode::kInvalidArgument, "an answer needs either \"result\" or \"error\"");
  }
  if (std::optional<JsonObject> error = object.OptionalObject("error")) {
    const std::string code = error->String("code", {1, 64});
    response.result = Fail(Error(ValueOf(kErrorCodes, code).value_or(ErrorCode::kFailed),
                                 error->String("message", {})));
  } else {
    response.result = boost::json::serialize(value.as_object().at("result"));
    object.OptionalObject("result");
  }
  object.Finish();
  HULL_TRY(errors.Check());
  return response;
}

}  // namespace hull::api
