// Text from a guest, an image or a peer, made fit for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace hull {

// Control characters other than tab become \xNN, so that quoted text cannot move a cursor, change a
// title or forge a line. Bytes of 0x80 and above are left: they may be UTF-8.
std::string EscapeControl(std::string_view text);

}  // namespace hull
