// Takes from this process what an archive does not need.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "vmm/base/result.h"

namespace hull::archive {

// Makes the open directory `root` this process's "/": links and ".." end there in every call.
// Needs CAP_SYS_CHROOT. Gives up no descriptor.
Status EnterRoot(int root);

// Keeps of the capabilities only `kept` (numbers of linux/capability.h) that it has, and can gain
// no privilege by executing a program any more.
Status KeepCapabilities(std::initializer_list<int> kept);

// Leaves it the system calls that reading and writing trees takes, on descriptors that are open and
// paths below them: no sockets, no programs, no mounts, no other process. Any other kills it.
Status AllowFilesOnly();

}  // namespace hull::archive
