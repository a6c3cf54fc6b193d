#include "images/import/recipe.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "vmm/base/file.h"

namespace hull::images {
namespace {

// Headers compress to a twentieth at the lowest level; a higher one saves little and costs more.
constexpr int kLevel = 1;
constexpr size_t kBufferBytes = size_t{256} << 10;
// A literal longer than this is written as several.
constexpr size_t kLiteralBytes = size_t{1} << 20;
constexpr size_t kNumberBytes = 10;
// What hull itself writes needs a window of at most 2^19; no recipe asks for more memory.
constexpr int kWindowLog = 23;

void AppendNumber(uint64_t value, std::vector<std::byte>& out) {
  constexpr uint64_t kLow = 0x7f;
  for (; value > kLow; value >>= 7) out.push_back(static_cast<std::byte>(value | 0x80));
  out.push_back(static_cast<std::byte>(value));
}

uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}

int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

void StoreNumber(uint64_t value, std::byte* out) {
  std::memcpy(out, &value, sizeof(value));
}

uint64_t LoadNumber(const std::byte* in) {
  uint64_t value = 0;
  std::memcpy(&value, in, sizeof(value));
  return value;
}

Result<size_t> ReadSome(int fd, std::span<std::byte> buffer) {
  for (;;) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) return FailErrno("read the recipe");
  }
}

// The pairs of a recipe, decompressed as they are asked for.
class RecipeReader {
 public:
  explicit RecipeReader(int fd) : fd_(fd), in_(kBufferBytes), out_(kBufferBytes) {}

  Status Start() {
    stream_.reset(ZSTD_createDStream());
    if (stream_ == nullptr) return Fail(ErrorCode::kExhausted, "no memory to decompress with");
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kWindowLog);
    while (in_end_ < kRecipeHeaderBytes) {
      HULL_ASSIGN(const size_t count, ReadSome(fd_, std::span(in_).subspan(in_end_)));
      if (count == 0) break;
      in_end_ += count;
    }
    if (in_end_ < kRecipeHeaderBytes ||
        std::memcmp(in_.data(), kRecipeMagic.data(), kRecipeMagic.size()) != 0) {
      return Fail(ErrorCode::kCorrupt, "it is no recipe");
    }
    tar_bytes_ = LoadNumber(in_.data() + 8);
    image_bytes_ = LoadNumber(in_.data() + 16);
    in_start_ = kRecipeHeaderBytes;
    return {};
  }

  uint64_t tar_bytes() const { return tar_bytes_; }
  uint64_t image_bytes() const { return image_bytes_; }

  // Up to `limit` bytes, at least one.
  Result<std::span<const std::byte>> Next(uint64_t limit) {
    if (at_ == end_) HULL_TRY(Fill());
    const size_t count = static_cast<size_t>(std::min<uint64_t>(limit, end_ - at_));
    const auto piece = std::span(out_).subspan(at_, count);
    at_ += count;
    return std::span<const std::byte>(piece);
  }

  Result<uint64_t> Number() {
    uint64_t value = 0;
    for (size_t i = 0; i < kNumberBytes; ++i) {
      HULL_ASSIGN(const std::span<const std::byte> byte, Next(1));
      const auto bits = static_cast<uint64_t>(byte[0]);
      value |= (bits & 0x7f) << (7 * i);
      if ((bits & 0x80) == 0) return value;
    }
    return Fail(ErrorCode::kCorrupt, "the recipe has a number that is too long");
  }

 private:
  struct StreamFree {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };

  Status Fill() {
    ZSTD_outBuffer output = {out_.data(), out_.size(), 0};
    while (output.pos == 0) {
      if (in_start_ == in_end_) {
        HULL_ASSIGN(in_end_, ReadSome(fd_, in_));
        in_start_ = 0;
        if (in_end_ == 0) return Fail(ErrorCode::kCorrupt, "the recipe ends early");
      }
      ZSTD_inBuffer input = {in_.data(), in_end_, in_start_};
      const size_t status = ZSTD_decompressStream(stream_.get(), &output, &input);
      in_start_ = input.pos;
      if (ZSTD_isError(status) != 0) {
        return Fail(ErrorCode::kCorrupt, "the recipe is damaged: {}", ZSTD_getErrorName(status));
      }
    }
    at_ = 0;
    end_ = output.pos;
    return {};
  }

  int fd_;
  std::unique_ptr<ZSTD_DStream, StreamFree> stream_;
  std::vector<std::byte> in_;
  size_t in_start_ = 0;
  size_t in_end_ = 0;
  std::vector<std::byte> out_;
  size_t at_ = 0;
  size_t end_ = 0;
  uint64_t tar_bytes_ = 0;
  uint64_t image_bytes_ = 0;
};

Status CopyFromImage(int fd, uint64_t position, uint64_t bytes, std::span<std::byte> buffer,
                     const std::function<Status(std::span<const std::byte>)>& write) {
  while (bytes > 0) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(bytes, buffer.size()));
    const ssize_t count = ::pread(fd, buffer.data(), wanted, static_cast<off_t>(position));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("read the layer");
    if (count == 0) return Fail(ErrorCode::kCorrupt, "the layer ends early");
    HULL_TRY(write(buffer.first(static_cast<size_t>(count))));
    position += static_cast<uint64_t>(count);
    bytes -= static_cast<uint64_t>(count);
  }
  return {};
}

}  // namespace

RecipeWriter::RecipeWriter(int fd) : fd_(fd) {}

Status RecipeWriter::EndPiece() {
  if (fd_ < 0) return {};
  HULL_TRY(AddLiteral(piece_.subspan(done_ - piece_start_)));
  piece_start_ += piece_.size();
  done_ = piece_start_;
  piece_ = {};
  return {};
}

Status RecipeWriter::AddData(uint64_t tar_position, std::span<const std::byte> data,
                             uint64_t image_position) {
  if (fd_ < 0 || data.empty() || tar_position < done_) return {};
  const uint64_t offset = tar_position - piece_start_;
  // What the archive's reader has gathered in a buffer of its own is left to the recipe.
  if (offset > piece_.size() || piece_.data() + offset != data.data() ||
      data.size() > piece_.size() - offset) {
    return {};
  }
  HULL_TRY(AddLiteral(piece_.subspan(done_ - piece_start_, tar_position - done_)));
  if (copy_bytes_ > 0 && copy_start_ + copy_bytes_ != image_position) HULL_TRY(EndPair());
  if (copy_bytes_ == 0) copy_start_ = image_position;
  copy_bytes_ += data.size();
  done_ = tar_position + data.size();
  return {};
}

Status RecipeWriter::AddLiteral(std::span<const std::byte> data) {
  if (data.empty()) return {};
  if (copy_bytes_ > 0 || literal_.size() > kLiteralBytes) HULL_TRY(EndPair());
  literal_.insert(literal_.end(), data.begin(), data.end());
  return {};
}

Status RecipeWriter::EndPair() {
  std::vector<std::byte> number;
  AppendNumber(literal_.size(), number);
  HULL_TRY(Compress(number, ZSTD_e_continue));
  HULL_TRY(Compress(literal_, ZSTD_e_continue));
  literal_.clear();
  number.clear();
  AppendNumber(copy_bytes_, number);
  if (copy_bytes_ > 0) {
    AppendNumber(ZigZag(static_cast<int64_t>(copy_start_ - last_copy_end_)), number);
    last_copy_end_ = copy_start_ + copy_bytes_;
    copy_bytes_ = 0;
  }
  return Compress(number, ZSTD_e_continue);
}

Status RecipeWriter::Compress(std::span<const std::byte> data, ZSTD_EndDirective directive) {
  if (stream_ == nullptr) {
    stream_.reset(ZSTD_createCStream());
    if (stream_ == nullptr) return Fail(ErrorCode::kExhausted, "no memory to compress with");
    ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_compressionLevel, kLevel);
    out_.resize(kBufferBytes);
    // The header's place.
    HULL_TRY(WriteAll(fd_, std::string_view("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                                            kRecipeHeaderBytes)));
  }
  ZSTD_inBuffer input = {data.data(), data.size(), 0};
  for (;;) {
    ZSTD_outBuffer output = {out_.data(), out_.size(), 0};
    const size_t left = ZSTD_compressStream2(stream_.get(), &output, &input, directive);
    if (ZSTD_isError(left) != 0)
      return Fail(ErrorCode::kFailed, "compress the recipe: {}", ZSTD_getErrorName(left));
    HULL_TRY_WITHIN("write the recipe", WriteAll(fd_, std::span(out_).first(output.pos)));
    const bool done = directive == ZSTD_e_end ? left == 0 : input.pos == input.size;
    if (done) return {};
  }
}

Status RecipeWriter::Finish(uint64_t image_bytes) {
  if (fd_ < 0) return {};
  const uint64_t tar_bytes = done_;
  if (!literal_.empty() || copy_bytes_ > 0) HULL_TRY(EndPair());
  HULL_TRY(EndPair());  // an empty one: the end
  HULL_TRY(Compress({}, ZSTD_e_end));
  std::array<std::byte, kRecipeHeaderBytes> header = {};
  std::memcpy(header.data(), kRecipeMagic.data(), kRecipeMagic.size());
  StoreNumber(tar_bytes, header.data() + 8);
  StoreNumber(image_bytes, header.data() + 16);
  if (::pwrite(fd_, header.data(), header.size(), 0) != static_cast<ssize_t>(header.size()))
    return FailErrno("write the recipe");
  return {};
}

Status RebuildTar(int recipe_fd, int image_fd,
                  const std::function<Status(std::span<const std::byte>)>& write) {
  RecipeReader recipe(recipe_fd);
  HULL_TRY(recipe.Start());
  HULL_ASSIGN(const uint64_t image_bytes, FileSizeBytes(image_fd, "the layer"));
  if (image_bytes != recipe.image_bytes())
    return Fail(ErrorCode::kCorrupt, "the layer is not the one that the recipe was made with");
  std::vector<std::byte> buffer(kBufferBytes);
  uint64_t left = recipe.tar_bytes();
  uint64_t position = 0;  // the end of the last copy
  for (;;) {
    HULL_ASSIGN(uint64_t literal, recipe.Number());
    if (literal > left) return Fail(ErrorCode::kCorrupt, "the recipe gives too many bytes");
    left -= literal;
    const bool had_literal = literal > 0;
    while (literal > 0) {
      HULL_ASSIGN(const std::span<const std::byte> piece, recipe.Next(literal));
      HULL_TRY(write(piece));
      literal -= piece.size();
    }
    HULL_ASSIGN(const uint64_t copy, recipe.Number());
    if (copy == 0 && !had_literal) break;
    if (copy == 0) continue;
    HULL_ASSIGN(const uint64_t distance, recipe.Number());
    position += static_cast<uint64_t>(UnZigZag(distance));
    if (copy > left || position > image_bytes || copy > image_bytes - position)
      return Fail(ErrorCode::kCorrupt, "the recipe points out of the layer");
    HULL_TRY(CopyFromImage(image_fd, position, copy, buffer, write));
    position += copy;
    left -= copy;
  }
  if (left != 0) return Fail(ErrorCode::kCorrupt, "the recipe gives too few bytes");
  return {};
}

}  // namespace hull::images
