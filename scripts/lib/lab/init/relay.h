// Runs the one command of this lab and carries its streams to and from the host.
//
// Two kinds of way to the host:
//   ports   four virtio-serial ports (QEMU): control, input, output, error; the last two carry
//   plain bytes serial  one serial line (Bochs): frames of one tag byte ('O', 'E' or 'C'), a 32-bit
//   little-endian length, data;
//           nothing comes back
// Control lines to the host: "ready", "started", "exit STATUS OUTPUT-BYTES ERROR-BYTES", "error
// TEXT". Control lines from the host: "signal NUMBER" (to the command's process group), "size ROWS
// COLUMNS". The input port carries frames of a 32-bit little-endian length and data; length 0 is
// end of file.
#ifndef HULL_SCRIPTS_LAB_INIT_RELAY_H_
#define HULL_SCRIPTS_LAB_INIT_RELAY_H_

#include <string>
#include <string_view>

#include "order.h"

namespace lab {

struct Channels {
  int control = -1;
  int input = -1;
  int output = -1;
  int error = -1;
  bool framed = false;  // serial: all but `input` are the same descriptor
};

// Opens the virtio-serial ports by name; waits for the host's side of each. Ends the lab if one
// does not come.
Channels OpenPorts();

// Opens the serial line `path` in raw mode.
Channels OpenSerial(const char* path);

// Sends one control line, without its newline.
void SendControl(const Channels& channels, const std::string& line);

// Blocks until the host has sent the order, and returns its records.
std::string ReceiveOrder(const Channels& channels);

// Runs the command to its end and sends the "exit" line: the exit status is 0 to 255, 128+n for
// signal n, 127 for a command that does not exist, 126 for one that cannot be run.
void RunCommand(const Order& order, const Channels& channels);

}  // namespace lab

#endif  // HULL_SCRIPTS_LAB_INIT_RELAY_H_
