// A layer's recipe (recipe.h) on disk.
//
// Little-endian: "HULLRCP1", the tar's size, the EROFS file's size (8 bytes each), then one zstd
// frame: pairs of a literal (its length, its bytes) and a copy (its length, and how far its start
// is from the end of the copy before it, as a signed number); numbers are LEB128, signed ones
// zigzagged; a pair of two empty ones is the end.
#pragma once

#include <cstddef>
#include <string_view>

namespace hull::images {

inline constexpr std::string_view kRecipeMagic = "HULLRCP1";
inline constexpr size_t kRecipeHeaderBytes = 24;

}  // namespace hull::images
