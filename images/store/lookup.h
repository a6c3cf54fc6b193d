// Which image a user means.
#pragma once

#include <string>
#include <string_view>

#include "images/store/records.h"
#include "vmm/base/result.h"

namespace hull::images {

struct Found {
  std::string id;
  std::string name;    // the name in the table that was meant; empty: the image was named by its id
  std::string digest;  // of what that name stood for; empty with an id
};

// By name, else by id or a beginning of one that is no other's. kNotFound when there is none,
// kInvalidArgument for what is neither name nor id, or begins several ids.
Result<Found> FindImage(const StorePaths& paths, const NameTable& names,
                        std::string_view name_or_id);

// "No such image: x", in docker's words, with how to get it.
Error NoSuchImage(std::string_view name_or_id);

}  // namespace hull::images
