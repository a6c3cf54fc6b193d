// A container's supervisor: the process that has its sandbox, from `hull start` or `hull run` to
// the container's end. Forked from the command without exec: hull is linked statically, and what
// both read they share.
//
// It holds the run directory (locked for as long as it lives), starts hull-vmm, tells the agent
// what to run, relays the streams, writes the log, answers clients (supervisor_protocol.h), records
// the end, cleans up, and is gone. Nothing of it depends on the command that started it.
#pragma once

#include "runtime/containers.h"
#include "runtime/phase_log.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

// Forks the supervisor of the container `id`, whose run directory is `run`. `client` is the
// supervisor's end of the first client's connection; what was said on it before is heard before the
// container starts. No thread may have been started in this process. `phases`: where the
// supervisor notes its own; with --debug it keeps this process's standard error.
Status StartSupervisor(const Containers& containers, const std::string& id, RunDirectory run,
                       UniqueFd client, const PhaseLog& phases);

}  // namespace hull
