// Turns a booted kernel into the lab: modules, file systems, control groups, device nodes.
#ifndef HULL_SCRIPTS_LAB_INIT_SYSTEM_H_
#define HULL_SCRIPTS_LAB_INIT_SYSTEM_H_

#include "order.h"

namespace lab {

// /proc, /sys and /dev of the initramfs. The first thing to call.
void MountEarly();

// Loads the modules that /modules.list names, one path per line, in that order.
void LoadModules();

// Sets what a saved state has from the moment it was saved: the clock, and the kernel's random
// numbers.
void Freshen(const Order& order);

// Makes the machine's root out of the host's (9p, read-only) under an overlay, and switches to it.
void EnterSharedRoot(const Order& order);

// For a lab without shares (Bochs): the initramfs itself stays the root.
void PrepareOwnRoot();

}  // namespace lab

#endif  // HULL_SCRIPTS_LAB_INIT_SYSTEM_H_
