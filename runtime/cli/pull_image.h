// Pulling with its progress shown: for `hull pull` and for what needs an image that is missing.
#pragma once

#include <string>
#include <string_view>

#include "images/store/store.h"
#include "vmm/base/result.h"

namespace hull::cli {

// Shows progress on standard error.
Result<images::Image> PullImage(images::Store& store, std::string_view reference,
                                images::PullOptions options);

// A name with the tag that is meant when there is none: "busybox" as "busybox:latest".
std::string ShownName(std::string_view name);

}  // namespace hull::cli
