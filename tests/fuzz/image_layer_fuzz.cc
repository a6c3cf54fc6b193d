// A layer's blob as a registry gave it: gzip, zstd or tar, all the way to an EROFS file.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <string_view>

#include "images/digest/digest.h"
#include "images/import/recipe.h"
#include "images/import/tar_layer.h"
#include "vmm/base/check.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // SAFETY: bytes seen as characters; the view ends where the input does.
  const std::string_view blob(reinterpret_cast<const char*>(data), size);
  const hull::UniqueFd in(::memfd_create("blob", MFD_CLOEXEC));
  const hull::UniqueFd out(::memfd_create("image", MFD_CLOEXEC));
  HULL_CHECK(hull::WriteAll(in.get(), blob) && ::lseek(in.get(), 0, SEEK_SET) == 0);
  const hull::UniqueFd recipe(::memfd_create("recipe", MFD_CLOEXEC));
  constexpr uint64_t kBytes = uint64_t{16} << 20;
  const auto report = hull::images::ConvertTarLayer(in.get(), out.get(), recipe.get(),
                                                    {.bytes = kBytes, .entries = 10'000});
  struct stat info = {};
  HULL_CHECK(::fstat(out.get(), &info) == 0);
  if (!report) {
    // An error is told in words, and what was written is within the cap.
    HULL_CHECK(!report.error().message().empty());
    HULL_CHECK(static_cast<uint64_t>(info.st_size) <= 2 * kBytes);
    return 0;
  }
  HULL_CHECK(report->blob_bytes == size && report->blob_digest == hull::images::DigestOf(blob));
  HULL_CHECK(report->image_bytes == static_cast<uint64_t>(info.st_size) &&
             info.st_size % 4096 == 0);
  // The way back leads to the same tar.
  hull::images::Sha256 hash;
  HULL_CHECK(::lseek(recipe.get(), 0, SEEK_SET) == 0);
  HULL_CHECK(hull::images::RebuildTar(recipe.get(), out.get(), [&](auto piece) {
               hash.Update(piece);
               return hull::Status();
             }).has_value());
  HULL_CHECK(hash.Finish() == report->diff_id);
  return 0;
}
