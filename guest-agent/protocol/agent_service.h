// The names and numbers of the agent's protocol that protobuf's lite messages do not carry
// (agent.proto).
#pragma once

#include <cstdint>
#include <string_view>

namespace hull::agent {

inline constexpr std::string_view kServiceName = "hull.agent.v1.Agent";
inline constexpr uint32_t kProtocolVersion = 1;

// vsock ports; see the head of agent.proto. kAgentPort is both where the agent listens and where it
// dials the host when it is ready.
inline constexpr uint32_t kAgentPort = 1024;
inline constexpr uint32_t kStreamPort = 1025;
inline constexpr uint32_t kPowerButtonPort = 1026;

// Where the guest's root has a small static init (tini): an OCI configuration binds it into the
// container, which then runs `/sbin/docker-init -- COMMAND...` (docker's --init).
inline constexpr std::string_view kInitProgramPath = "/usr/lib/hull/init";

}  // namespace hull::agent
