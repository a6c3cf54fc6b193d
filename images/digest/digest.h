// SHA-256 digests as OCI writes them: "sha256:" and 64 lower-case hexadecimal digits.
#pragma once

#include <nettle/sha2.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace hull::images {

// A running SHA-256.
class Sha256 {
 public:
  Sha256() { sha256_init(&state_); }
  void Update(std::span<const std::byte> data);
  void Update(std::string_view text) { Update(std::as_bytes(std::span(text.data(), text.size()))); }
  // "sha256:..."; the object starts anew.
  std::string Finish();

 private:
  sha256_ctx state_ = {};
};

// The digest of `text`.
std::string DigestOf(std::string_view text);

// Whether `text` is exactly a SHA-256 digest. Digests become file names: nothing else may.
bool IsDigest(std::string_view text);

// The hexadecimal part. `digest` is a digest.
std::string_view HexOf(std::string_view digest);

}  // namespace hull::images
