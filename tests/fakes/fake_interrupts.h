// FakeInterrupts: the guest's end of a device's interrupts, noted down.
#pragma once

#include <cstdint>
#include <map>

#include "vmm/vfio/interrupts.h"

namespace hull {

class FakeInterrupts final : public vfio::GuestInterrupts {
 public:
  Status ConnectLine(int event_fd, int /*resample_fd*/) override {
    line = event_fd;
    return {};
  }
  void DisconnectLine(int event_fd) override {
    if (line == event_fd) line = -1;
  }
  Result<MsiRoute> AllocateRoute() override { return MsiRoute{next_route++}; }
  Status SetRoute(MsiRoute route, const MsiMessage& message) override {
    if (message.address == refused_address) {
      routes.erase(route.number);
      return Fail(ErrorCode::kInvalidArgument, "no such processor");
    }
    routes[route.number] = message;
    return {};
  }
  Status ConnectMessage(int event_fd, MsiRoute route) override {
    connected[event_fd] = route.number;
    return {};
  }
  void DisconnectMessage(int event_fd, MsiRoute /*route*/) override { connected.erase(event_fd); }

  uint64_t refused_address = 0xbad0'0000;
  int line = -1;  // what raises it
  uint32_t next_route = 24;
  std::map<uint32_t, MsiMessage> routes;
  std::map<int, uint32_t> connected;  // eventfd to route
};

}  // namespace hull
