#include "guest-agent/rootfs.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/base/escape.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {
namespace {

// The kernel's OVL_MAX_STACK.
constexpr int kMaxLayers = 500;
// For a container without a writable layer: only mount points are made there, before it becomes
// read-only.
constexpr std::string_view kMountPointsBytes = "1048576";

std::string LayerDirectory(const std::string& directory, size_t index) {
  return fmt::format("{}/layer{}", directory, index);
}

// The kernel tells why it refused a mount in the context's log.
std::string ContextLog(int context) {
  char bytes[1024];
  const ssize_t size = ::read(context, bytes, sizeof(bytes));
  if (size <= 2) return {};
  std::string text(bytes + 2, static_cast<size_t>(size) - 2);  // "e " in front
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return " (" + EscapeControl(text) + ")";
}

// Mounts file system `type` with `options` on `target`. A "source" is an option like others.
Status MountWith(const std::string& type, const std::vector<MountOption>& options,
                 unsigned int attributes, const std::string& target) {
  const UniqueFd context(::fsopen(type.c_str(), FSOPEN_CLOEXEC));
  if (!context.valid()) return FailErrno("file system {}", type);
  for (const auto& [key, value] : options) {
    const int failed =
        value.empty()
            ? ::fsconfig(context.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
            : ::fsconfig(context.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0);
    if (failed != 0) {
      const int error_number = errno;
      return Fail(Error::FromErrno(error_number, fmt::format("{}: option {}={}{}", type, key, value,
                                                             ContextLog(context.get()))));
    }
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    const int error_number = errno;
    return Fail(
        Error::FromErrno(error_number, fmt::format("mount {}{}", type, ContextLog(context.get()))));
  }
  const UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, attributes));
  if (!mount.valid()) return FailErrno("mount {}", type);
  if (::move_mount(mount.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return FailErrno("mount {} on {}", type, target);
  }
  return {};
}

Status MakeDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return FailErrno("make {}", path);
  return {};
}

Status MountLayers(const v1::RootFilesystem& rootfs, const std::string& directory) {
  for (int i = 0; i < rootfs.layers_size(); ++i) {
    const v1::Layer& layer = rootfs.layers(i);
    HULL_TRY_WITHIN("layer " + layer.device(),
                    MountLayer(layer, LayerDirectory(directory, static_cast<size_t>(i)), 0));
  }
  return {};
}

Status MountWritable(const v1::RootFilesystem& rootfs, const std::string& target) {
  HULL_TRY(MakeDirectory(target));
  if (rootfs.has_disk()) {
    // discard: what a container deletes is given back to the host. noinit_itable: no thread that
    // fills tables which a fresh disk reads as zeros anyway.
    HULL_TRY_WITHIN(
        "writable layer " + rootfs.disk().device(),
        MountWith("ext4",
                  {{"source", rootfs.disk().device()}, {"discard", ""}, {"noinit_itable", ""}},
                  MOUNT_ATTR_NOATIME, target));
  } else {
    std::vector<MountOption> options = {{"source", "hull"}, {"mode", "0755"}};
    if (!rootfs.has_tmpfs()) {
      options.emplace_back("size", kMountPointsBytes);
    } else if (rootfs.tmpfs().size_bytes() > 0) {
      options.emplace_back("size", std::to_string(rootfs.tmpfs().size_bytes()));
    }
    HULL_TRY_WITHIN("writable layer", MountWith("tmpfs", options, 0, target));
  }
  HULL_TRY(MakeDirectory(target + "/upper"));
  return MakeDirectory(target + "/work");
}

std::vector<std::string> LayerDirectories(const v1::RootFilesystem& rootfs,
                                          const std::string& directory) {
  std::vector<std::string> layers;
  for (int i = 0; i < rootfs.layers_size(); ++i)
    layers.push_back(LayerDirectory(directory, static_cast<size_t>(i)));
  return layers;
}

Status MountAll(const v1::RootFilesystem& rootfs, const std::string& directory) {
  const std::string writable = directory + "/rw";
  HULL_TRY(MountLayers(rootfs, directory));
  HULL_TRY(MountWritable(rootfs, writable));
  const std::vector<std::string> layers = LayerDirectories(rootfs, directory);
  const std::string target = directory + "/rootfs";
  HULL_TRY(MakeDirectory(target));
  HULL_TRY(MountWith("overlay",
                     OverlayOptions(VisibleLayers(layers), writable + "/upper", writable + "/work"),
                     0, target));
  // The overlay holds its own references: fewer mounts are fewer to copy into each container.
  for (const std::string& layer : layers) {
    ::umount2(layer.c_str(), MNT_DETACH);
    ::rmdir(layer.c_str());
  }
  return {};
}

}  // namespace

std::vector<std::string> VisibleLayers(const std::vector<std::string>& layers) {
  size_t first = layers.size();
  while (first > 0) {
    --first;
    char value = 0;
    if (::lgetxattr(layers[first].c_str(), "trusted.overlay.opaque", &value, 1) == 1 &&
        value == 'y') {
      break;
    }
  }
  return {layers.begin() + static_cast<ptrdiff_t>(first), layers.end()};
}

std::vector<MountOption> OverlayOptions(const std::vector<std::string>& layers,
                                        const std::string& upper, const std::string& work) {
  // Everything that would make the overlay trust, or leave behind, more than whiteouts and opaque
  // directories is off: an image's own trusted.overlay attributes must not redirect anything.
  std::vector<MountOption> options = {{"source", "overlay"},
                                      {"index", "off"},
                                      {"xino", "off"},
                                      {"metacopy", "off"},
                                      {"redirect_dir", "nofollow"}};
  // One option each, topmost first: no limit of a page for all names together.
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    options.emplace_back("lowerdir+", *layer);
  }
  options.emplace_back("upperdir", upper);
  options.emplace_back("workdir", work);
  return options;
}

Status ValidateDevice(const std::string& field, const std::string& device) {
  if (!device.starts_with("/dev/") || device.size() > 255 ||
      device.find("..") != std::string::npos || device.find('\0') != std::string::npos) {
    return Fail(ErrorCode::kInvalidArgument, "{}: '{}' is not a device node", field,
                EscapeControl(device));
  }
  return {};
}

Status ValidateRootFilesystem(const v1::RootFilesystem& rootfs) {
  if (rootfs.layers_size() < 1 || rootfs.layers_size() > kMaxLayers) {
    return Fail(ErrorCode::kInvalidArgument, "rootfs.layers: {} layers; 1 to {} are possible",
                rootfs.layers_size(), kMaxLayers);
  }
  for (int i = 0; i < rootfs.layers_size(); ++i) {
    HULL_TRY(ValidateDevice(fmt::format("rootfs.layers[{}].device", i), rootfs.layers(i).device()));
  }
  if (rootfs.has_disk()) HULL_TRY(ValidateDevice("rootfs.disk.device", rootfs.disk().device()));
  return {};
}

std::vector<std::string> MissingDevices(const v1::RootFilesystem& rootfs) {
  std::vector<std::string> missing;
  const auto check = [&](const std::string& device) {
    if (::access(device.c_str(), F_OK) != 0) missing.push_back(device);
  };
  for (const v1::Layer& layer : rootfs.layers()) check(layer.device());
  if (rootfs.has_disk()) check(rootfs.disk().device());
  return missing;
}

Status MountLayer(const v1::Layer& layer, const std::string& target, unsigned int attributes) {
  HULL_TRY(MakeDirectory(target));
  // "ro" is the file system's, so that its device may be read-only; the attribute below is the
  // mount's.
  std::vector<MountOption> options = {{"source", layer.device()}, {"ro", ""}};
  if (layer.dax()) options.emplace_back("dax", "always");
  return MountWith("erofs", options, MOUNT_ATTR_RDONLY | attributes, target);
}

Status MountRootFilesystem(const v1::RootFilesystem& rootfs, const std::string& directory) {
  Status mounted = MountAll(rootfs, directory);
  if (!mounted) {
    UnmountRootFilesystem(directory);
    for (int i = 0; i < rootfs.layers_size(); ++i) {
      const std::string layer = LayerDirectory(directory, static_cast<size_t>(i));
      ::umount2(layer.c_str(), MNT_DETACH);
      ::rmdir(layer.c_str());
    }
  }
  return mounted;
}

Status MountLayersOnly(const v1::RootFilesystem& rootfs, const std::string& directory) {
  // Somewhere to make directories, seen by nobody else.
  HULL_TRY(MountWith("tmpfs", {{"source", "hull"}, {"mode", "0700"}}, 0, directory));
  const std::string target = directory + "/lower";
  HULL_TRY(MakeDirectory(target));
  HULL_TRY(MountLayers(rootfs, directory));
  const std::vector<std::string> layers = VisibleLayers(LayerDirectories(rootfs, directory));
  if (layers.size() == 1) {
    // An overlay needs two layers, or a writable one.
    if (::mount(layers.front().c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0)
      return FailErrno("bind the layer");
    return {};
  }
  std::vector<MountOption> options = {{"source", "overlay"}, {"xino", "off"}};
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer)
    options.emplace_back("lowerdir+", *layer);
  return MountWith("overlay", options, MOUNT_ATTR_RDONLY, target);
}

void UnmountRootFilesystem(const std::string& directory) {
  ::umount2((directory + "/rootfs").c_str(), MNT_DETACH);
  ::umount2((directory + "/rw").c_str(), MNT_DETACH);
}

}  // namespace hull::agent
