#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "vmm/api/vm_config.h"

namespace hull::api {
namespace {

boost::json::array WritePartitions(const std::vector<PartitionConfig>& partitions) {
  boost::json::array array;
  for (const PartitionConfig& partition : partitions) {
    array.push_back(boost::json::object{{"name", partition.name}, {"path", partition.path}});
  }
  return array;
}

template <typename Device>
boost::json::object WriteBacking(const Device& device) {
  boost::json::object object{{"id", device.id}};
  if (device.partitions.empty()) {
    object["path"] = device.path;
  } else {
    object["partitions"] = WritePartitions(device.partitions);
  }
  return object;
}

void AddDevices(const VmConfig& config, boost::json::object& document) {
  if (!config.pmem.empty()) {
    boost::json::array pmem;
    for (const PmemConfig& device : config.pmem) pmem.push_back(WriteBacking(device));
    document["pmem"] = std::move(pmem);
  }
  if (!config.block.empty()) {
    boost::json::array block;
    for (const BlockConfig& device : config.block) {
      boost::json::object object = WriteBacking(device);
      object["read_only"] = device.read_only;
      object["discard"] = device.discard;
      block.push_back(std::move(object));
    }
    document["block"] = std::move(block);
  }
  if (!config.vfio.empty()) {
    boost::json::array vfio;
    for (const VfioConfig& device : config.vfio) {
      vfio.push_back(boost::json::object{{"id", device.id}, {"device", device.device}});
    }
    document["vfio"] = std::move(vfio);
  }
  if (config.vsock) {
    boost::json::object vsock{{"cid", config.vsock->cid}, {"path", config.vsock->path}};
    if (config.vsock->power_button_port) {
      vsock["power_button_port"] = *config.vsock->power_button_port;
    }
    document["vsock"] = std::move(vsock);
  }
}

}  // namespace

std::string WriteVmConfig(const VmConfig& config) {
  boost::json::object document{
      {"version", kConfigVersion},
      {"name", config.name},
      {"cpus", config.cpus},
      {"memory_bytes", config.memory_bytes},
      {"kernel", {{"path", config.kernel.path}, {"command_line", config.kernel.command_line}}}};
  AddDevices(config, document);
  if (config.dma_pool_bytes != 0) document["dma_pool_bytes"] = config.dma_pool_bytes;
  if (config.free_page_reporting) document["free_page_reporting"] = true;
  boost::json::object console;
  if (!config.console.log.empty()) console["log"] = config.console.log;
  if (config.console.early) console["early"] = true;
  if (!console.empty()) document["console"] = std::move(console);
  if (config.control) document["control"] = boost::json::object{{"path", config.control->path}};
  return boost::json::serialize(document);
}

}  // namespace hull::api
