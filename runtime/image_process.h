// Reads from an OCI image configuration how its containers run.
#pragma once

#include <string_view>

#include "runtime/container_options.h"
#include "vmm/base/result.h"

namespace hull {

// `config`: the image configuration's JSON text. It is the image's word, so hostile: kCorrupt when
// a field has the wrong type. What is absent or null stays empty.
Result<ImageProcess> ParseImageProcess(std::string_view config);

}  // namespace hull
