#include "runtime/device_layout.h"

namespace hull {
namespace {

constexpr char kFirstDisk = 'a';

bool UsePmem(const std::vector<LayerFile>& layers, uint64_t memory_bytes,
             LayerTransport transport) {
  if (transport != LayerTransport::kAutomatic) return transport == LayerTransport::kPmem;
  const uint64_t most = memory_bytes * kPmemBytesPerMemoryByte;
  uint64_t total = 0;
  for (const LayerFile& layer : layers) {
    if (layer.size_bytes > most || total > most - layer.size_bytes) return false;
    total += layer.size_bytes;
  }
  return true;
}

// One layer is the device itself; several are its partitions.
template <typename Device>
void SetFiles(Device& device, const std::vector<LayerFile>& layers) {
  if (layers.size() == 1) {
    device.path = layers.front().path;
    return;
  }
  for (const LayerFile& layer : layers) {
    device.partitions.push_back({layer.name, layer.path});
  }
}

std::vector<LayerDevice> LayerDevices(const std::string& device, std::string_view separator,
                                      size_t count, bool dax) {
  if (count == 1) return {{device, dax}};
  std::vector<LayerDevice> devices;
  devices.reserve(count);
  for (size_t i = 1; i <= count; ++i)
    devices.push_back({fmt::format("{}{}{}", device, separator, i), dax});
  return devices;
}

}  // namespace

Result<DeviceLayout> MakeDeviceLayout(const std::string& guest_root,
                                      const std::vector<LayerFile>& layers,
                                      const std::string& scratch_path, uint64_t memory_bytes,
                                      LayerTransport transport,
                                      const std::vector<LayerFile>& attachments) {
  if (layers.empty()) return Fail(ErrorCode::kInvalidArgument, "the image has no layers");
  if (layers.size() + attachments.size() > api::kMaxPartitions) {
    return Fail(ErrorCode::kInvalidArgument,
                "the image has {} layers; a virtual machine shows at most {}", layers.size(),
                api::kMaxPartitions - attachments.size());
  }
  std::vector<LayerFile> files = layers;
  files.insert(files.end(), attachments.begin(), attachments.end());
  DeviceLayout layout;
  api::PmemConfig root;
  root.id = "root";
  root.path = guest_root;
  layout.pmem.push_back(std::move(root));
  if (UsePmem(files, memory_bytes, transport)) {
    api::PmemConfig device;
    device.id = "layers";
    SetFiles(device, files);
    layout.pmem.push_back(std::move(device));
    layout.layers = LayerDevices("/dev/pmem1", "p", files.size(), true);
  } else {
    api::BlockConfig device;
    device.id = "layers";
    device.read_only = true;
    SetFiles(device, files);
    layout.block.push_back(std::move(device));
    layout.layers = LayerDevices("/dev/vda", "", files.size(), false);
  }
  layout.attachments.assign(layout.layers.begin() + static_cast<ptrdiff_t>(layers.size()),
                            layout.layers.end());
  layout.layers.resize(layers.size());
  if (!scratch_path.empty()) {
    const auto letter = static_cast<char>(kFirstDisk + layout.block.size());
    layout.scratch_device = fmt::format("/dev/vd{}", letter);
    api::BlockConfig device;
    device.id = "scratch";
    device.path = scratch_path;
    device.discard = true;
    layout.block.push_back(std::move(device));
  }
  return layout;
}

}  // namespace hull
