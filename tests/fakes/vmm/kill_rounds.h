// What holds whenever hull's processes are killed, on fake-hull-vmm.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/fakes/vmm/hull_on_fake.h"

namespace hull {

class KillRounds : public HullOnFake {
 protected:
  struct Process {
    pid_t pid;
    std::string name;
  };
  // Of hull's processes that run now.
  std::vector<Process> Processes() const;

  // A container r1 that runs and c1 that has ended.
  void Prepare() const;

  // `hull ps` against the processes that serve containers; then everything is removed, and nothing
  // may be left.
  void ExpectTheTruthAndNothingLeft() const;

 private:
  std::string Lies() const;
  std::string LastingLies() const;
};

}  // namespace hull
