// Loads kernel modules out of a container's root file system. Runs in a process of its own
// (`hull-agent load-modules`): the files are the image's, and loading takes as long as a driver
// takes to set its device up.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "vmm/base/result.h"

namespace hull::agent {

struct ModuleKernel {
  // finit_module(2): 0, or an errno value.
  std::function<int(int file, int flags)> load;
  // Loaded, or built in.
  std::function<bool(const std::string& name)> has;
  // What the kernel said about it lately.
  std::function<std::vector<std::string>(const std::string& name)> words;
};

// The running kernel.
ModuleKernel RunningKernel();

// Loads each of `modules`, what it needs first, from /lib/modules/<release> below the directory
// `root`; what the kernel has already is left out. No link leads out of `root`. kInvalidArgument: a
// module is not there, or the kernel refuses it; kUnsupported: the kernel takes no modules.
Status LoadModules(int root, const std::string& release, const std::vector<std::string>& modules,
                   const ModuleKernel& kernel);

// `hull-agent load-modules MODULE...`, with the root as descriptor 3. The error goes to standard
// output; the exit code is 0, 1 when the machine is at fault, 2 when the image or the request is.
int LoadModulesMain(const std::vector<std::string>& modules);

}  // namespace hull::agent
