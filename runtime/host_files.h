// Files of the host's that a container sees, read-only: CDI's mounts. A guest reaches no file of
// the host's, so at each start they are packed into one EROFS file, which the machine gets behind
// the image's layers and the agent mounts as an attachment.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <boost/json/array.hpp>

#include "runtime/device_layout.h"
#include "runtime/devices/cdi.h"
#include "vmm/base/result.h"

namespace hull {

// The attachment's name in the agent's Create.
inline constexpr std::string_view kHostFilesName = "host-files";
// Of one container.
inline constexpr uint64_t kMaxHostFilesBytes = 8ULL << 30;
inline constexpr uint64_t kMaxHostFilesEntries = 1'000'000;

// kUnsupported: a mount that is no bind mount, or that the container could write through.
Status CheckMounts(const std::vector<devices::CdiEdits::Mount>& mounts);

// Packs what `mounts` name into the file `path`, with hull-import. Blocks; `tick` is called some
// ten times a second meanwhile, and ends it by returning false (kCancelled). kNotFound: one of them
// is not there; kExhausted: more than the caps, or the disk is full. On an error there is no file.
Result<LayerFile> PackHostFiles(const std::vector<devices::CdiEdits::Mount>& mounts,
                                const std::string& path, const std::function<bool()>& tick);

// The OCI configuration's `mounts` with these behind them, out of the attachment of `container_id`.
void AddMounts(const std::vector<devices::CdiEdits::Mount>& mounts, std::string_view container_id,
               boost::json::array& list);

}  // namespace hull
