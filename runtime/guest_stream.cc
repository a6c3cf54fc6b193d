#include "runtime/guest_stream.h"

#include <utility>

#include "guest-agent/protocol/agent_service.h"
#include "guest-agent/protocol/stream_frame.h"
#include "vmm/base/escape.h"

namespace hull {
namespace {

constexpr int kDialTimeoutMs = 60'000;

}  // namespace

Result<UniqueFd> OpenGuestStream(UniqueFd socket, const agent::v1::StreamOpen& open) {
  HULL_TRY(agent::SendStreamFrame(socket.get(), open));
  agent::v1::StreamOpened opened;
  HULL_TRY(agent::ReceiveStreamFrame(socket.get(), opened));
  if (!opened.error().empty()) {
    return Fail(ErrorCode::kFailed, "{}", EscapeControl(opened.error()));
  }
  return socket;
}

Result<UniqueFd> DialGuestStream(const Containers& containers, const agent::v1::StreamOpen& open) {
  HULL_ASSIGN(UniqueFd socket,
              containers.DialGuest(open.container_id(), agent::kStreamPort, kDialTimeoutMs));
  return OpenGuestStream(std::move(socket), open);
}

}  // namespace hull
