// What a container has changed of its root file system: the upper directory of its overlay against
// what is below.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "guest-agent/archive/file_entry.h"
#include "guest-agent/archive/tar_writer.h"
#include "vmm/base/result.h"

namespace hull::archive {

enum class ChangeKind : char { kAdded = 'A', kChanged = 'C', kDeleted = 'D' };

struct ChangesRequest {
  int upper = -1;  // open directories
  int lower = -1;
  // Paths ("/etc/hosts") where something is mounted: what the overlay has there is only the mount
  // point, which nobody's program made. Whatever is below it is none either.
  std::set<std::string> mount_points;
};

// Who hears of them: a directory before what is in it, names in order.
class ChangesVisitor {
 public:
  virtual ~ChangesVisitor() = default;
  struct Change {
    ChangeKind kind;
    std::string path;  // with a slash in front
    int parent;        // open, in the upper directory; not for what an opaque directory hides
    std::string name;
    struct stat status;
    // A directory that hides what is below it; a deletion that is only such a directory's.
    bool opaque;
  };
  virtual Status Visit(const Change& change) = 0;
};

Status VisitChanges(const ChangesRequest& request, ChangesVisitor& visitor);

// docker diff: a record for each change (agent.proto, Archive.CHANGES).
Status ListChanges(const ChangesRequest& request, const TarWriter::Sink& sink, uint64_t* entries);

// A layer as OCI has it: whiteouts, opaque directories.
Status AddChanges(const ChangesRequest& request, TarWriter& tar, EntryWriter& entries);

}  // namespace hull::archive
