#include "guest-agent/rootfs.h"

#include <gtest/gtest.h>

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
