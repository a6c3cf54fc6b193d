#include "images/store/layer_import.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <map>
#include <string_view>
#include <utility>

#include "images/digest/digest.h"
#include "images/store/child_process.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull::images {
namespace {

constexpr std::string_view kImplicit = "implicit ";
constexpr std::string_view kLowerLink = "lower-link ";
constexpr mode_t kLayerMode = 0444;
constexpr uint64_t kReportBytes = uint64_t{64} << 20;

// Neither waits (a FIFO) nor follows a link.
Result<UniqueFd> OpenBlob(const std::string& path, const Descriptor& descriptor) {
  Result<UniqueFd> fd = OpenFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd && fd.error().error_number() == ENOENT) {
    return Fail(ErrorCode::kCorrupt, "the image has no blob {}", descriptor.digest);
  }
  if (!fd) return fd;
  struct stat info = {};
  if (::fstat(fd->get(), &info) != 0) return FailErrno("examine {}", path);
  if (!S_ISREG(info.st_mode)) return Fail(ErrorCode::kCorrupt, "{} is not a regular file", path);
  if (static_cast<uint64_t>(info.st_size) != descriptor.size_bytes) {
    return Fail(ErrorCode::kCorrupt, "blob {} has {} bytes, the manifest says {}",
                descriptor.digest, info.st_size, descriptor.size_bytes);
  }
  return fd;
}

struct Report {
  std::map<std::string, std::string, std::less<>> fields;
  ImportedLayer layer;
  bool complete = false;
};

// The importer read hostile data: what it says is taken apart as carefully.
Report ParseReport(std::string_view text) {
  Report report;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line == "end") {
      report.complete = true;
      break;
    }
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) continue;
    if (line.starts_with(kImplicit)) {
      report.layer.implicit_directories.emplace_back(line.substr(kImplicit.size()));
      continue;
    }
    if (line.starts_with(kLowerLink)) {
      report.layer.lower_links.emplace_back(line.substr(kLowerLink.size()));
      continue;
    }
    report.fields.emplace(line.substr(0, space), line.substr(space + 1));
  }
  return report;
}

Status CheckReport(const LayerRequest& request, const Report& report) {
  const auto field = [&](std::string_view key) {
    const auto found = report.fields.find(key);
    return found == report.fields.end() ? std::string() : found->second;
  };
  if (field("diff-id") != request.diff_id) {
    return Fail(ErrorCode::kCorrupt, "the layer unpacks to {}, the configuration says {}",
                EscapeControl(field("diff-id")), request.diff_id);
  }
  if (field("blob-digest") != request.descriptor.digest) {
    return Fail(ErrorCode::kCorrupt, "the blob's content is {}, not what the manifest names",
                EscapeControl(field("blob-digest")));
  }
  return {};
}

Result<ImportedLayer> Convert(const LayerRequest& request, int blob, int target, int recipe) {
  Command command;
  command.arguments = {request.importer, fmt::format("{}", request.limit_bytes),
                       fmt::format("{}", request.limit_entries)};
  command.input = blob;
  command.extra = {target, recipe};
  UniqueFd below;
  if (!request.below.empty()) {
    HULL_ASSIGN(below, OpenFile(request.below, O_RDONLY | O_NOFOLLOW));
    command.extra.push_back(below.get());
    command.arguments.emplace_back("below");
  }
  command.output_cap_bytes = kReportBytes;
  // The importer reads through the same open file: its position is ours.
  if (request.progress) {
    command.tick = [&] { request.progress(static_cast<uint64_t>(::lseek(blob, 0, SEEK_CUR))); };
  }
  Result<CommandResult> result = RunCommand(command);
  if (!result) {
    return Fail(std::move(result).error().WithHint(
        "hull-import belongs beside hull; HULL_IMPORT names another"));
  }
  Report report = ParseReport(result->output);
  if (const auto error = report.fields.find("error"); error != report.fields.end()) {
    return Fail(ParseImporterError(error->second));
  }
  if (result->exit_code != 0 || !report.complete) {
    return Fail(ErrorCode::kFailed, "hull-import ended with code {}{}{}", result->exit_code,
                result->errors.empty() ? "" : ": ", EscapeControl(result->errors));
  }
  HULL_TRY(CheckReport(request, report));
  return std::move(report.layer);
}

}  // namespace

Error ParseImporterError(std::string_view text) {
  int code = 0;
  int error_number = 0;
  const char* end = text.data() + text.size();
  auto [after_code, code_error] = std::from_chars(text.data(), end, code);
  if (after_code != end) ++after_code;
  auto [after_number, number_error] = std::from_chars(after_code, end, error_number);
  if (after_number != end) ++after_number;
  std::string message =
      EscapeControl(std::string_view(after_number, static_cast<size_t>(end - after_number)));
  constexpr int kLastCode = static_cast<int>(ErrorCode::kCorrupt);
  const bool valid =
      code_error == std::errc() && number_error == std::errc() && code >= 0 && code <= kLastCode;
  Error error(valid ? static_cast<ErrorCode>(code) : ErrorCode::kFailed, std::move(message));
  if (error_number == ENOSPC || error_number == EDQUOT) {
    return std::move(error).WithHint(
        "free some space on the file system that holds the image store");
  }
  return error;
}

Result<ImportedLayer> ImportLayer(const LayerRequest& request) {
  const std::string attempt = fmt::format("layer {}", request.descriptor.digest);
  HULL_ASSIGN_WITHIN(attempt, const UniqueFd blob, OpenBlob(request.blob, request.descriptor));
  HULL_ASSIGN_WITHIN(attempt, const UniqueFd target,
                     OpenFile(request.target, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  HULL_ASSIGN_WITHIN(attempt, const UniqueFd recipe,
                     OpenFile(request.recipe, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  HULL_ASSIGN_WITHIN(attempt, ImportedLayer layer,
                     Convert(request, blob.get(), target.get(), recipe.get()));
  for (const auto& [fd, path] :
       {std::pair(target.get(), &request.target), std::pair(recipe.get(), &request.recipe)}) {
    if (::fchmod(fd, kLayerMode) != 0) return FailErrno("{}: chmod {}", attempt, *path);
    // It must be on the disk before its name is: after a power failure the name alone is believed.
    if (::fdatasync(fd) != 0) return FailErrno("{}: write {}", attempt, *path);
  }
  return layer;
}

Result<std::string> ReadBlob(const std::string& path, const Descriptor& descriptor,
                             uint64_t cap_bytes) {
  if (descriptor.size_bytes > cap_bytes) {
    return Fail(ErrorCode::kExhausted, "blob {} has {} bytes, more than the {} allowed",
                descriptor.digest, descriptor.size_bytes, cap_bytes);
  }
  HULL_ASSIGN(const UniqueFd fd, OpenBlob(path, descriptor));
  std::string text(descriptor.size_bytes, '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::read(fd.get(), text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("read {}", path);
    if (count == 0) return Fail(ErrorCode::kCorrupt, "blob {} ends early", descriptor.digest);
    done += static_cast<size_t>(count);
  }
  if (DigestOf(text) != descriptor.digest) {
    return Fail(ErrorCode::kCorrupt, "the content of blob {} is {}", descriptor.digest,
                DigestOf(text));
  }
  return text;
}

}  // namespace hull::images
