// Runs crun, and says in one Error what went wrong.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "guest-agent/reaper.h"
#include "guest-agent/spawn.h"
#include "vmm/base/result.h"

namespace hull::agent {

class Crun {
 public:
  // `binary`: the program. `root`: where it keeps its own records.
  Crun(Reaper& reaper, std::string binary, std::string root)
      : reaper_(reaper), binary_(std::move(binary)), root_(std::move(root)) {}

  using Done = std::function<void(Status)>;

  // Runs `crun [global options] arguments...` with `streams`. `log` is a file to make anew for its
  // errors; `command` is what the container is to run, for the error's text. `done` runs on the
  // loop when crun has ended:
  //   kNotFound, kPermissionDenied: the command does not exist, or cannot be executed;
  //   kFailed: anything else, in crun's words.
  void Run(const std::vector<std::string>& arguments, const SpawnStreams& streams,
           const std::string& log, const std::string& command, Done done);

  // Lets a created container run its command, without starting crun: crun's process in the
  // container waits for a byte in a FIFO of a known name. kNotFound when it is not there.
  Status WriteStartByte(const std::string& container_id) const;

  // Forgets a container that has ended.
  void RemoveRecords(const std::string& container_id) const;

 private:
  Reaper& reaper_;
  std::string binary_;
  std::string root_;
};

// The error behind what crun wrote to its log (lines of JSON) or to standard error (plain lines);
// the last line that is an error counts. `command`: argv[0] of what was to be run.
Error CrunError(std::string_view log, std::string_view command);

}  // namespace hull::agent
