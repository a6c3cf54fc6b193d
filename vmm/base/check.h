// HULL_CHECK(condition): for hull's own mistakes only. Never for anything that a guest, an image, a
// configuration or a peer can cause: those are Results.
#pragma once

namespace hull {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace hull

#define HULL_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::hull::CheckFailed(__FILE__, __LINE__, #condition))
