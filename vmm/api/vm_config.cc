#include "vmm/api/vm_config.h"

#include <algorithm>
#include <set>

#include "vmm/api/json_object.h"

namespace hull::api {
namespace {

constexpr LengthRange kPathLength = {1, kMaxPathBytes};
constexpr size_t kMaxPciAddressBytes = 16;  // domains have up to eight digits

bool IsIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

std::string ReadId(JsonObject& object, std::string_view name, size_t most) {
  std::string id = object.String(name, {1, most});
  if (!std::all_of(id.begin(), id.end(), IsIdCharacter)) {
    object.AddError(name, "may have only letters, digits, '_', '.' and '-'");
  }
  return id;
}

KernelConfig ReadKernel(JsonObject object) {
  KernelConfig kernel;
  kernel.path = object.String("path", kPathLength);
  kernel.command_line = object.StringOr("command_line", {0, kMaxCommandLineBytes}, "");
  // A line break would end nothing and hide much in the guest's log.
  if (kernel.command_line.find_first_of("\r\n") != std::string::npos) {
    object.AddError("command_line", "contains a line break");
  }
  object.Finish();
  return kernel;
}

std::vector<PartitionConfig> ReadPartitions(JsonObject& device) {
  std::vector<PartitionConfig> partitions;
  for (JsonObject& object : device.Objects("partitions", {1, kMaxPartitions})) {
    partitions.push_back({.name = object.String("name", {1, kMaxPartitionNameBytes}),
                          .path = object.String("path", kPathLength)});
    object.Finish();
  }
  return partitions;
}

// Exactly one of `path` and `partitions`.
template <typename Device>
void ReadBacking(JsonObject& object, Device& device) {
  if (object.Has("path") && object.Has("partitions")) {
    object.AddError("", "has both \"path\" and \"partitions\"");
  } else if (!object.Has("path") && !object.Has("partitions")) {
    object.AddError("", "has neither \"path\" nor \"partitions\"");
  }
  device.path = object.StringOr("path", kPathLength, "");
  device.partitions = ReadPartitions(object);
}

PmemConfig ReadPmem(JsonObject& object) {
  PmemConfig pmem;
  pmem.id = ReadId(object, "id", kMaxIdBytes);
  ReadBacking(object, pmem);
  object.Finish();
  return pmem;
}

BlockConfig ReadBlock(JsonObject& object) {
  BlockConfig block;
  block.id = ReadId(object, "id", kMaxIdBytes);
  ReadBacking(object, block);
  block.read_only = object.BoolOr("read_only", false);
  block.discard = object.BoolOr("discard", false);
  if (!block.partitions.empty() && !block.read_only) {
    object.AddError("read_only", "must be true for a device with partitions");
  }
  if (block.read_only && block.discard) {
    object.AddError("discard", "makes no sense on a read-only device");
  }
  object.Finish();
  return block;
}

// "0000:01:00.0", as sysfs writes it: hexadecimal digits in lower case, a domain of four or more.
bool IsPciAddress(std::string_view text) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  constexpr std::string_view kBehindDomain = ":00:00.0";
  if (text.size() < 4 + kBehindDomain.size()) return false;
  const size_t domain_digits = text.size() - kBehindDomain.size();
  const std::string_view rest = text.substr(domain_digits);
  if (!std::ranges::all_of(text.substr(0, domain_digits), is_digit)) return false;
  for (size_t i = 0; i < rest.size(); ++i) {
    const bool fits = kBehindDomain[i] == '0' ? is_digit(rest[i]) : rest[i] == kBehindDomain[i];
    if (!fits) return false;
  }
  return rest.back() <= '7' && rest[4] <= '1';
}

VfioConfig ReadVfio(JsonObject& object) {
  VfioConfig vfio;
  vfio.id = ReadId(object, "id", kMaxIdBytes);
  vfio.device = object.String("device", {1, kMaxPciAddressBytes});
  if (!IsPciAddress(vfio.device)) {
    object.AddError("device", "is not a PCI address such as 0000:01:00.0");
  }
  object.Finish();
  return vfio;
}

VsockConfig ReadVsock(JsonObject object) {
  VsockConfig vsock;
  vsock.cid = object.Integer("cid", {kMinGuestCid, kMaxGuestCid});
  vsock.path = object.String("path", {1, kMaxVsockPathBytes});
  if (object.Has("power_button_port")) {
    vsock.power_button_port = object.Integer("power_button_port", {1, kMaxPort});
  }
  object.Finish();
  return vsock;
}

ConsoleConfig ReadConsole(JsonObject object) {
  ConsoleConfig console;
  console.log = object.StringOr("log", kPathLength, "");
  console.early = object.BoolOr("early", false);
  object.Finish();
  return console;
}

uint64_t ReadMemory(JsonObject& document) {
  const uint64_t bytes = document.Integer("memory_bytes", {kMinMemoryBytes, kMaxMemoryBytes});
  if (bytes % kMemoryGranuleBytes != 0) {
    document.AddError("memory_bytes",
                      fmt::format("{} is not a multiple of {}", bytes, kMemoryGranuleBytes));
  }
  return bytes;
}

uint64_t ReadDmaPool(JsonObject& document, const VmConfig& config) {
  constexpr std::string_view kName = "dma_pool_bytes";
  if (!document.Has(kName)) return 0;
  const uint64_t bytes = document.Integer(kName, {kMinDmaPoolBytes, kMaxDmaPoolBytes});
  if (config.vfio.empty()) document.AddError(kName, "is for vfio devices, of which there are none");
  if (bytes % kDmaPoolGranuleBytes != 0) {
    document.AddError(kName,
                      fmt::format("{} is not a multiple of {}", bytes, kDmaPoolGranuleBytes));
  }
  if (bytes > config.memory_bytes / 2) {
    document.AddError(
        kName, fmt::format("{} is more than half of the memory, {}", bytes, config.memory_bytes));
  }
  return bytes;
}

// Devices are told apart by id, in counters and messages: one name space for all of them.
void CheckIdsAreUnique(const VmConfig& config, JsonErrors& errors) {
  std::set<std::string_view> seen;
  const auto check = [&](std::string_view kind, const auto& devices) {
    for (size_t i = 0; i < devices.size(); ++i) {
      if (!seen.insert(devices[i].id).second) {
        errors.Add(fmt::format("{}[{}].id", kind, i),
                   fmt::format("\"{}\" is the id of another device", devices[i].id));
      }
    }
  };
  check("pmem", config.pmem);
  check("block", config.block);
  check("vfio", config.vfio);
  std::set<std::string_view> addresses;
  for (size_t i = 0; i < config.vfio.size(); ++i) {
    if (!addresses.insert(config.vfio[i].device).second) {
      errors.Add(fmt::format("vfio[{}].device", i), "is there twice");
    }
  }
}

}  // namespace

Result<VmConfig> ParseVmConfig(std::string_view text) {
  HULL_ASSIGN(const boost::json::value value,
              ParseJson(text, {.size_bytes = kMaxConfigBytes, .depth = kMaxConfigDepth}));
  JsonErrors errors;
  JsonObject document(value, "", errors);
  VmConfig config;
  document.Integer("version", {kConfigVersion, kConfigVersion});
  config.name = ReadId(document, "name", kMaxNameBytes);
  config.cpus = static_cast<uint32_t>(document.Integer("cpus", {1, kMaxCpus}));
  config.memory_bytes = ReadMemory(document);
  config.kernel = ReadKernel(document.Object("kernel"));
  for (JsonObject& object : document.Objects("pmem", {0, kMaxPmemDevices})) {
    config.pmem.push_back(ReadPmem(object));
  }
  for (JsonObject& object : document.Objects("block", {0, kMaxBlockDevices})) {
    config.block.push_back(ReadBlock(object));
  }
  for (JsonObject& object : document.Objects("vfio", {0, kMaxVfioDevices})) {
    config.vfio.push_back(ReadVfio(object));
  }
  if (auto vsock = document.OptionalObject("vsock")) config.vsock = ReadVsock(*vsock);
  if (auto console = document.OptionalObject("console")) config.console = ReadConsole(*console);
  if (auto control = document.OptionalObject("control")) {
    config.control = ControlConfig{control->String("path", {1, kMaxSocketPathBytes})};
    control->Finish();
  }
  config.free_page_reporting = document.BoolOr("free_page_reporting", false);
  config.dma_pool_bytes = ReadDmaPool(document, config);
  if (config.free_page_reporting && !config.vfio.empty() && config.dma_pool_bytes == 0) {
    errors.Add("free_page_reporting",
               "cannot be with vfio devices, for which all memory is pinned, unless they have "
               "\"dma_pool_bytes\"");
  }
  document.Finish();
  CheckIdsAreUnique(config, errors);
  HULL_TRY(errors.Check());
  return config;
}

}  // namespace hull::api
