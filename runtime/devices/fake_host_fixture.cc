#include "runtime/devices/fake_host_fixture.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "vmm/base/file.h"

namespace hull::devices {

namespace fs = std::filesystem;

namespace {

const std::string kDevices = kPciDevicesPath;
const std::string kDrivers = "/sys/bus/pci/drivers";

Status Refused(int error_number, const std::string& path) {
  return Fail(Error::FromErrno(error_number, "write " + path));
}

}  // namespace

FakeHost::FakeHost()
    : root_([] {
        std::string pattern = testing::TempDir() + "hull-devices.XXXXXX";
        return std::string(::mkdtemp(pattern.data()));
      }()),
      tree_(root_, [this](const std::string& path, std::string_view text) {
        return KernelWrite(path, text);
      }) {
  MakeDirectory(kDevices);
  MakeDirectory(kDrivers);
}

FakeHost::~FakeHost() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

void FakeHost::Write(const std::string& path, std::string_view text) const {
  fs::create_directories(fs::path(Path(path)).parent_path());
  ASSERT_TRUE(WriteFileAtomically(Path(path), text, 0644)) << path;
}

void FakeHost::Link(const std::string& path, const std::string& target) const {
  fs::create_directories(fs::path(Path(path)).parent_path());
  fs::remove(Path(path));
  // Relative, as the kernel's are: an absolute one would leave the root.
  const fs::path from = fs::path(Path(path)).parent_path();
  fs::create_symlink(fs::path(Path(target)).lexically_relative(from), Path(path));
}

void FakeHost::MakeDirectory(const std::string& path) const {
  fs::create_directories(Path(path));
}

void FakeHost::Remove(const std::string& path) const {
  std::error_code ignored;
  fs::remove_all(Path(path), ignored);
}

std::string FakeHost::Place(const std::string& address) const {
  const auto found = places_.find(address);
  return found == places_.end() ? "/nowhere" : found->second;
}

void FakeHost::Add(const FakeDevice& device, const std::string& parent) {
  const std::string& address = device.address;
  const std::string place =
      (parent.empty() ? std::string("/sys/devices/pci0000:00") : Place(parent)) + "/" + address;
  places_[address] = place;
  devices_[address] = device;
  Write(place + "/vendor", fmt::format("0x{:04x}\n", device.vendor));
  Write(place + "/device", fmt::format("0x{:04x}\n", device.device));
  Write(place + "/subsystem_vendor", "0x1af4\n");
  Write(place + "/subsystem_device", "0x1100\n");
  Write(place + "/revision", "0x02\n");
  Write(place + "/class", fmt::format("0x{:06x}\n", device.class_code));
  Write(place + "/resource", device.resource);
  Write(place + "/reset_method", device.reset_method);
  Write(place + "/power_state", "D0\n");
  Write(place + "/numa_node", "-1\n");
  Write(place + "/driver_override", "(null)\n");
  Write(place + "/config", std::string("\x86\x80\x34\x12", 4) + std::string(60, '\0'));
  if (device.total_vfs > 0) {
    Write(place + "/sriov_totalvfs", fmt::format("{}\n", device.total_vfs));
    Write(place + "/sriov_numvfs", "0\n");
    Write(place + "/sriov_drivers_autoprobe", "1\n");
  }
  Link(kDevices + "/" + address, place);
  if (device.group >= 0) {
    const std::string group = fmt::format("/sys/kernel/iommu_groups/{}", device.group);
    MakeDirectory(group + "/devices");
    Link(place + "/iommu_group", group);
    Link(group + "/devices/" + address, place);
  }
  if (!device.driver.empty()) {
    AddDriver(device.driver);
    ASSERT_TRUE(Attach(address, device.driver));
  }
}

void FakeHost::AddDriver(const std::string& name) const {
  MakeDirectory(kDrivers + "/" + name);
}

void FakeHost::AddDisk(const std::string& address, const std::string& disk,
                       const std::string& number) const {
  const std::string place = Place(address) + "/block/" + disk;
  const std::string name = disk.substr(disk.rfind('/') + 1);
  Write(place + "/dev", number + "\n");
  if (name != disk) Write(place + "/partition", "1\n");
  Link("/sys/class/block/" + name, place);
  Link("/sys/dev/block/" + number, place);
}

void FakeHost::AddInterface(const std::string& address, const std::string& name) const {
  const std::string place = Place(address) + "/net/" + name;
  Write(place + "/operstate", "up\n");
  Link("/sys/class/net/" + name, place);
}

void FakeHost::AddProcess(int pid, const std::string& name, const std::string& node) const {
  const std::string place = fmt::format("/proc/{}", pid);
  Write(place + "/comm", name + "\n");
  MakeDirectory(place + "/fd");
  fs::create_symlink(node, Path(place + "/fd/7"));
  fs::create_symlink("/run/hull/0123456789ab", Path(place + "/cwd"));
}

void FakeHost::MakeAble() const {
  Write("/proc/interrupts", "  0:  1  IR-IO-APIC 2-edge timer\n");
  Write("/proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: GenuineIntel\naddress sizes\t: 40 bits physical, 48 bits "
        "virtual\n");
  AddDriver("vfio-pci");
}

std::string FakeHost::DriverOf(const std::string& address) const {
  return tree_.LinkName(kDevices + "/" + address + "/driver");
}

std::string FakeHost::OverrideOf(const std::string& address) const {
  return tree_.Read(kDevices + "/" + address + "/driver_override");
}

bool FakeHost::Attach(const std::string& address, const std::string& driver) const {
  if (!fs::exists(Path(kDrivers + "/" + driver))) return false;
  Link(Place(address) + "/driver", kDrivers + "/" + driver);
  Link(kDrivers + "/" + driver + "/" + address, Place(address));
  return true;
}

Status FakeHost::SetFunctions(const std::string& address, std::string_view text) {
  const uint64_t now = tree_.ReadNumber(Place(address) + "/sriov_numvfs").value_or(0);
  const int wanted = std::stoi(std::string(text));
  if (wanted != 0 && now != 0) return Refused(EBUSY, address);
  for (uint64_t i = 0; i < now; ++i) {
    const std::string function = fmt::format("0000:01:10.{}", i);
    Remove(fmt::format("{}/virtfn{}", Place(address), i));
    Remove(kDevices + "/" + function);
    Remove(Place(function));
  }
  const bool automatic = tree_.Read(Place(address) + "/sriov_drivers_autoprobe") == "1";
  for (int i = 0; i < wanted; ++i) {
    FakeDevice function = devices_[address];
    function.address = fmt::format("0000:01:10.{}", i);
    function.group = 100 + i;
    function.total_vfs = 0;
    if (!automatic) function.driver.clear();
    Add(function);
    Link(Place(function.address) + "/physfn", Place(address));
    Link(fmt::format("{}/virtfn{}", Place(address), i), Place(function.address));
  }
  Write(Place(address) + "/sriov_numvfs", fmt::format("{}\n", wanted));
  return {};
}

Status FakeHost::KernelWrite(const std::string& path, std::string_view text) {
  ++writes;
  if (before_write) HULL_TRY(before_write(path, text));
  std::string word(text);
  while (word.ends_with('\n')) word.pop_back();
  const fs::path file(path);
  const std::string name = file.filename();
  const std::string directory = file.parent_path().filename();
  if (!fs::exists(Path(file.parent_path()))) return Refused(ENOENT, path);
  if (name == "driver_override") {
    Write(Place(directory) + "/driver_override", (word.empty() ? "(null)" : word) + "\n");
  } else if (name == "unbind") {
    const std::string driver = DriverOf(word);
    if (driver.empty()) return Refused(ENODEV, path);
    fs::remove(Path(Place(word) + "/driver"));
    fs::remove(Path(kDrivers + "/" + driver + "/" + word));
  } else if (name == "bind") {
    const std::string override = OverrideOf(word);
    const bool fits =
        override == "(null)" ? devices_[word].driver == directory : override == directory;
    if (!fits || !DriverOf(word).empty()) return Refused(ENODEV, path);
    Attach(word, directory);
  } else if (name == "drivers_probe") {
    const std::string override = OverrideOf(word);
    const std::string driver = override == "(null)" ? devices_[word].driver : override;
    if (DriverOf(word).empty() && !driver.empty()) Attach(word, driver);
  } else if (name == "sriov_numvfs") {
    return SetFunctions(directory, word);
  } else if (name == "sriov_drivers_autoprobe") {
    Write(Place(directory) + "/" + name, word + "\n");
  } else {
    return Refused(EACCES, path);
  }
  return {};
}

}  // namespace hull::devices
