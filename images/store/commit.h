// Makes an image of another and one more layer: docker's commit.
#pragma once

#include <functional>
#include <string>

#include <boost/json/object.hpp>

#include "images/store/store.h"
#include "vmm/base/result.h"

namespace hull::images {

struct CommitRequest {
  Image base;
  std::string name;            // as the user wrote it; empty: none
  boost::json::object config;  // the base's configuration as changed: "config", "author", "created"
  std::string created_by;      // for the history
  std::string comment;
  // Writes the layer's tar to a file that is open for it.
  std::function<Status(int fd)> write_layer;
};

// `root`: as for Store::Open; `store` is that store. Returns the new image's id. The layer goes the
// way of every other: through hull-import, verified. On an error the store is as it was.
Result<std::string> CommitImage(Store& store, const std::string& root, CommitRequest request);

}  // namespace hull::images
