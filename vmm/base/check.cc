#include "vmm/base/check.h"

#include <cstdlib>

#include "vmm/base/log.h"

namespace hull {

void CheckFailed(const char* file, int line, const char* condition) {
  log::Error("{}:{}: this cannot happen: not ({}). It is a mistake in hull; please report it.",
             file, line, condition);
  std::abort();
}

}  // namespace hull
