// A made-up tree of files for tests: a sysfs, or a container's root.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace hull::agent {

class FakeTree : public ::testing::Test {
 protected:
  FakeTree() {
    char name[] = "/tmp/hull-fake-tree-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~FakeTree() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, std::string_view text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void Link(const std::string& path, const std::string& target) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::filesystem::create_symlink(target, root_ + path);
  }
  void Remove(const std::string& path) const { std::filesystem::remove_all(root_ + path); }

  // A device at `path` below /sys with its class and the text of its uevent file.
  void AddDevice(const std::string& path, const std::string& subsystem,
                 std::string_view uevent) const {
    Write("/sys" + path + "/uevent", uevent);
    Link("/sys" + path + "/subsystem", "/sys/class/" + subsystem);
  }
  void AddNode(const std::string& path, const std::string& subsystem, const std::string& name,
               int major, int minor) const {
    AddDevice(path, subsystem,
              "MAJOR=" + std::to_string(major) + "\nMINOR=" + std::to_string(minor) +
                  "\nDEVNAME=" + name + "\n");
  }
  // A PCI device in the given slot; its path.
  std::string AddPci(const std::string& address, const std::string& driver) const {
    const std::string path = "/devices/pci0000:00/" + address;
    AddDevice(path, "pci", "PCI_CLASS=10802\n");
    Link("/sys/bus/pci/devices/" + address, "../../.." + path);
    if (!driver.empty()) Link("/sys" + path + "/driver", "../../../bus/pci/drivers/" + driver);
    return path;
  }

  std::string root_;
};

}  // namespace hull::agent
