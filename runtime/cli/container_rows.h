// Containers as `hull ps` lists them: docker's fields, filters and words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/cli/filters.h"
#include "runtime/container_record.h"
#include "runtime/containers.h"
#include "runtime/format/listing.h"
#include "vmm/base/result.h"

namespace hull::cli {

// "Up 2 hours (Paused)", "Exited (0) 3 seconds ago", "Created".
std::string StatusText(const ContainerState& state, int64_t now_ns);

// What a container has on disk.
struct ContainerSize {
  uint64_t own_bytes = 0;    // its writable layer
  uint64_t image_bytes = 0;  // its image's layers
};
ContainerSize MeasureContainer(const Containers& containers, const ContainerRecord& record);

struct RowOptions {
  int64_t now_ns = 0;
  bool truncate = true;
  bool with_size = false;
};
format::Row RowOf(const Containers& containers, const ContainerRecord& record,
                  const RowOptions& options);
extern const format::Listing kContainerListing;

// What `hull ps --filter` knows.
Result<Filters> ParseContainerFilters(const std::vector<std::string>& words);

// Those of `all` (newest first) that the filters want. kNotFound: before= or since= name none;
// kInvalidArgument: a value that cannot be.
Result<std::vector<ContainerRecord>> FilterContainers(const Containers& containers,
                                                      std::vector<ContainerRecord> all,
                                                      const Filters& filters);

// The labels as a document.
boost::json::object LabelsOf(const ContainerRecord& record);

// The host's process of a running container, hull-vmm; 0: it does not run.
int64_t PidOf(const Containers& containers, const ContainerRecord& record);

}  // namespace hull::cli
