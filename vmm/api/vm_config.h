// The VM configuration: the document that says what machine hull-vmm is to make. One half of the
// contract between hull and hull-vmm (the other is control.h); ARCHITECTURE.md shows an example.
//
// Paths are taken as they are, relative ones from hull-vmm's working directory. Sizes are bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull::api {

inline constexpr uint64_t kConfigVersion = 1;

// Limits of the contract. What is beyond them is refused when the document is read.
inline constexpr uint64_t kMaxCpus = 32;
inline constexpr uint64_t kMinMemoryBytes = 32ULL << 20U;
inline constexpr uint64_t kMaxMemoryBytes = 16ULL << 40U;
inline constexpr uint64_t kMemoryGranuleBytes = 4096;
inline constexpr size_t kMaxPmemDevices = 8;
inline constexpr size_t kMaxBlockDevices = 8;
inline constexpr size_t kMaxVfioDevices = 16;
// Of the memory that devices reach, if not all. Linux hands it out in segments of 256 KiB, and
// keeps 24 bytes for each 2 KiB in one piece of at most 4 MiB.
inline constexpr uint64_t kMinDmaPoolBytes = 2ULL << 20U;
inline constexpr uint64_t kMaxDmaPoolBytes = 256ULL << 20U;
inline constexpr uint64_t kDmaPoolGranuleBytes = 1ULL << 20U;
inline constexpr size_t kMaxPartitions = 255;
inline constexpr size_t kMaxPathBytes = 4095;
// sockaddr_un has room for 107 characters; a vsock's sockets add "_" and a port of up to ten
// digits.
inline constexpr size_t kMaxSocketPathBytes = 107;
inline constexpr size_t kMaxVsockPathBytes = kMaxSocketPathBytes - 11;
// Linux keeps 2,048 bytes of command line; the rest is for what the machine adds.
inline constexpr size_t kMaxCommandLineBytes = 1536;
inline constexpr size_t kMaxNameBytes = 128;
inline constexpr size_t kMaxIdBytes = 20;  // what a virtio-blk serial number can hold
inline constexpr size_t kMaxPartitionNameBytes = 128;
inline constexpr size_t kMaxConfigBytes = 1U << 20U;
inline constexpr size_t kMaxConfigDepth = 8;
inline constexpr uint64_t kMinGuestCid = 3;
inline constexpr uint64_t kMaxGuestCid = 0xffff'fffe;
inline constexpr uint64_t kMaxPort = 0xffff'fffe;

struct KernelConfig {
  std::string path;          // an uncompressed ELF vmlinux
  std::string command_line;  // the machine appends what it needs itself

  bool operator==(const KernelConfig&) const = default;
};

// One file of a device that shows several behind a partition table.
struct PartitionConfig {
  std::string name;  // a GPT keeps 36 characters of it
  std::string path;

  bool operator==(const PartitionConfig&) const = default;
};

// A read-only, file-backed range of device memory: either one file as it is, or partitions.
struct PmemConfig {
  std::string id;
  std::string path;
  std::vector<PartitionConfig> partitions;

  bool operator==(const PmemConfig&) const = default;
};

// A disk: either one file as it is, or (read-only) partitions.
struct BlockConfig {
  std::string id;
  std::string path;
  std::vector<PartitionConfig> partitions;
  bool read_only = false;
  bool discard = false;

  bool operator==(const BlockConfig&) const = default;
};

// A PCI device of the host's, bound to vfio-pci, that the guest gets.
struct VfioConfig {
  std::string id;
  std::string device;  // domain:bus:device.function, all digits: "0000:01:00.0"

  bool operator==(const VfioConfig&) const = default;
};

struct VsockConfig {
  uint64_t cid = 0;
  std::string path;
  // The guest's port that means "stop in order" when it is connected to.
  std::optional<uint64_t> power_button_port;

  bool operator==(const VsockConfig&) const = default;
};

struct ConsoleConfig {
  // A file that the guest's console is appended to, bounded in size; empty: none.
  std::string log;
  // A serial port at 0x3f8 that takes output only, for kernels that die before their console is
  // there (earlyprintk=serial,0x3f8). Each character is a VM exit: for debugging.
  bool early = false;

  bool operator==(const ConsoleConfig&) const = default;
};

struct ControlConfig {
  std::string path;

  bool operator==(const ControlConfig&) const = default;
};

struct VmConfig {
  std::string name;
  uint32_t cpus = 1;
  uint64_t memory_bytes = 0;
  KernelConfig kernel;
  std::vector<PmemConfig> pmem;
  std::vector<BlockConfig> block;
  std::vector<VfioConfig> vfio;
  // Devices of `vfio` reach so much of the guest's memory, through which it then copies what is for
  // them; 0: they reach all of it.
  uint64_t dma_pool_bytes = 0;
  // What the guest frees goes back to the host (virtio-balloon). With `vfio` only if there is a
  // pool for it.
  bool free_page_reporting = false;
  std::optional<VsockConfig> vsock;
  ConsoleConfig console;
  std::optional<ControlConfig> control;

  bool operator==(const VmConfig&) const = default;
};

// Reads and checks a whole document. Errors: kInvalidArgument, naming the path of the first field
// that is wrong. Nothing is opened: that the files exist is found when the machine is made.
Result<VmConfig> ParseVmConfig(std::string_view text);

// The document that ParseVmConfig reads back as the same configuration.
std::string WriteVmConfig(const VmConfig& config);

}  // namespace hull::api
