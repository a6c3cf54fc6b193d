// Where hull keeps its things when nobody says: root's places, or, since those cannot be written
// without root, the user's own, as the XDG base directory specification has them.
#pragma once

#include <sys/types.h>

#include <string>

namespace hull {

// Images, writable layers, records: $XDG_DATA_HOME/hull, else ~/.local/share/hull.
std::string StoreRootOf(uid_t user);
// Running sandboxes: $XDG_RUNTIME_DIR/hull, else /run/user/UID/hull.
std::string RunRootOf(uid_t user);

}  // namespace hull
