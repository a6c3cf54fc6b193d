// The way back from a layer to the tar it was made of, byte for byte.
//
// An EROFS layer has the files' data, but not the tar's headers, padding and order. A recipe holds
// those, compressed, and says for the rest where it stands in the EROFS file. Only what was written
// there from the same memory is referred to; everything else is in the recipe itself, so it does
// not depend on the tar's being understood. recipe_format.h has its form.
#pragma once

#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "images/import/recipe_format.h"
#include "vmm/base/result.h"

namespace hull::images {

class RecipeWriter {
 public:
  // `fd`: an empty file, open for writing; must outlive the writer. -1: nothing is written.
  explicit RecipeWriter(int fd);

  // The next piece of the tar, which stays valid until EndPiece. Nothing happens without one.
  void BeginPiece(std::span<const std::byte> piece) { piece_ = piece; }
  Status EndPiece();
  // `data`, which begins at `tar_position`, also stands at `image_position` of the EROFS file.
  Status AddData(uint64_t tar_position, std::span<const std::byte> data, uint64_t image_position);
  // After the last piece has ended.
  Status Finish(uint64_t image_bytes);

 private:
  struct StreamFree {
    void operator()(ZSTD_CStream* stream) const { ZSTD_freeCStream(stream); }
  };

  Status AddLiteral(std::span<const std::byte> data);
  Status EndPair();
  Status Compress(std::span<const std::byte> data, ZSTD_EndDirective directive);

  int fd_;
  std::unique_ptr<ZSTD_CStream, StreamFree> stream_;
  std::vector<std::byte> out_;
  std::span<const std::byte> piece_;
  uint64_t piece_start_ = 0;  // in the tar
  uint64_t done_ = 0;         // of the tar, up to here it is in a pair
  // The pair in the making: its literal is complete once it has a copy.
  std::vector<std::byte> literal_;
  uint64_t copy_start_ = 0;
  uint64_t copy_bytes_ = 0;
  uint64_t last_copy_end_ = 0;
};

// Writes the tar that `recipe_fd` (read from where it stands) and the EROFS file give, in pieces.
// kCorrupt when they do not fit together or give another number of bytes than the recipe says. That
// they give the right bytes is for the caller to verify.
Status RebuildTar(int recipe_fd, int image_fd,
                  const std::function<Status(std::span<const std::byte>)>& write);

}  // namespace hull::images
