#include "runtime/devices/gpu_request.h"

#include <charconv>
#include <set>

#include "vmm/base/escape.h"

namespace hull::devices {
namespace {

constexpr size_t kMaxTextBytes = 4096;
constexpr uint32_t kMaxCount = 1024;

// One line of RFC 4180: fields between commas; in quotes a comma is none, and "" is a quote.
Result<std::vector<std::string>> SplitFields(std::string_view text) {
  std::vector<std::string> fields;
  size_t at = 0;
  for (;;) {
    std::string field;
    if (at < text.size() && text[at] == '"') {
      for (++at;; ++at) {
        if (at >= text.size()) {
          return Fail(ErrorCode::kInvalidArgument, "extraneous or missing \" in quoted-field");
        }
        if (text[at] != '"') {
          field += text[at];
        } else if (text.substr(at + 1, 1) == "\"") {
          field += text[at++];
        } else {
          break;
        }
      }
      ++at;
      if (at < text.size() && text[at] != ',') {
        return Fail(ErrorCode::kInvalidArgument, "extraneous or missing \" in quoted-field");
      }
    } else {
      const size_t end = std::min(text.find(',', at), text.size());
      field = text.substr(at, end - at);
      at = end;
      if (field.find('"') != std::string::npos) {
        return Fail(ErrorCode::kInvalidArgument, "bare \" in non-quoted-field");
      }
    }
    fields.push_back(std::move(field));
    if (at >= text.size()) return fields;
    ++at;
  }
}

std::vector<std::string> SplitWords(std::string_view text) {
  std::vector<std::string> words;
  for (;;) {
    const size_t end = text.find(',');
    words.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return words;
    text.remove_prefix(end + 1);
  }
}

Status ReadCount(std::string_view text, GpuRequest& request) {
  // Docker's number for "all".
  if (text == "all" || text == "-1") {
    request.all = true;
    return {};
  }
  uint32_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count > kMaxCount) {
    return Fail(ErrorCode::kInvalidArgument,
                "invalid count ({}): value must be either \"all\" or an integer",
                EscapeControl(text));
  }
  request.count = count;
  return {};
}

Status ReadField(std::string_view field, GpuRequest& request, std::set<std::string>& seen) {
  const size_t equals = field.find('=');
  const std::string key(field.substr(0, equals));
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : field.substr(equals + 1);
  if (!seen.insert(key).second) {
    return Fail(ErrorCode::kInvalidArgument, "gpu request key '{}' can be specified only once",
                EscapeControl(key));
  }
  if (equals == std::string_view::npos) {
    seen.insert("count");
    return ReadCount(key, request);
  }
  if (key == "count") return ReadCount(value, request);
  if (key == "device") {
    request.devices = SplitWords(value);
    return {};
  }
  if (key == "capabilities") return {};
  if (key == "driver") {
    if (value.empty() || value == "vfio") return {};
    return Fail(ErrorCode::kUnsupported,
                "could not select device driver \"{}\" with capabilities: [[gpu]]",
                EscapeControl(value));
  }
  if (key == "options") {
    return Fail(ErrorCode::kUnsupported,
                "--gpus: hull passes whole devices, which take no options");
  }
  return Fail(ErrorCode::kInvalidArgument, "unexpected key '{}' in '{}'", EscapeControl(key),
              EscapeControl(field));
}

}  // namespace

Result<GpuRequest> ParseGpuRequest(std::string_view text) {
  if (text.empty()) return Fail(ErrorCode::kInvalidArgument, "--gpus: EOF");
  if (text.size() > kMaxTextBytes) {
    return Fail(ErrorCode::kInvalidArgument, "--gpus: longer than {} bytes", kMaxTextBytes);
  }
  HULL_ASSIGN(const std::vector<std::string> fields, SplitFields(text));
  GpuRequest request;
  std::set<std::string> seen;
  for (const std::string& field : fields) HULL_TRY(ReadField(field, request, seen));
  if (!request.devices.empty() && (request.all || request.count)) {
    return Fail(ErrorCode::kInvalidArgument,
                "cannot set both Count and DeviceIDs on device request");
  }
  if (request.devices.empty() && !request.all && !request.count) request.count = 1;
  return request;
}

}  // namespace hull::devices
