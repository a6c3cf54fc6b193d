// What `load` reads (an image archive) and what `save` reads (a
// layer's recipe). The first byte chooses.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "images/import/archive_split.h"
#include "images/import/recipe.h"
#include "vmm/base/check.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace {

hull::UniqueFd MemoryFile(std::string_view content) {
  hull::UniqueFd fd(::memfd_create("input", MFD_CLOEXEC));
  HULL_CHECK(hull::WriteAll(fd.get(), content) && ::lseek(fd.get(), 0, SEEK_SET) == 0);
  return fd;
}

void Split(std::string_view archive) {
  constexpr uint64_t kBytes = uint64_t{4} << 20;
  const hull::UniqueFd in = MemoryFile(archive);
  const hull::UniqueFd out = MemoryFile("");
  const hull::Status status =
      hull::images::SplitArchive(in.get(), out.get(), {.bytes = kBytes, .entries = 1'000});
  HULL_CHECK(status || !status.error().message().empty());
}

// A recipe of any kind gives no more bytes than it says, all of them from itself or from the layer.
void Rebuild(std::string_view text) {
  const hull::UniqueFd recipe = MemoryFile(text);
  const hull::UniqueFd image = MemoryFile(std::string(8192, 'x'));
  constexpr uint64_t kEnough = uint64_t{64} << 20;
  uint64_t bytes = 0;
  const hull::Status status = hull::images::RebuildTar(recipe.get(), image.get(), [&](auto piece) {
    bytes += piece.size();
    if (bytes > kEnough)
      return hull::Status(hull::Fail(hull::ErrorCode::kExhausted, "enough for a test"));
    return hull::Status();
  });
  HULL_CHECK(status || !status.error().message().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // SAFETY: bytes seen as characters; the view ends where the input does.
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'R') {
    Rebuild(text);
  } else {
    Split(text);
  }
  return 0;
}
