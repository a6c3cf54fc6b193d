// Reads a layer's blob as it came from a registry and gives the tar in it: gzip, zstd, xz, bzip2 or
// plain, told apart by their first bytes (media types in the wild are not reliable). Both digests
// are made on the way.
#pragma once

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "images/digest/digest.h"
#include "vmm/base/result.h"

namespace hull::images {

class BlobReader {
 public:
  enum class Compression { kNone, kGzip, kZstd, kXz, kBzip2 };

  // `fd`: the blob, read from where it stands; must outlive the reader. More than `cap_bytes` of
  // tar is kExhausted: what a few compressed bytes can become has no bound of its own.
  // `makes_digests`: without, the two Finish functions mean nothing.
  BlobReader(int fd, uint64_t cap_bytes, bool makes_digests = true);
  ~BlobReader();
  BlobReader(const BlobReader&) = delete;
  BlobReader& operator=(const BlobReader&) = delete;

  // The next piece of the tar, valid until the next call; empty at the end. kCorrupt when the
  // compressed data is damaged or ends early.
  Result<std::span<const std::byte>> Next();

  // After the end: of the blob as read, and of the tar.
  std::string FinishBlobDigest() { return blob_hash_.Finish(); }
  std::string FinishTarDigest() { return tar_hash_.Finish(); }
  uint64_t blob_bytes() const { return blob_bytes_; }
  uint64_t tar_bytes() const { return tar_bytes_; }
  Compression compression() const { return compression_; }

 private:
  struct GzipEnd {
    void operator()(z_stream* stream) const;
  };
  struct ZstdEnd {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  struct XzEnd {
    void operator()(lzma_stream* stream) const;
  };
  struct Bzip2End {
    void operator()(bz_stream* stream) const;
  };

  Status Start();
  Status Fill();
  Status StartXz();
  Status StartBzip2();
  // Each returns the bytes put into out_buffer_, and consumes from in_.
  Result<size_t> Inflate();
  Result<size_t> DecompressZstd();
  Result<size_t> DecompressXz();
  Result<size_t> DecompressBzip2();
  Result<size_t> Decompress();

  int fd_;
  uint64_t cap_bytes_;
  bool makes_digests_;
  bool started_ = false;
  bool end_of_blob_ = false;
  bool frame_open_ = false;  // inside a gzip member, zstd frame, ...: the end may not come now
  Compression compression_ = Compression::kNone;
  std::unique_ptr<z_stream, GzipEnd> gzip_;
  std::unique_ptr<ZSTD_DStream, ZstdEnd> zstd_;
  std::unique_ptr<lzma_stream, XzEnd> xz_;
  std::unique_ptr<bz_stream, Bzip2End> bzip2_;
  std::vector<std::byte> in_buffer_;
  std::vector<std::byte> out_buffer_;
  std::span<const std::byte> in_;  // not yet consumed, in in_buffer_
  Sha256 blob_hash_;
  Sha256 tar_hash_;
  uint64_t blob_bytes_ = 0;
  uint64_t tar_bytes_ = 0;
};

}  // namespace hull::images
