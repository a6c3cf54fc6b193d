// The lab's PID 1: prepares the emulated host, runs one command, and reports how it ended.
//
// /order in the initramfs, if there, is the order of a lab without shares whose streams go over the
// serial line. Otherwise the order comes from the host over a virtio-serial port.
#include <unistd.h>

#include "order.h"
#include "relay.h"
#include "support.h"
#include "system.h"

int main() {
  using namespace lab;
  MountEarly();
  LoadModules();
  const std::string own_order = ReadFile("/order");
  if (!own_order.empty()) {
    const Channels channels = OpenSerial("/dev/ttyS0");
    PrepareOwnRoot();
    const Order order = ParseOrder(own_order);
    Freshen(order);
    RunCommand(order, channels);
    PowerOff();
  }
  const Channels channels = OpenPorts();
  SetErrorChannel(channels.control);
  SendControl(channels, "ready");
  const Order order = ParseOrder(ReceiveOrder(channels));
  Freshen(order);
  EnterSharedRoot(order);
  RunCommand(order, channels);
  for (;;) pause();  // The host ends the machine once it has every byte.
}
