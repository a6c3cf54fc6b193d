// The control protocol: one JSON object a line in each direction on hull-vmm's control socket.
// Server side: ParseRequest, then one of the Write... functions. Client side: WriteRequest,
// ParseResponse.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/base/result.h"

namespace hull::api {

inline constexpr size_t kMaxControlLineBytes = 64U << 10U;
inline constexpr size_t kMaxControlConnections = 16;
inline constexpr uint64_t kDefaultStopTimeoutMs = 10'000;
inline constexpr uint64_t kMaxStopTimeoutMs = 24ULL * 3600 * 1000;
inline constexpr uint64_t kDefaultConsoleLines = 100;

enum class Method { kState, kStop, kKill, kConsole, kCounters };

struct Request {
  uint64_t id = 0;
  Method method = Method::kState;
  uint64_t timeout_ms = kDefaultStopTimeoutMs;  // of stop
  uint64_t lines = kDefaultConsoleLines;        // of console

  bool operator==(const Request&) const = default;
};

// A line that is no request is answered with the id it had, if it had one, and 0 otherwise.
struct BadRequest {
  uint64_t id = 0;
  Error error;
};

tl::expected<Request, BadRequest> ParseRequest(std::string_view line);
std::string WriteRequest(const Request& request);

struct VmState {
  std::string state;  // "starting", "running" or "ending"
  int64_t pid = 0;
  uint64_t cpus = 0;
  uint64_t memory_bytes = 0;
  uint64_t uptime_ms = 0;
};

// What one vCPU or one device has counted, in a fixed order.
struct CounterGroup {
  std::string name;
  std::vector<std::pair<std::string, uint64_t>> values;
};

struct Counters {
  std::vector<CounterGroup> vcpus;
  std::vector<CounterGroup> devices;
};

// Answers, each one line with its line feed.
std::string WriteError(uint64_t id, const Error& error);
std::string WriteState(uint64_t id, const VmState& state);
std::string WriteConsole(uint64_t id, std::string_view text);
std::string WriteCounters(uint64_t id, const Counters& counters);
// For stop and kill.
std::string WriteDone(uint64_t id);

// What a client gets: the id of its request, and the result as JSON text or the error.
struct Response {
  uint64_t id = 0;
  Result<std::string> result;
};
Result<Response> ParseResponse(std::string_view line);

}  // namespace hull::api
