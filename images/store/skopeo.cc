#include "images/store/skopeo.h"

#include <filesystem>
#include <system_error>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "images/store/child_process.h"
#include "vmm/base/escape.h"

namespace hull::images {
namespace {

std::string Flag(std::string_view name, bool value) {
  return fmt::format("--{}={}", name, value ? "true" : "false");
}

// "skopeo" and its global options. `temporary`: where archives are unpacked to, else /var/tmp,
// where a kill would leave them (TMPDIR is not looked at).
std::vector<std::string> Start(const PullOptions& options, const std::string& temporary = "") {
  std::vector<std::string> arguments = {"skopeo", "--override-os", options.os, "--override-arch",
                                        options.architecture};
  if (!temporary.empty()) arguments.insert(arguments.end(), {"--tmpdir", temporary});
  if (!options.variant.empty()) {
    arguments.insert(arguments.end(), {"--override-variant", options.variant});
  }
  if (!options.signature_policy.empty()) {
    arguments.insert(arguments.end(), {"--policy", options.signature_policy});
  }
  return arguments;
}

// skopeo says "Error parsing image name" of whatever goes wrong with a name that it has parsed.
std::string WithoutNoise(std::string message) {
  constexpr std::string_view kNoise = "Error parsing image name \"";
  const size_t end = message.find("\": ");
  if (message.starts_with(kNoise) && end != std::string::npos) message.erase(0, end + 3);
  while (message.ends_with(',') || message.ends_with(' ')) message.pop_back();
  return message;
}

Error Failure(const CommandResult& result, std::string_view reference) {
  const std::string message = WithoutNoise(SkopeoMessage(result.errors));
  ErrorCode code = ErrorCode::kFailed;
  std::string hint;
  const auto says = [&](std::string_view text) { return message.find(text) != std::string::npos; };
  if (says("manifest unknown") || says("name unknown") || says("repository name not known") ||
      says("StatusCode: 404") || says("404 (Not Found)")) {
    code = ErrorCode::kNotFound;
    hint = "check the name and the tag";
  } else if (says("unauthorized") || says("authentication required") || says("denied") ||
             says("StatusCode: 403")) {
    code = ErrorCode::kPermissionDenied;
    hint = "log in with `skopeo login`, or check that the name exists";
  } else if (says("StatusCode: 429") || says("toomanyrequests") || says("429 (Too Many")) {
    code = ErrorCode::kUnavailable;
    hint = "the registry wants fewer requests: wait, or log in with `skopeo login`";
  } else if (says("no space left on device")) {
    code = ErrorCode::kExhausted;
    hint = "free some space on the file system that holds the image store";
  } else if (says("server gave HTTP response to HTTPS client")) {
    code = ErrorCode::kUnavailable;
    hint = "the registry has no TLS: --tls-verify=false, or insecure = true in registries.conf(5)";
  } else if (says("connection refused") || says("no such host") || says("i/o timeout")) {
    code = ErrorCode::kUnavailable;
  } else if (says("no such file or directory")) {
    code = ErrorCode::kNotFound;
  }
  Error error(
      code, message.empty() ? fmt::format("skopeo ended with code {}", result.exit_code) : message);
  error = std::move(error).Within(EscapeControl(reference));
  return hint.empty() ? error : std::move(error).WithHint(hint);
}

Result<CommandResult> Run(Command command, std::string_view reference) {
  Result<CommandResult> result = RunCommand(command);
  if (!result && result.error().code() == ErrorCode::kNotFound) {
    return Fail(std::move(result).error().WithHint("install skopeo: apt-get install skopeo"));
  }
  if (!result) return result;
  if (result->exit_code != 0) return Fail(Failure(*result, reference));
  return result;
}

// Signature checks name only the transport; registries need the way to them as well.
void AddAccess(std::string_view reference, std::string_view prefix, const PullOptions& options,
               std::vector<std::string>& arguments) {
  if (!reference.starts_with("docker://")) return;
  // Given, it overrules what registries.conf says of a registry or a mirror.
  if (options.tls_verify)
    arguments.push_back(Flag(fmt::format("{}tls-verify", prefix), *options.tls_verify));
  if (!options.auth_file.empty())
    arguments.insert(arguments.end(), {"--authfile", options.auth_file});
  if (!options.credentials.empty())
    arguments.insert(arguments.end(), {fmt::format("--{}creds", prefix), options.credentials});
}

uint64_t BytesIn(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const uint64_t size = entry.file_size(error);
    if (!error) bytes += size;
  }
  return bytes;
}

}  // namespace

// skopeo logs as logrus does: time="..." level=fatal msg="...".
std::string SkopeoMessage(std::string_view errors) {
  while (errors.ends_with('\n')) errors.remove_suffix(1);
  const std::string_view line = errors.substr(errors.rfind('\n') + 1);
  constexpr std::string_view kMessage = "msg=\"";
  const size_t start = line.find(kMessage);
  if (start == std::string_view::npos) return EscapeControl(line);
  std::string text;
  bool escaped = false;
  for (const char c : line.substr(start + kMessage.size())) {
    if (!escaped && c == '"') break;
    // A line's end or a tab, of a message of several lines.
    const bool is_space = escaped && (c == 'n' || c == 't' || c == 'r');
    escaped = !escaped && c == '\\';
    if (is_space) {
      if (!text.ends_with(' ')) text += ' ';
    } else if (!escaped) {
      text += c;
    }
  }
  return EscapeControl(text);
}

Result<std::string> SkopeoInspectRaw(const std::string& reference, const PullOptions& options) {
  Command command;
  command.arguments = Start(options);
  command.arguments.insert(command.arguments.end(), {"inspect", "--raw"});
  AddAccess(reference, "", options, command.arguments);
  command.arguments.push_back(reference);
  command.output_cap_bytes = options.limits.manifest_bytes;
  HULL_ASSIGN(CommandResult result, Run(std::move(command), reference));
  return std::move(result.output);
}

Result<std::string> SkopeoInspectConfig(const std::string& reference, const PullOptions& options) {
  Command command;
  command.arguments = Start(options);
  command.arguments.insert(command.arguments.end(), {"inspect", "--config", "--raw"});
  AddAccess(reference, "", options, command.arguments);
  command.arguments.push_back(reference);
  command.output_cap_bytes = options.limits.config_bytes;
  HULL_ASSIGN(CommandResult result, Run(std::move(command), reference));
  return std::move(result.output);
}

Status SkopeoFetchBlobs(const std::string& reference, const std::string& directory,
                        const PullOptions& options, const std::atomic<bool>& cancel) {
  Command command;
  command.arguments = Start(options);
  // The policy is enforced on what the registry has; the copy needs no signatures.
  command.arguments.insert(command.arguments.end(), {"copy", "--quiet", "--remove-signatures"});
  AddAccess(reference, "src-", options, command.arguments);
  command.arguments.insert(command.arguments.end(),
                           {"--dest-shared-blob-dir", directory + "/blobs", reference,
                            fmt::format("oci:{}/layout:image", directory)});
  command.environment = {fmt::format("TMPDIR={}", directory)};
  command.cancel = &cancel;
  HULL_TRY(Run(std::move(command), reference));
  return {};
}

Result<std::vector<std::string>> SkopeoTags(const std::string& reference,
                                            const PullOptions& options,
                                            const std::string& temporary) {
  Command command;
  command.arguments = Start(options, temporary);
  command.arguments.insert(command.arguments.end(), {"list-tags"});
  AddAccess(reference, "", options, command.arguments);
  command.arguments.push_back(reference);
  HULL_ASSIGN(const CommandResult result, Run(std::move(command), reference));
  std::vector<std::string> names;
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(result.output, error);
  const boost::json::object* object = error ? nullptr : value.if_object();
  const boost::json::value* tags = object == nullptr ? nullptr : object->if_contains("Tags");
  if (tags == nullptr || !tags->is_array()) return names;
  for (const boost::json::value& tag : tags->get_array()) {
    if (tag.is_string()) names.emplace_back(tag.get_string().c_str());
  }
  return names;
}

Status SkopeoCopy(const std::string& reference, const std::string& directory,
                  const PullOptions& options, uint64_t total_bytes) {
  Command command;
  // What a kill leaves of an unpacked archive goes with the scratch directory.
  command.arguments = Start(options, directory.substr(0, directory.rfind('/')));
  command.arguments.insert(command.arguments.end(), {"copy", "--quiet"});
  AddAccess(reference, "src-", options, command.arguments);
  command.arguments.insert(command.arguments.end(), {reference, "dir:" + directory});
  if (options.progress) {
    command.tick = [&] {
      options.progress({PullProgress::Phase::kFetch, {}, BytesIn(directory), total_bytes});
    };
  }
  HULL_TRY(Run(std::move(command), reference));
  return {};
}

}  // namespace hull::images
