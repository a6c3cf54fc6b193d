// Reads what events.h writes, also while it is being written.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include <boost/json/object.hpp>

#include "runtime/host_layout.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

class EventsReader {
 public:
  enum class Start { kFromTheFirst, kFromNow };

  static Result<EventsReader> Open(const HostLayout& layout, Start start);

  // The next event, or nullopt: there is none now. Lines that are no events are passed over.
  Result<std::optional<boost::json::object>> Next();

 private:
  explicit EventsReader(std::string path) : path_(std::move(path)) {}

  Result<bool> Fill();
  Result<bool> OpenNewest();

  std::string path_;
  UniqueFd fd_;
  ino_t inode_ = 0;
  std::string buffer_;
  bool at_end_ = false;
};

// In nanoseconds since 1970; 0 when it has none.
int64_t EventTimeNs(const boost::json::object& event);

}  // namespace hull
