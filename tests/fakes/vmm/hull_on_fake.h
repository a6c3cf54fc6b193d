// hull with fake-hull-vmm: a store with one image, a shell in which $HULL is hull. Every test
// leaves nothing behind, and that is checked.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace hull {

struct Ended {
  int exit_code = -1;
  std::string out;
  std::string err;
};

std::string Slurp(const std::filesystem::path& path);

class HullOnFake : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Runs a shell script in which $HULL is hull with its surroundings set; in its own directory,
  // where `run` and `store` are hull's and `files` is a container's root; `slay PID...` is kill -9
  // that waits for the end. `fault`: see fake_vmm.cc. 60 seconds at most.
  Ended Shell(const std::string& script, const std::string& fault = "") const;
  // hull run --rm --storage tmpfs ARGUMENTS
  Ended Run(const std::string& arguments, const std::string& fault = "") const;
  // What is left: run directories, containers, names, processes; one a line.
  std::string Leftovers() const;
  // The same after `limit_ms`, or as soon as there is nothing.
  std::string LeftAfter(int limit_ms) const;

  std::filesystem::path directory_;

 private:
  void MakeStore() const;
  std::string FilesLeft() const;
  std::string ProcessesLeft() const;
};

}  // namespace hull
