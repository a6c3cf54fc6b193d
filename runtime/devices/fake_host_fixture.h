// A made-up host for tests: a directory with sysfs and procfs in it, and a kernel that does what
// writes to sysfs do (bind, unbind, driver_override, drivers_probe, SR-IOV).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/devices/host_tree.h"
#include "runtime/devices/pci_device.h"

namespace hull::devices {

// What a made-up device is like.
struct FakeDevice {
  std::string address = "0000:01:00.0";
  uint32_t class_code = 0x010802;
  uint16_t vendor = 0x8086;
  uint16_t device = 0x1234;
  std::string driver = "nvme";  // that it has now and that the kernel would choose; empty: none
  int group = 1;                // negative: none
  std::string resource = "0x00000000fe000000 0x00000000fe003fff 0x0000000000140204\n";
  std::string reset_method = "flr bus\n";
  uint32_t total_vfs = 0;
};

class FakeHost {
 public:
  FakeHost();
  ~FakeHost();
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  const HostTree& tree() const { return tree_; }
  std::string Path(const std::string& path) const { return root_ + path; }

  // Files and links of the host, with the directories that they need.
  void Write(const std::string& path, std::string_view text) const;
  void Link(const std::string& path, const std::string& target) const;
  void MakeDirectory(const std::string& path) const;
  void Remove(const std::string& path) const;

  // `parent`: the bridges before it, "0000:00:05.0" or empty.
  void Add(const FakeDevice& device, const std::string& parent = {});
  void AddDriver(const std::string& name) const;
  // A disk (or a partition: "nvme0n1/nvme0n1p1") of the device.
  void AddDisk(const std::string& address, const std::string& disk,
               const std::string& number) const;
  void AddInterface(const std::string& address, const std::string& name) const;
  // A process that has `node` open.
  void AddProcess(int pid, const std::string& name, const std::string& node) const;
  // Interrupts are remapped, the processor is Intel's, vfio-pci is loaded.
  void MakeAble() const;

  std::string DriverOf(const std::string& address) const;
  std::string OverrideOf(const std::string& address) const;

  // Called before each write; an error makes the write fail.
  std::function<Status(const std::string& path, std::string_view text)> before_write;
  int writes = 0;

 private:
  Status KernelWrite(const std::string& path, std::string_view text);
  Status SetFunctions(const std::string& address, std::string_view text);
  bool Attach(const std::string& address, const std::string& driver) const;
  // Of the device itself, below /sys/devices.
  std::string Place(const std::string& address) const;

  std::string root_;
  std::map<std::string, std::string> places_;
  std::map<std::string, FakeDevice> devices_;
  HostTree tree_;
};

}  // namespace hull::devices
