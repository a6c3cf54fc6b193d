#include "images/digest/digest.h"

#include <array>
#include <cstdint>

#include "vmm/base/check.h"

namespace hull::images {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr size_t kHexDigits = size_t{2} * SHA256_DIGEST_SIZE;

}  // namespace

void Sha256::Update(std::span<const std::byte> data) {
  // SAFETY: bytes read as bytes.
  sha256_update(&state_, data.size(), reinterpret_cast<const uint8_t*>(data.data()));
}

std::string Sha256::Finish() {
  std::array<uint8_t, SHA256_DIGEST_SIZE> raw;
  sha256_digest(&state_, raw.size(), raw.data());
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(kPrefix);
  for (const uint8_t byte : raw) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0xf];
  }
  return text;
}

std::string DigestOf(std::string_view text) {
  Sha256 hash;
  hash.Update(text);
  return hash.Finish();
}

bool IsDigest(std::string_view text) {
  if (text.size() != kPrefix.size() + kHexDigits || !text.starts_with(kPrefix)) return false;
  return text.substr(kPrefix.size()).find_first_not_of("0123456789abcdef") ==
         std::string_view::npos;
}

std::string_view HexOf(std::string_view digest) {
  HULL_CHECK(IsDigest(digest));
  return digest.substr(kPrefix.size());
}

}  // namespace hull::images
