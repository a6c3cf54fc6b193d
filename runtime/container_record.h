// What is known of a container: the one document that every command reads, `container.json` in the
// container's directory (ARCHITECTURE.md, "Containers on the host"). Readable by jq.
//
// Written whole and atomically by hull alone, so trusted; but a newer hull may have written it, or
// a disk may have failed, so it is checked when it is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "runtime/device_layout.h"
#include "vmm/base/result.h"

namespace hull {

// 3: devices. Records of version 2 are read as having none.
inline constexpr uint64_t kContainerRecordVersion = 3;
inline constexpr uint64_t kOldestContainerRecordVersion = 2;

// Docker's words for them are the same, in small letters.
enum class ContainerStatus { kCreated, kRunning, kPaused, kExited };

std::string_view ContainerStatusName(ContainerStatus status);

enum class StorageKind { kDisk, kTmpfs };

struct StorageOptions {
  StorageKind kind = StorageKind::kDisk;
  uint64_t size_bytes = 0;  // 0: the default of its kind

  bool operator==(const StorageOptions&) const = default;
};

struct LogOptions {
  uint64_t max_bytes = 10ULL << 20;  // of one file
  uint32_t max_files = 3;            // with the one being written; at least 1
  bool disabled = false;             // --log-driver none

  bool operator==(const LogOptions&) const = default;
};

// What its virtual machine is made of.
struct MachineOptions {
  uint32_t cpus = 1;
  uint64_t memory_bytes = 0;
  StorageOptions storage;
  LayerTransport layer_transport = LayerTransport::kAutomatic;
  // File names in the store's directory of layers, lowest first. What is named here is in use.
  std::vector<std::string> layer_files;
  // The guest's kernel talks.
  bool debug = false;

  bool operator==(const MachineOptions&) const = default;
};

// Annotation that names kernel modules, separated by commas.
inline constexpr std::string_view kModulesAnnotation = "hull.modules";
// And that says how much of the machine's memory its devices are to reach.
inline constexpr std::string_view kDmaPoolAnnotation = "hull.dma-pool";

// Devices of the host's that were asked for, as the user wrote them: what they are is found at each
// start, for devices move.
struct DeviceOptions {
  std::vector<std::string> devices = {};  // of each --device
  std::vector<std::string> gpus = {};     // of each --gpus
  // Kernel modules out of the container's own root that are loaded for them (kModulesAnnotation).
  std::vector<std::string> modules = {};
  // All that they reach of the machine's memory (kDmaPoolAnnotation); 0: all of it.
  uint64_t dma_pool_bytes = 0;

  bool Any() const { return !devices.empty() || !gpus.empty(); }
  bool operator==(const DeviceOptions&) const = default;
};

// A PCI function of the host's that the container has, or had when it last ran.
struct PassedFunction {
  std::string address;  // on the host: "0000:01:00.0"
  uint32_t iommu_group = 0;
  uint16_t vendor = 0;
  uint16_t device = 0;
  std::string guest_address;  // on the guest's bus: "0000:00:01.0"
  // As the guest told, made fit for a terminal; empty until it has.
  std::string driver;
  std::vector<std::string> nodes;       // "/dev/nvme0n1"
  std::vector<std::string> interfaces;  // "eth0"
  // Transactions that the host's IOMMU refused since this start, as far as its kernel told of them
  // (devices/iommu_faults.h); absent: its log could not be read.
  std::optional<uint64_t> iommu_faults;

  bool operator==(const PassedFunction&) const = default;
};

// What the first process needs beside config.json.
struct ProcessOptions {
  bool interactive = false;  // its standard input stays open (-i)
  bool terminal = false;     // -t
  std::string user;          // "name|uid[:group|gid]"; empty: root
  std::vector<std::string> additional_groups;
  // Entry point and arguments as they will run.
  std::vector<std::string> command;
  // A name ("SIGTERM") or number; empty: SIGTERM.
  std::string stop_signal;
  // Seconds between the stop signal and SIGKILL; absent: 10. -1: for ever.
  std::optional<int64_t> stop_timeout_s;

  bool operator==(const ProcessOptions&) const = default;
};

// Where it is in its life.
struct ContainerState {
  ContainerStatus status = ContainerStatus::kCreated;
  // CLOCK_REALTIME nanoseconds; 0: not yet.
  int64_t started_at_ns = 0;
  int64_t finished_at_ns = 0;
  // Docker's; absent until it has ended once. Of the last run while it runs again.
  std::optional<int> exit_code;
  bool out_of_memory = false;
  // Why hull could not run it to its end; empty when its own process ended it.
  std::string error;
  // How often it has been started.
  uint64_t starts = 0;

  bool operator==(const ContainerState&) const = default;
};

struct ContainerRecord {
  std::string id;
  std::string name;
  std::string image;     // as the user named it
  std::string image_id;  // "sha256:..."
  int64_t created_at_ns = 0;
  // Nothing of it is to stay when it has ended (--rm).
  bool remove_at_exit = false;
  ProcessOptions process;
  MachineOptions machine;
  DeviceOptions devices;
  // Written before its machine is started: while its run directory is locked, these are its own.
  std::vector<PassedFunction> passed;
  LogOptions log;
  std::vector<std::string> labels;  // "name=value", sorted, one for each name
  // All that was asked for, in the shape of docker's inspect: {"Config":{...},"HostConfig":{...}}.
  // For people alone: nothing is started from it.
  boost::json::object shown;
  ContainerState state;
};

std::string WriteContainerRecord(const ContainerRecord& record);

// kCorrupt: not such a document; kUnsupported: of a newer version.
Result<ContainerRecord> ParseContainerRecord(std::string_view text);

// CLOCK_REALTIME.
int64_t NowNs();

}  // namespace hull
