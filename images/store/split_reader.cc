#include "images/store/split_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <vector>

#include "images/digest/digest.h"
#include "images/import/archive_split.h"
#include "images/store/child_process.h"
#include "images/store/layer_import.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

constexpr uint64_t kEntries = 100'000;
constexpr int kLinkHops = 8;

// "./a//b/../c" as "a/c"; empty for what climbs out.
std::string Clean(std::string_view name) {
  std::vector<std::string_view> parts;
  while (!name.empty()) {
    const size_t slash = name.find('/');
    const std::string_view part = name.substr(0, slash);
    name = slash == std::string_view::npos ? std::string_view() : name.substr(slash + 1);
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (parts.empty()) {
      return {};
    } else {
      parts.pop_back();
    }
  }
  std::string clean;
  for (const std::string_view part : parts) clean += (clean.empty() ? "" : "/") + std::string(part);
  return clean;
}

// Names that mean the same in every layout; they keep their place.
bool IsLayoutName(std::string_view name) {
  constexpr std::string_view kBlobs = "blobs/sha256/";
  if (name == "oci-layout" || name == "index.json") return true;
  return name.starts_with(kBlobs) && IsDigest(fmt::format("sha256:{}", name.substr(kBlobs.size())));
}

}  // namespace

// Takes the stream apart. The one who writes it has read hostile data: every length is checked.
class FrameReader {
 public:
  FrameReader(SplitArchiveFiles& files, std::string directory, uint64_t cap_bytes)
      : files_(files), directory_(std::move(directory)), cap_bytes_(cap_bytes) {}

  Status Take(std::string_view piece) {
    while (!piece.empty()) {
      if (ended_) return Bad();
      if (content_left_ > 0) {
        const size_t count = static_cast<size_t>(std::min<uint64_t>(content_left_, piece.size()));
        HULL_TRY(TakeContent(piece.substr(0, count)));
        piece.remove_prefix(count);
        continue;
      }
      const size_t count = std::min(head_wanted_ - head_.size(), piece.size());
      head_ += piece.substr(0, count);
      piece.remove_prefix(count);
      if (head_.size() == head_wanted_) HULL_TRY(TakeHead());
    }
    return {};
  }

  bool complete() const { return ended_; }

 private:
  static tl::unexpected<Error> Bad() {
    return Fail(ErrorCode::kCorrupt, "hull-import says what makes no sense");
  }

  // Header, then header and name.
  Status TakeHead() {
    uint32_t name_bytes = 0;
    uint64_t content_bytes = 0;
    std::memcpy(&name_bytes, head_.data() + 1, sizeof(name_bytes));
    std::memcpy(&content_bytes, head_.data() + 5, sizeof(content_bytes));
    if (name_bytes > kSplitNameBytes || content_bytes > cap_bytes_) return Bad();
    if (head_.size() < kSplitHeaderBytes + name_bytes) {
      head_wanted_ = kSplitHeaderBytes + name_bytes;
      return {};
    }
    const auto kind = static_cast<SplitKind>(head_[0]);
    name_ = Clean(std::string_view(head_).substr(kSplitHeaderBytes));
    head_.clear();
    head_wanted_ = kSplitHeaderBytes;
    content_left_ = content_bytes;
    kind_ = kind;
    text_.clear();
    switch (kind) {
      case SplitKind::kEnd:
        ended_ = true;
        return content_bytes == 0 ? Status() : Bad();
      case SplitKind::kFile:
        return BeginFile();
      case SplitKind::kLink:
        return content_bytes <= kSplitNameBytes ? EndIfDone() : Bad();
    }
    return Bad();
  }

  Status BeginFile() {
    if (++count_ > kEntries) return Bad();
    // What climbs out has no name that anything could ask for.
    const bool kept = IsLayoutName(name_);
    const std::string path =
        fmt::format("{}/{}", directory_, kept ? name_ : fmt::format("file-{}", count_));
    HULL_ASSIGN(file_, OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    if (!name_.empty()) files_.files_.insert_or_assign(name_, path);
    return {};
  }

  Status TakeContent(std::string_view piece) {
    content_left_ -= piece.size();
    if (kind_ == SplitKind::kFile) {
      HULL_TRY_WITHIN("unpack the archive", WriteAll(file_.get(), piece));
    } else {
      text_ += piece;
    }
    return EndIfDone();
  }

  Status EndIfDone() {
    if (content_left_ > 0) return {};
    if (kind_ == SplitKind::kFile) file_.Reset();
    if (kind_ != SplitKind::kLink || name_.empty()) return {};
    // A hard link's target is from the top, a symbolic one's from where it stands; no archive has
    // both meanings at once, so the one that there is counts.
    const size_t slash = name_.rfind('/');
    const std::string beside =
        Clean(slash == std::string::npos ? text_ : name_.substr(0, slash) + "/" + text_);
    const std::string top = Clean(text_);
    files_.links_.insert_or_assign(name_, files_.files_.contains(top) ? top : beside);
    return {};
  }

  SplitArchiveFiles& files_;
  std::string directory_;
  uint64_t cap_bytes_;
  std::string head_;
  size_t head_wanted_ = kSplitHeaderBytes;
  SplitKind kind_ = SplitKind::kEnd;
  std::string name_;
  uint64_t content_left_ = 0;
  UniqueFd file_;
  std::string text_;
  uint64_t count_ = 0;
  bool ended_ = false;
};

Result<SplitArchiveFiles> SplitArchiveFiles::Read(int fd, const std::string& importer,
                                                  const std::string& directory,
                                                  const PullOptions& options) {
  HULL_TRY(MakeDirectories(directory + "/blobs/sha256", 0700));
  SplitArchiveFiles files;
  // Several images, each with its layers.
  constexpr uint64_t kLayersInAll = 16;
  const uint64_t cap = options.limits.layer_bytes * kLayersInAll;
  FrameReader reader(files, directory, cap);
  Command command;
  command.arguments = {importer, "split", fmt::format("{}", cap), fmt::format("{}", kEntries)};
  command.input = fd;
  command.sink = [&](std::string_view piece) { return reader.Take(piece); };
  if (options.progress) {
    command.tick = [&] {
      const off_t position = ::lseek(fd, 0, SEEK_CUR);
      const Result<uint64_t> size = FileSizeBytes(fd, "");
      if (position >= 0 && size) {
        options.progress({PullProgress::Phase::kFetch, {}, static_cast<uint64_t>(position), *size});
      }
    };
  }
  Result<CommandResult> result = RunCommand(command);
  if (!result && result.error().code() == ErrorCode::kNotFound) {
    return Fail(std::move(result).error().WithHint(
        "hull-import belongs beside hull; HULL_IMPORT names another"));
  }
  if (!result) return Fail(std::move(result).error());
  if (result->exit_code == 1) return Fail(ParseImporterError(result->errors));
  if (result->exit_code != 0 || !reader.complete())
    return Fail(ErrorCode::kFailed, "hull-import ended with code {}", result->exit_code);
  return files;
}

std::string SplitArchiveFiles::Path(std::string_view name) const {
  std::string wanted = Clean(name);
  for (int hop = 0; hop < kLinkHops; ++hop) {
    if (const auto file = files_.find(wanted); file != files_.end()) return file->second;
    const auto link = links_.find(wanted);
    if (link == links_.end()) return {};
    wanted = link->second;
  }
  return {};
}

}  // namespace hull::images
