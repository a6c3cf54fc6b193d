// What PID 1 does once, before anything else: mounts, control groups, limits, kernel settings,
// loopback.
#pragma once

namespace hull::agent {

// Sets the guest's system up. Nothing here is fatal: what fails is logged, and the containers that
// need it fail with their own errors.
void SetUpSystem();

// Limits that containers inherit unless their configuration says otherwise: those of a docker host.
void SetUpLimits();

}  // namespace hull::agent
