#include "images/import/blob_reader.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "vmm/base/check.h"

namespace hull::images {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;
// Enough for every magic number below.
constexpr size_t kMagicBytes = 6;
// zlib: 15 bits of window, and 16 more to expect gzip's header rather than zlib's.
constexpr int kGzipWindowBits = 15 + 16;
// RFC 8878, 3.1.1.1.2 asks for at least 8 MiB; what `zstd --long` makes (27 bits) is accepted.
constexpr int kZstdWindowLog = 27;
// What `xz -9` needs to be read, four times over (xz(1)).
constexpr uint64_t kXzMemoryBytes = uint64_t{256} << 20;
// An xz file ends with a multiple of four zeros, if any (xz file format 1.2.0, 2.2).
constexpr size_t kXzPaddingBytes = 4;

bool StartsWith(std::span<const std::byte> data, std::span<const uint8_t> magic) {
  return data.size() >= magic.size() &&
         std::equal(magic.begin(), magic.end(), data.begin(),
                    [](uint8_t a, std::byte b) { return std::byte{a} == b; });
}

constexpr std::array<uint8_t, 3> kGzipMagic = {0x1f, 0x8b, 0x08};
constexpr std::array<uint8_t, 4> kZstdMagic = {0x28, 0xb5, 0x2f, 0xfd};
constexpr std::array<uint8_t, 3> kBzip2Magic = {'B', 'Z', 'h'};
constexpr std::array<uint8_t, 6> kXzMagic = {0xfd, '7', 'z', 'X', 'Z', 0x00};

// RFC 8878, 3.1.2: a frame that decoders skip; zstd:chunked layers may begin with one.
bool IsZstdSkippable(std::span<const std::byte> data) {
  return data.size() >= 4 && (data[0] & std::byte{0xf0}) == std::byte{0x50} &&
         data[1] == std::byte{0x2a} && data[2] == std::byte{0x4d} && data[3] == std::byte{0x18};
}

}  // namespace

void BlobReader::GzipEnd::operator()(z_stream* stream) const {
  inflateEnd(stream);
  delete stream;
}

void BlobReader::XzEnd::operator()(lzma_stream* stream) const {
  lzma_end(stream);
  delete stream;
}

void BlobReader::Bzip2End::operator()(bz_stream* stream) const {
  BZ2_bzDecompressEnd(stream);
  delete stream;
}

BlobReader::BlobReader(int fd, uint64_t cap_bytes, bool makes_digests)
    : fd_(fd),
      cap_bytes_(cap_bytes),
      makes_digests_(makes_digests),
      in_buffer_(kBufferBytes),
      out_buffer_(kBufferBytes) {}

BlobReader::~BlobReader() = default;

// Adds to in_ what the blob still has, keeping what is not consumed.
Status BlobReader::Fill() {
  std::copy(in_.begin(), in_.end(), in_buffer_.begin());
  const size_t kept = in_.size();
  ssize_t count = 0;
  do {
    count = ::read(fd_, in_buffer_.data() + kept, in_buffer_.size() - kept);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return FailErrno("read the blob");
  if (count == 0) end_of_blob_ = true;
  const auto fresh = std::span(in_buffer_).subspan(kept, static_cast<size_t>(count));
  if (makes_digests_) blob_hash_.Update(fresh);
  blob_bytes_ += fresh.size();
  in_ = std::span(in_buffer_).first(kept + fresh.size());
  return {};
}

Status BlobReader::Start() {
  started_ = true;
  while (in_.size() < kMagicBytes && !end_of_blob_) HULL_TRY(Fill());
  if (StartsWith(in_, kGzipMagic)) {
    compression_ = Compression::kGzip;
    gzip_.reset(new z_stream());
    if (inflateInit2(gzip_.get(), kGzipWindowBits) != Z_OK) {
      return Fail(ErrorCode::kExhausted, "no memory to decompress with");
    }
  } else if (StartsWith(in_, kZstdMagic) || IsZstdSkippable(in_)) {
    compression_ = Compression::kZstd;
    zstd_.reset(ZSTD_createDStream());
    if (zstd_ == nullptr) return Fail(ErrorCode::kExhausted, "no memory to decompress with");
    ZSTD_DCtx_setParameter(zstd_.get(), ZSTD_d_windowLogMax, kZstdWindowLog);
  } else if (StartsWith(in_, kXzMagic)) {
    compression_ = Compression::kXz;
    return StartXz();
  } else if (StartsWith(in_, kBzip2Magic)) {
    compression_ = Compression::kBzip2;
    return StartBzip2();
  }
  return {};
}

Status BlobReader::StartXz() {
  if (xz_ == nullptr) {
    xz_.reset(new lzma_stream());
    *xz_ = LZMA_STREAM_INIT;
  }
  if (lzma_stream_decoder(xz_.get(), kXzMemoryBytes, 0) == LZMA_OK) return {};
  return Fail(ErrorCode::kExhausted, "no memory to decompress with");
}

Status BlobReader::StartBzip2() {
  bzip2_.reset();
  auto stream = std::make_unique<bz_stream>();
  if (BZ2_bzDecompressInit(stream.get(), 0, 0) != BZ_OK)
    return Fail(ErrorCode::kExhausted, "no memory to decompress with");
  bzip2_.reset(stream.release());
  return {};
}

Result<size_t> BlobReader::Inflate() {
  if (!frame_open_ && blob_bytes_ > in_.size()) {
    // A further member: some tools write a gzip file in pieces (RFC 1952, 2.2).
    if (!StartsWith(in_, kGzipMagic)) {
      if (in_.size() < kGzipMagic.size() && !end_of_blob_) return size_t{0};
      return Fail(ErrorCode::kCorrupt, "the gzip data is followed by something else");
    }
    inflateReset(gzip_.get());
  }
  frame_open_ = true;
  // SAFETY: zlib takes its input through a pointer to non-const but does not write to it; sizes are
  // those of the buffers, far below 4 GiB.
  gzip_->next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in_.data()));
  gzip_->avail_in = static_cast<uInt>(in_.size());
  gzip_->next_out = reinterpret_cast<Bytef*>(out_buffer_.data());
  gzip_->avail_out = static_cast<uInt>(out_buffer_.size());
  const int status = inflate(gzip_.get(), Z_NO_FLUSH);
  in_ = in_.last(gzip_->avail_in);
  if (status == Z_STREAM_END) {
    frame_open_ = false;
  } else if (status == Z_MEM_ERROR) {
    return Fail(ErrorCode::kExhausted, "no memory to decompress with");
  } else if (status != Z_OK && status != Z_BUF_ERROR) {
    return Fail(ErrorCode::kCorrupt, "the gzip data is damaged: {}",
                gzip_->msg != nullptr ? gzip_->msg : "unknown error");
  }
  return out_buffer_.size() - gzip_->avail_out;
}

Result<size_t> BlobReader::DecompressZstd() {
  ZSTD_inBuffer input = {in_.data(), in_.size(), 0};
  ZSTD_outBuffer output = {out_buffer_.data(), out_buffer_.size(), 0};
  const size_t status = ZSTD_decompressStream(zstd_.get(), &output, &input);
  in_ = in_.subspan(input.pos);
  if (ZSTD_isError(status) != 0) {
    return Fail(ErrorCode::kCorrupt, "the zstd data is damaged: {}", ZSTD_getErrorName(status));
  }
  // 0: a frame has ended and is flushed. Without input at hand it says the size of the next header.
  if (status == 0) {
    frame_open_ = false;
  } else if (input.pos > 0 || output.pos > 0) {
    frame_open_ = true;
  }
  return output.pos;
}

Result<size_t> BlobReader::DecompressXz() {
  if (!frame_open_ && blob_bytes_ > in_.size()) {
    if (in_.size() < kMagicBytes && !end_of_blob_) return size_t{0};
    if (in_.size() >= kXzPaddingBytes &&
        std::all_of(in_.begin(), in_.begin() + kXzPaddingBytes,
                    [](std::byte b) { return b == std::byte{0}; })) {
      in_ = in_.subspan(kXzPaddingBytes);
      return size_t{0};
    }
    if (!StartsWith(in_, kXzMagic))
      return Fail(ErrorCode::kCorrupt, "the xz data is followed by something else");
    HULL_TRY(StartXz());
  }
  frame_open_ = true;
  // SAFETY: bytes seen as bytes; sizes are those of the buffers.
  xz_->next_in = reinterpret_cast<const uint8_t*>(in_.data());
  xz_->avail_in = in_.size();
  xz_->next_out = reinterpret_cast<uint8_t*>(out_buffer_.data());
  xz_->avail_out = out_buffer_.size();
  const lzma_ret status = lzma_code(xz_.get(), LZMA_RUN);
  in_ = in_.last(xz_->avail_in);
  if (status == LZMA_STREAM_END) {
    frame_open_ = false;
  } else if (status == LZMA_MEM_ERROR || status == LZMA_MEMLIMIT_ERROR) {
    return Fail(ErrorCode::kExhausted, "the xz data needs more than the {} bytes of memory allowed",
                kXzMemoryBytes);
  } else if (status != LZMA_OK && status != LZMA_BUF_ERROR) {
    return Fail(ErrorCode::kCorrupt, "the xz data is damaged");
  }
  return out_buffer_.size() - xz_->avail_out;
}

Result<size_t> BlobReader::DecompressBzip2() {
  if (!frame_open_ && blob_bytes_ > in_.size()) {
    // What several processors compressed is several streams.
    if (in_.size() < kBzip2Magic.size() && !end_of_blob_) return size_t{0};
    if (!StartsWith(in_, kBzip2Magic))
      return Fail(ErrorCode::kCorrupt, "the bzip2 data is followed by something else");
    HULL_TRY(StartBzip2());
  }
  frame_open_ = true;
  // SAFETY: the library takes its input through a pointer to non-const but does not write to it;
  // sizes are those of the buffers, far below 4 GiB.
  bzip2_->next_in = reinterpret_cast<char*>(const_cast<std::byte*>(in_.data()));
  bzip2_->avail_in = static_cast<unsigned int>(in_.size());
  bzip2_->next_out = reinterpret_cast<char*>(out_buffer_.data());
  bzip2_->avail_out = static_cast<unsigned int>(out_buffer_.size());
  const int status = BZ2_bzDecompress(bzip2_.get());
  in_ = in_.last(bzip2_->avail_in);
  if (status == BZ_STREAM_END) {
    frame_open_ = false;
  } else if (status == BZ_MEM_ERROR) {
    return Fail(ErrorCode::kExhausted, "no memory to decompress with");
  } else if (status != BZ_OK) {
    return Fail(ErrorCode::kCorrupt, "the bzip2 data is damaged");
  }
  return out_buffer_.size() - bzip2_->avail_out;
}

Result<size_t> BlobReader::Decompress() {
  switch (compression_) {
    case Compression::kGzip:
      return Inflate();
    case Compression::kZstd:
      return DecompressZstd();
    case Compression::kXz:
      return DecompressXz();
    case Compression::kBzip2:
      return DecompressBzip2();
    case Compression::kNone:
      break;
  }
  HULL_CHECK(false);
}

Result<std::span<const std::byte>> BlobReader::Next() {
  if (!started_) HULL_TRY(Start());
  std::span<const std::byte> out;
  // What a decompressor holds back needs no further input: it is asked before the blob is.
  bool ask = !in_.empty() || frame_open_;
  while (out.empty()) {
    if (ask && compression_ == Compression::kNone) {
      std::swap(in_buffer_, out_buffer_);
      out = in_;
      in_ = {};
    } else if (ask) {
      const size_t left = in_.size();
      HULL_ASSIGN(const size_t count, Decompress());
      out = std::span(out_buffer_).first(count);
      if (count > 0) break;
      if (in_.size() != left && !in_.empty()) continue;
    }
    if (!out.empty()) break;
    if (end_of_blob_) {
      if (frame_open_ || !in_.empty()) {
        return Fail(ErrorCode::kCorrupt, "the compressed data ends early");
      }
      return out;
    }
    HULL_TRY(Fill());
    ask = !in_.empty() || frame_open_;
  }
  tar_bytes_ += out.size();
  if (tar_bytes_ > cap_bytes_) {
    return Fail(ErrorCode::kExhausted, "it unpacks to more than the {} bytes allowed", cap_bytes_);
  }
  if (makes_digests_) tar_hash_.Update(out);
  return out;
}

}  // namespace hull::images
