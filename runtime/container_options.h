// What the user asked for (flags) and what the image brings, before they are put together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hull {

// The part of an image's configuration that says how its containers run.
struct ImageProcess {
  std::vector<std::string> entrypoint = {};
  std::vector<std::string> command = {};
  std::vector<std::string> environment = {};  // "NAME=value"
  std::string working_directory = {};
  std::string user = {};  // "name|uid[:group|gid]"
  std::string stop_signal = {};
};

struct ContainerOptions {
  // Keep the container's standard input open (-i).
  bool interactive = false;
  // A terminal instead of three streams (-t).
  bool terminal = false;
  bool read_only_root = false;
  bool remove_at_exit = false;
  std::string name = {};      // empty: made from the id
  std::string hostname = {};  // empty: the first 12 characters of the id
  // "NAME=value", or "NAME" to take the variable away.
  std::vector<std::string> environment = {};
  std::optional<std::string> entrypoint = {};
  std::vector<std::string> command = {};
  std::optional<std::string> working_directory = {};
  std::optional<std::string> user = {};
  // Billionths of a CPU, as docker counts them; absent: no limit but the number of vCPUs.
  std::optional<uint64_t> nano_cpus = {};
  // CPUs that the virtual machine shows; absent: nano_cpus rounded up, or one.
  std::optional<uint64_t> virtual_cpus = {};
  // Limit for the container's memory; absent: what the VM has.
  std::optional<uint64_t> memory_bytes = {};
};

}  // namespace hull
