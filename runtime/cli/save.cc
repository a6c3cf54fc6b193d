// hull save: images to an archive.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/image_store.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

struct SaveFlags {
  std::string output;
  std::string format = "docker-archive";
};

// A file that has no name until it is complete: a kill leaves nothing.
class OutputFile {
 public:
  static Result<OutputFile> Open(const std::string& path) {
    OutputFile file;
    file.path_ = path;
    struct stat info = {};
    const bool exists = ::stat(path.c_str(), &info) == 0;
    if (exists && S_ISDIR(info.st_mode))
      return Fail(ErrorCode::kInvalidArgument, "{} is a directory", path);
    if (exists && !S_ISREG(info.st_mode)) {
      HULL_ASSIGN(file.fd_, OpenFile(path, O_WRONLY));
      file.is_done_ = true;
      return file;
    }
    const size_t slash = path.rfind('/');
    file.directory_ = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    constexpr mode_t kMode = 0600;
    Result<UniqueFd> unnamed = OpenFile(file.directory_, O_TMPFILE | O_WRONLY, kMode);
    if (unnamed) {
      file.fd_ = *std::move(unnamed);
      return file;
    }
    if (::stat(file.directory_.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
      return Fail(ErrorCode::kInvalidArgument,
                  "invalid output path: directory \"{}\" does not exist", file.directory_);
    }
    // A file system that has no such files: the next best is one beside it.
    file.temporary_ = fmt::format("{}.part-{}", path, ::getpid());
    HULL_ASSIGN(file.fd_,
                OpenFile(file.temporary_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, kMode));
    return file;
  }

  OutputFile(OutputFile&& other) noexcept = default;
  ~OutputFile() {
    if (!temporary_.empty() && fd_.valid()) ::unlink(temporary_.c_str());
  }

  int fd() const { return fd_.get(); }

  Status Finish() {
    if (is_done_) return {};
    if (temporary_.empty()) {
      const std::string from = fmt::format("/proc/self/fd/{}", fd_.get());
      if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) == 0)
        return {};
      if (errno != EEXIST) return FailErrno("write {}", path_);
      temporary_ = fmt::format("{}.part-{}", path_, ::getpid());
      if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW) != 0)
        return FailErrno("write {}", temporary_);
    }
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) return FailErrno("write {}", path_);
    temporary_.clear();
    return {};
  }

 private:
  OutputFile() = default;

  std::string path_;
  std::string directory_;
  std::string temporary_;  // empty: none
  UniqueFd fd_;
  bool is_done_ = false;  // a device or a pipe: written as it is
};

Result<std::string> Save(const SaveFlags& flags, const std::vector<std::string>& names,
                         const GlobalOptions& global) {
  if (flags.format != "docker-archive" && flags.format != "oci-archive") {
    return Fail(ErrorCode::kInvalidArgument,
                "--format: \"{}\" is neither docker-archive nor oci-archive", flags.format);
  }
  const auto format =
      flags.format == "oci-archive" ? images::ArchiveFormat::kOci : images::ArchiveFormat::kDocker;
  if (flags.output.empty() && ::isatty(STDOUT_FILENO) == 1) {
    return Fail(ErrorCode::kInvalidArgument,
                "cowardly refusing to save to a terminal. Use the -o flag or redirect");
  }
  HULL_ASSIGN(const images::Store store, OpenImageStore(global));
  if (flags.output.empty()) {
    HULL_TRY(store.Save(names, format,
                        [](std::string_view piece) { return WriteAll(STDOUT_FILENO, piece); }));
    return std::string();
  }
  HULL_ASSIGN(OutputFile file, OutputFile::Open(flags.output));
  HULL_TRY_WITHIN(fmt::format("write {}", flags.output),
                  store.Save(names, format,
                             [&](std::string_view piece) { return WriteAll(file.fd(), piece); }));
  HULL_TRY(file.Finish());
  return std::string();
}

Action DeclareSave(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<SaveFlags>();
  app.add_option("--format", flags->format, "What kind of archive; both are read by hull load")
      ->type_name("docker-archive|oci-archive")
      ->default_str("docker-archive");
  app.add_option("-o,--output", flags->output, "Write to this file, not to standard output")
      ->type_name("FILE");
  return [flags, &global](const std::vector<std::string>& arguments) {
    return EndCommand(Save(*flags, arguments, global));
  };
}

constexpr Example kExamples[] = {
    {"hull save -o app.tar app:1 app:2", "Two images, with their names, in one archive"},
    {"hull save app | zstd > app.tar.zst", "Compressed; hull load reads that, too"},
};

}  // namespace

extern const Command kSave;
constinit const Command kSave = {
    .name = "save",
    .group = Group::kImages,
    .aliases = "image save",
    .summary = "Save images to an archive",
    .arguments = "[OPTIONS] IMAGE [IMAGE...]",
    .description =
        "The layers come out as the tars they were, byte for byte, so that images keep their ids. "
        "Of a name without a tag all tags are saved; an image that is named by its id is saved "
        "without a name. docker, podman, skopeo and containerd read both kinds of archive.",
    .examples = kExamples,
    .declare = DeclareSave,
};

}  // namespace hull::cli
