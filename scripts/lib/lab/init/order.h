// The order: what the host asks this lab to be and to run.
//
// On the wire: a 32-bit little-endian length, then "key=value" records, each ended by a NUL. The
// host's side is scripts/lib/lab/order.py; the two lists of keys must agree.
#ifndef HULL_SCRIPTS_LAB_INIT_ORDER_H_
#define HULL_SCRIPTS_LAB_INIT_ORDER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lab {

struct Order {
  std::vector<std::string> arguments;    // arg=: the command, not empty
  std::vector<std::string> environment;  // env=NAME=VALUE
  std::vector<std::string>
      keep;                     // keep=PATH: stays visible although a tmpfs covers what is above it
  std::string directory = "/";  // cwd=
  std::string out;              // out=PATH: where the writable share is mounted; empty for none
  std::string store;            // store=PATH: read-only lower layer of /var/lib/hull
  std::string modules;          // modules=PATH: the directory that becomes /lib/modules
  bool terminal = false;        // tty=1
  bool coldplug = false;        // coldplug=1: load drivers for the PCI devices present
  unsigned rows = 0;            // rows=, columns=: the terminal's size, 0 if unknown
  unsigned columns = 0;
  int64_t time_ns = 0;  // time=: of the host, since 1970; 0 to leave the clock alone
  std::string seed;     // seed=: hexadecimal digits for the kernel's random numbers
};

// Parses records as they come off the wire. Unknown keys end the lab: host and init are always
// built together.
Order ParseOrder(std::string_view records);

}  // namespace lab

#endif  // HULL_SCRIPTS_LAB_INIT_ORDER_H_
