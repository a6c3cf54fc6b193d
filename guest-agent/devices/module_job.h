// The agent's side of loading a container's modules: the process that does it, and the place that
// the kernel takes firmware from.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "guest-agent/reaper.h"
#include "vmm/base/result.h"

namespace hull::agent {

// At most 32 names. kInvalidArgument names the one that is none.
Status ValidateModules(const std::vector<std::string>& modules);

// Loads `modules` from the root file system at `rootfs`, which nobody else changes meanwhile, in a
// process of its own. `scratch`: a file to make for its answer. `done` runs on the loop, once:
// kInvalidArgument or kFailed in the words of the loader; kTimedOut after a minute.
void RunModuleJob(boost::asio::io_context& io, Reaper& reaper, const std::string& rootfs,
                  const std::vector<std::string>& modules, const std::string& scratch,
                  std::function<void(Status)> done);

// Lets the kernel look for firmware in the container's /lib/firmware first, through a mount of it
// at `target` (made; see UnmountFirmware). Drivers load firmware when they begin, and again later,
// so this stays until another container asks. Fine when the image has none.
Status OfferFirmware(const std::string& rootfs, const std::string& target);
void UnmountFirmware(const std::string& target);

}  // namespace hull::agent
