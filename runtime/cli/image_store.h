// The image store as commands use it: it knows what the containers of this host need of it.
#pragma once

#include <string>

#include "images/store/store.h"
#include "runtime/cli/command.h"
#include "runtime/host_layout.h"
#include "vmm/base/result.h"

namespace hull::cli {

// The store of `layout`. What killed commands left in it is cleared away.
Result<images::Store> OpenImageStore(const HostLayout& layout);
Result<images::Store> OpenImageStore(const GlobalOptions& global);

// OS/ARCHITECTURE[/VARIANT] of --platform; empty leaves the options as they are.
Status SetPlatform(std::string_view text, images::PullOptions& options);

// Prints what a command gives, or its error; returns its exit code.
int EndCommand(const Result<std::string>& text);

}  // namespace hull::cli
