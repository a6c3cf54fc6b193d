// The records of containers and their processes. Containers (containers.h) alone changes them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "guest-agent/cgroup.h"
#include "guest-agent/devices/passed_devices.h"
#include "guest-agent/protocol/agent.pb.h"
#include "guest-agent/protocol/server.h"
#include "guest-agent/stdio.h"

namespace hull::agent {

// A container's first process (empty id), or one of Exec.
struct Process {
  std::string id;
  pid_t pid = 0;  // 0: crun is still making it
  std::unique_ptr<ProcessStdio> stdio;
  std::optional<v1::WaitResponse> exit;
  std::vector<ttrpc::Reply<v1::WaitResponse>> waiters;
  std::vector<std::function<void()>> on_end;  // called once, after the waiters
  bool detached = false;                      // forgotten when it has ended
};

struct Container {
  enum class State {
    kCreating,  // its root is being mounted, or crun is at work; nothing but Delete's refusal
    kCreated,   // the first process waits for Start
    kRunning,
    kPaused,
    kStopped,  // the first process has ended
    kDeleting,
    kMounted,  // only its root file system is there
  };

  std::string id;
  std::string directory;  // everything of this container, on a tmpfs
  State state = State::kCreating;
  // process of the configuration, its user resolved, its environment as it came: what Exec builds
  // on.
  boost::json::object base_process;
  std::string home;  // of the resolved user; empty when the configuration's user stands
  bool has_poststart_hooks = false;
  bool has_poststop_hooks = false;
  // For archives.
  v1::RootFilesystem rootfs_request;
  std::vector<std::string> mount_points;  // with a slash in front
  int standstills = 0;                    // archives that have it stand still
  Cgroup cgroup;
  std::unique_ptr<PassedDevices> devices;  // null: it has none, or has ended
  Brought brought;                         // by its modules, until `devices` has it
  Process init;
  std::map<std::string, std::shared_ptr<Process>> execs;
  uint64_t next_exec_number = 0;  // names its files

  std::string rootfs() const { return directory + "/rootfs"; }
  std::string firmware() const { return directory + "/firmware"; }
  bool alive() const {
    return state == State::kCreated || state == State::kRunning || state == State::kPaused;
  }
};

// What Containers and its parts answer when the state does not fit; docker's words for the states.
const char* StateName(Container::State state);

}  // namespace hull::agent
