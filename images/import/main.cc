// hull-import: one layer from a blob to an EROFS file, in a process that can do nothing else.
//
//   hull-import LIMIT-BYTES LIMIT-ENTRIES <blob 3>image
//
// Standard input is the blob, descriptor 3 an empty file open for writing. On standard output comes
// a report, a line each "key value", the last one "end": blob-digest, blob-bytes, diff-id,
// tar-bytes, image-bytes, dropped-xattrs, any number of implicit (a directory, control characters
// escaped); or "error CODE ERRNO MESSAGE" alone. Exit code 0 with a report, 1 with an error, 2 when
// called wrongly.
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>

#include "images/import/confine.h"
#include "images/import/tar_layer.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

constexpr int kImageFd = 3;
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

Result<TarLayerReport> Run(const TarLimits& limits) {
  HULL_TRY(Confine(kMemoryBytes));
  return ConvertTarLayer(STDIN_FILENO, kImageFd, limits);
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
  TarLimits limits;
  if (argc != 3 || !ParseNumber(argv[1], limits.bytes) || !ParseNumber(argv[2], limits.entries)) {
    std::fputs("usage: hull-import LIMIT-BYTES LIMIT-ENTRIES <BLOB 3>IMAGE (hull starts it)\n",
               stderr);
    return 2;
  }
  std::set_new_handler(OutOfMemory);
  const hull::Result<TarLayerReport> report = Run(limits);
  const hull::Status written =
      hull::WriteAll(STDOUT_FILENO, report ? Describe(*report) : Describe(report.error()));
  return report && written ? 0 : 1;
}
