#include "guest-agent/rootfs.h"

#include <gtest/gtest.h>
#include <sys/xattr.h>

#include <filesystem>

namespace hull::agent {
namespace {

v1::RootFilesystem WithLayers(int count) {
  v1::RootFilesystem rootfs;
  for (int i = 0; i < count; ++i)
    rootfs.add_layers()->set_device("/dev/pmem1p" + std::to_string(i));
  return rootfs;
}

std::string Joined(const std::vector<MountOption>& options) {
  std::string text;
  for (const auto& [key, value] : options) text += key + "=" + value + ",";
  return text;
}

TEST(RootfsTest, OverlayLayersAreGivenTopmostFirst) {
  const std::string options = Joined(OverlayOptions({"/l/0", "/l/1", "/l/2"}, "/rw/u", "/rw/w"));
  EXPECT_NE(
      options.find("lowerdir+=/l/2,lowerdir+=/l/1,lowerdir+=/l/0,upperdir=/rw/u,workdir=/rw/w,"),
      std::string::npos)
      << options;
}

TEST(RootfsTest, OverlayTrustsNothingOfAnImage) {
  const std::string options = Joined(OverlayOptions({"/l"}, "/u", "/w"));
  for (const char* option : {"index=off", "xino=off", "metacopy=off", "redirect_dir=nofollow"}) {
    EXPECT_NE(options.find(option), std::string::npos) << option;
  }
}

TEST(RootfsTest, LayersBelowAnOpaqueRootAreLeftOut) {
  namespace fs = std::filesystem;
  std::string directory = fs::temp_directory_path() / "hull-layers-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  std::vector<std::string> layers;
  for (const char* name : {"0", "1", "2"}) {
    layers.push_back(fs::path(directory) / name);
    fs::create_directory(layers.back());
  }
  EXPECT_EQ(VisibleLayers(layers), layers);
  const bool permitted = ::setxattr(layers[1].c_str(), "trusted.overlay.opaque", "n", 1, 0) == 0;
  const std::vector<std::string> with_another_value = VisibleLayers(layers);
  ::setxattr(layers[1].c_str(), "trusted.overlay.opaque", "y", 1, 0);
  const std::vector<std::string> visible = VisibleLayers(layers);
  fs::remove_all(directory);
  if (!permitted) GTEST_SKIP() << "trusted attributes need root, and a file system that has them";
  EXPECT_EQ(with_another_value, layers);
  EXPECT_EQ(visible, std::vector<std::string>(layers.begin() + 1, layers.end()));
}

TEST(RootfsTest, ManyLayersAreOneOptionEach) {
  const std::vector<std::string> layers(500, "/run/hull/1/layer000");
  EXPECT_EQ(OverlayOptions(layers, "/u", "/w").size(), 507u);
}

TEST(RootfsTest, NumberOfLayersIsBounded) {
  EXPECT_FALSE(ValidateRootFilesystem(WithLayers(0)).has_value());
  EXPECT_TRUE(ValidateRootFilesystem(WithLayers(1)).has_value());
  EXPECT_TRUE(ValidateRootFilesystem(WithLayers(500)).has_value());
  EXPECT_FALSE(ValidateRootFilesystem(WithLayers(501)).has_value());
}

TEST(RootfsTest, OnlyDeviceNodesAreMounted) {
  for (const char* device : {"", "/etc/passwd", "/dev/../etc/passwd", "dev/vda", "overlay"}) {
    v1::RootFilesystem rootfs = WithLayers(2);
    rootfs.mutable_layers(1)->set_device(device);
    const Status status = ValidateRootFilesystem(rootfs);
    ASSERT_FALSE(status.has_value()) << device;
    EXPECT_EQ(status.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(status.error().ToString().find("rootfs.layers[1].device"), std::string::npos);
  }
  v1::RootFilesystem rootfs = WithLayers(1);
  rootfs.mutable_disk()->set_device("/tmp/disk");
  EXPECT_FALSE(ValidateRootFilesystem(rootfs).has_value());
}

TEST(RootfsTest, MissingDevicesAreNamed) {
  v1::RootFilesystem rootfs = WithLayers(1);
  rootfs.mutable_layers(0)->set_device("/dev/null");
  rootfs.mutable_disk()->set_device("/dev/no-such-disk");
  EXPECT_EQ(MissingDevices(rootfs), std::vector<std::string>{"/dev/no-such-disk"});
}

}  // namespace
}  // namespace hull::agent
