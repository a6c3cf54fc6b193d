#include "vmm/api/outcome.h"

#include <array>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "vmm/api/json_object.h"
#include "vmm/api/utf8.h"

namespace hull::api {
namespace {

struct CauseEntry {
  Cause cause;
  std::string_view name;
  int exit_code;
};

constexpr std::array<CauseEntry, 7> kCauses = {{{Cause::kPowerOff, "power-off", 0},
                                                {Cause::kReset, "reset", 0},
                                                {Cause::kKilled, "killed", 20},
                                                {Cause::kPanic, "panic", 21},
                                                {Cause::kCrash, "crash", 22},
                                                {Cause::kError, "error", 23},
                                                {Cause::kStart, "start", 24}}};

const CauseEntry& Entry(Cause cause) {
  for (const CauseEntry& entry : kCauses) {
    if (entry.cause == cause) return entry;
  }
  return kCauses.back();
}

// 64 KiB of console, each byte as \u00xx at worst, and the rest of the line.
constexpr JsonLimits kStatusLimits = {.size_bytes = 512U << 10U, .depth = 2};

PinningProgress ReadProgress(JsonObject& object) {
  const uint64_t total_bytes = object.Integer("total_bytes", {1, UINT64_MAX});
  return {.done_bytes = object.Integer("done_bytes", {0, total_bytes}), .total_bytes = total_bytes};
}

}  // namespace

std::string_view CauseName(Cause cause) {
  return Entry(cause).name;
}

std::optional<Cause> CauseFromName(std::string_view name) {
  for (const CauseEntry& entry : kCauses) {
    if (entry.name == name) return entry.cause;
  }
  return std::nullopt;
}

int ExitCode(Cause cause) {
  return Entry(cause).exit_code;
}

std::string PinningLine(const PinningProgress& progress) {
  const boost::json::object line{{"event", "pinning"},
                                 {"done_bytes", progress.done_bytes},
                                 {"total_bytes", progress.total_bytes}};
  return boost::json::serialize(line) + "\n";
}

std::string StartedLine() {
  return "{\"event\":\"started\"}\n";
}

std::string EndedLine(const Outcome& outcome) {
  const boost::json::object line{{"event", "ended"},
                                 {"cause", CauseName(outcome.cause)},
                                 {"message", ToUtf8(outcome.message)},
                                 {"console", ToUtf8(outcome.console)}};
  return boost::json::serialize(line) + "\n";
}

Result<StatusEvent> ParseStatusLine(std::string_view line) {
  HULL_ASSIGN(const boost::json::value value, ParseJson(line, kStatusLimits));
  JsonErrors errors;
  JsonObject object(value, "", errors);
  const std::string event = object.String("event", {1, 16});
  StatusEvent result = Started{};
  if (event == "ended") {
    const std::string name = object.String("cause", {1, 16});
    const std::optional<Cause> cause = CauseFromName(name);
    if (!cause) object.AddError("cause", "is not one that this version knows");
    result = Outcome{.cause = cause.value_or(Cause::kError),
                     .message = object.String("message", {}),
                     .console = object.String("console", {})};
  } else if (event == "pinning") {
    result = ReadProgress(object);
  } else if (event != "started") {
    object.AddError("event", R"(is none of "pinning", "started" and "ended")");
  }
  object.Finish();
  HULL_TRY(errors.Check());
  return result;
}

}  // namespace hull::api
