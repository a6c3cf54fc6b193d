// hull-import: what reads and makes layers, in a process that can do nothing else.
//
//   hull-import LIMIT-BYTES LIMIT-ENTRIES [below] <blob 3>image 4>recipe [5<below]
//
// One layer from a blob to an EROFS file. Standard input is the blob, descriptors 3 and 4 are empty
// files open for writing (4: images/import/recipe.h). On standard output comes a report, a line
// each "key value", the last one "end": blob-digest, blob-bytes, diff-id, tar-bytes, image-bytes,
// dropped-xattrs, any number of implicit (a directory, control characters escaped) and lower-link
// (a file of a layer below; descriptor 5 has such files, images/import/below_reader.h); or "error
// CODE ERRNO MESSAGE" alone. Exit code 0 with a report, 1 with an error, 2 when called wrongly.
//
//   hull-import rebuild <recipe 3<image
//
// The layer's tar on standard output. An error goes to standard error: "CODE ERRNO MESSAGE".
//
//   hull-import split LIMIT-BYTES LIMIT-ENTRIES <archive
//
// The files of an image archive on standard output, framed (images/import/archive_split.h); errors
// as above.
//
//   hull-import pack LIMIT-BYTES LIMIT-ENTRIES {one|all PATH}... 3>image
//
// Files and directories of this host (images/import/pack_files.h; "all": with what is mounted
// below) as "/0", "/1", ... of an EROFS file. Errors as above.
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "images/import/archive_split.h"
#include "images/import/confine.h"
#include "images/import/pack_files.h"
#include "images/import/recipe.h"
#include "images/import/tar_layer.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

constexpr int kImageFd = 3;
constexpr int kRecipeFd = 4;
constexpr int kBelowFd = 5;
// The tree's own cap on text is 1 GiB; entries add to it. A tar that needs more ends in kExhausted.
constexpr uint64_t kMemoryBytes = uint64_t{8} << 30;
// More than this is not worth reporting: the report is a help, and its reader has a cap.
constexpr size_t kImplicitBytes = size_t{4} << 20;

std::string Describe(const TarLayerReport& report) {
  std::string text = fmt::format(
      "blob-digest {}\nblob-bytes {}\ndiff-id {}\ntar-bytes {}\nimage-bytes {}\ndropped-xattrs "
      "{}\n",
      report.blob_digest, report.blob_bytes, report.diff_id, report.tar_bytes, report.image_bytes,
      report.dropped_xattrs);
  const size_t cap = text.size() + kImplicitBytes;
  for (const std::string& path : report.implicit_directories) {
    if (text.size() > cap) break;
    text += fmt::format("implicit {}\n", EscapeControl(path));
  }
  // All of them or none: one that were missing would be a file that is missing.
  for (const std::string& path : report.lower_links) text += fmt::format("lower-link {}\n", path);
  return text + "end\n";
}

std::string Describe(const Error& error) {
  return fmt::format("error {} {} {}\nend\n", static_cast<int>(error.code()), error.error_number(),
                     EscapeControl(error.ToString()));
}

bool ParseNumber(const char* text, uint64_t& value) {
  const std::string_view view(text);
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  return error == std::errc() && end == view.data() + view.size();
}

Result<TarLayerReport> Run(const TarLimits& limits, int below_fd) {
  HULL_TRY(Confine(kMemoryBytes));
  return ConvertTarLayer(STDIN_FILENO, kImageFd, kRecipeFd, limits, below_fd);
}

int Convert(const TarLimits& limits, int below_fd) {
  const Result<TarLayerReport> report = Run(limits, below_fd);
  const Status written =
      WriteAll(STDOUT_FILENO, report ? Describe(*report) : Describe(report.error()));
  return report && written ? 0 : 1;
}

// Of a mode whose standard output is data.
int EndWith(const Status& status) {
  if (status) return 0;
  const Error& error = status.error();
  const std::string text = fmt::format("{} {} {}", static_cast<int>(error.code()),
                                       error.error_number(), EscapeControl(error.ToString()));
  return WriteAll(STDERR_FILENO, text) ? 1 : 2;
}

Status Rebuild() {
  HULL_TRY(Confine(kMemoryBytes));
  return RebuildTar(STDIN_FILENO, kImageFd, [](std::span<const std::byte> piece) {
    return WriteAll(STDOUT_FILENO, piece);
  });
}

Status Split(const SplitLimits& limits) {
  HULL_TRY(Confine(kMemoryBytes));
  return SplitArchive(STDIN_FILENO, STDOUT_FILENO, limits);
}

// The one mode that reads the host's own files, so there is nothing to be kept away from them; and
// nothing in it reads what they say.
Status Pack(const PackLimits& limits, std::span<char* const> words) {
  std::vector<PackSource> sources;
  for (size_t i = 0; i + 1 < words.size(); i += 2) {
    sources.push_back({words[i + 1], std::string_view(words[i]) == "all"});
  }
  return PackFiles(sources, kImageFd, limits);
}

// Memory is the one thing whose end the standard library reports by an exception.
void OutOfMemory() {
  constexpr std::string_view kText = "error 8 12 the layer needs more memory than there is\nend\n";
  ::_exit(::write(STDOUT_FILENO, kText.data(), kText.size()) < 0 ? 2 : 1);
}

}  // namespace
}  // namespace hull::images

int main(int argc, char** argv) {
  using namespace hull::images;  // NOLINT(google-build-using-namespace)
  const std::string_view mode = argc > 1 ? argv[1] : "";
  std::set_new_handler(OutOfMemory);
  if (mode == "rebuild" && argc == 2) return EndWith(Rebuild());
  SplitLimits split;
  if (mode == "split" && argc == 4 && ParseNumber(argv[2], split.bytes) &&
      ParseNumber(argv[3], split.entries)) {
    return EndWith(Split(split));
  }
  PackLimits pack;
  if (mode == "pack" && argc >= 6 && argc % 2 == 0 && ParseNumber(argv[2], pack.bytes) &&
      ParseNumber(argv[3], pack.entries)) {
    return EndWith(Pack(pack, std::span(argv, static_cast<size_t>(argc)).subspan(4)));
  }
  TarLimits limits;
  const bool below = argc == 4 && std::string_view(argv[3]) == "below";
  if ((argc == 3 || below) && ParseNumber(argv[1], limits.bytes) &&
      ParseNumber(argv[2], limits.entries)) {
    return Convert(limits, below ? kBelowFd : -1);
  }
  std::fputs(
      "usage: hull-import LIMIT-BYTES LIMIT-ENTRIES [below] <BLOB 3>IMAGE 4>RECIPE [5<BELOW]\n"
      "       hull-import rebuild <RECIPE 3<IMAGE\n"
      "       hull-import split LIMIT-BYTES LIMIT-ENTRIES <ARCHIVE\n"
      "       hull-import pack LIMIT-BYTES LIMIT-ENTRIES {one|all PATH}... 3>IMAGE\n"
      "(hull starts it)\n",
      stderr);
  return 2;
}
