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

}  // namespace hull::archive
