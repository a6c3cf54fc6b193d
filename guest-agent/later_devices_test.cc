#include "guest-agent/later_devices.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "vmm/base/file.h"

namespace hull::agent {
namespace {

class LaterDevicesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "hull-later-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    sysfs_ = pattern;
    Write("bus/platform/drivers/virtio-mmio/bind", "");
  }
  void TearDown() override { std::filesystem::remove_all(sysfs_); }

  void Write(const std::string& path, std::string_view content) {
    const std::filesystem::path file = std::filesystem::path(sysfs_) / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << content;
  }
  void Device(const std::string& name, std::string_view compatible) {
    Write("bus/platform/devices/" + name + "/of_node/compatible", compatible);
    Write("bus/platform/devices/" + name + "/driver_override", "");
  }
  std::string Read(const std::string& path) {
    return ReadFile(sysfs_ + "/" + path, 4096).value_or("<none>");
  }

  std::string sysfs_;
};

std::string Text(std::string_view text) {
  return std::string(text) + '\0';
}

TEST_F(LaterDevicesTest, OnlyThoseThatCanWaitAreTaken) {
  Device("d0000000.virtio_mmio", Text("virtio,mmio"));
  Device("d0005000.virtio_mmio", Text("hull,virtio-mmio-later"));
  Write("bus/platform/devices/serial8250/uevent", "");
  EXPECT_EQ(BindLaterDevices(sysfs_), 1);
  EXPECT_EQ(Read("bus/platform/devices/d0005000.virtio_mmio/driver_override"), "virtio-mmio");
  EXPECT_EQ(Read("bus/platform/devices/d0000000.virtio_mmio/driver_override"), "");
  EXPECT_EQ(Read("bus/platform/drivers/virtio-mmio/bind"), "d0005000.virtio_mmio");
}

TEST_F(LaterDevicesTest, KernelWithoutTheDriverIsNoFault) {
  Device("d0005000.virtio_mmio", Text("hull,virtio-mmio-later"));
  std::filesystem::remove_all(sysfs_ + "/bus/platform/drivers/virtio-mmio");
  EXPECT_EQ(BindLaterDevices(sysfs_), 0);
}

TEST_F(LaterDevicesTest, NoSysfsIsNoFault) {
  EXPECT_EQ(BindLaterDevices(sysfs_ + "/nowhere"), 0);
}

}  // namespace
}  // namespace hull::agent
