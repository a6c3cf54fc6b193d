#include "runtime/devices/binding.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "runtime/devices/fitness.h"
#include "runtime/devices/host_uses.h"
#include "vmm/base/file.h"

namespace hull::devices {
namespace {

namespace json = boost::json;

constexpr mode_t kDirectoryMode = 0755;
constexpr mode_t kFileMode = 0644;
constexpr uint64_t kMaxRecordBytes = 4096;

std::string DriverPath(const std::string& driver) {
  return "/sys/bus/pci/drivers/" + driver;
}

// A driver's name as sysfs has it: one part of a path.
bool IsDriverName(std::string_view name) {
  return !name.empty() && name.find('/') == std::string_view::npos && name != "." && name != "..";
}

Status NeedRoot(const HostTree& host, std::string_view what) {
  if (!host.is_this_host() || ::geteuid() == 0) return {};
  return Fail(Error(ErrorCode::kPermissionDenied, fmt::format("{} needs root", what))
                  .WithHint("run it with sudo"));
}

std::string Text(const json::object& object, std::string_view name) {
  const json::value* const value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

uint16_t Number(const json::object& object, std::string_view name) {
  const json::value* const value = object.if_contains(name);
  return value != nullptr && value->is_int64() ? static_cast<uint16_t>(value->get_int64())
                                               : uint16_t{0};
}

Status CheckAll(const HostTree& host, std::span<const PciDevice> devices,
                std::span<const PciAddress> together, bool force) {
  const IommuState iommu = IommuState::Read(host);
  const HostUses uses = HostUses::Look(host);
  for (const PciDevice& device : devices) {
    std::vector<Obstacle> obstacles = ObstaclesOf(host, iommu, uses, device, together);
    const auto does_not_count = [&](const Obstacle& obstacle) {
      return (force && obstacle.can_be_forced) ||
             // It is where it is wanted; who uses it need not be told.
             (device.IsOnVfio() && obstacle.kind == Obstacle::Kind::kVfioUser);
    };
    std::erase_if(obstacles, does_not_count);
    if (!obstacles.empty()) return Fail(AsError(device, obstacles));
  }
  return {};
}

}  // namespace

ModuleLoader HostModuleLoader(const HostTree& host) {
  return [&host](const std::string& module) -> Status {
    std::string program = host.Read("/proc/sys/kernel/modprobe");
    if (program.empty()) program = "/sbin/modprobe";
    std::string name = module;
    // "--": a driver's name is not ours, and could begin with a dash.
    std::string quiet = "-q";
    std::string end = "--";
    std::array<char*, 5> arguments = {program.data(), quiet.data(), end.data(), name.data(),
                                      nullptr};
    pid_t pid = 0;
    if (const int error =
            ::posix_spawn(&pid, program.c_str(), nullptr, nullptr, arguments.data(), environ);
        error != 0) {
      return Fail(Error::FromErrno(error, fmt::format("run {}", program)));
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return Fail(ErrorCode::kUnavailable, "the kernel has no module {} ({} failed)", module,
                program);
  };
}

Binder::Binder(const HostTree& host, ModuleLoader load_module)
    : host_(host), load_module_(std::move(load_module)) {}

std::string Binder::RecordPath(const PciAddress& address) const {
  return fmt::format("{}/{}.json", kBindingDirectory, address.ToString());
}

std::string Binder::RulePath(const PciAddress& address) const {
  return fmt::format("{}/10-hull-{}.rules", kUdevRules, address.ToString());
}

Result<UniqueFd> Binder::Lock() const {
  HULL_TRY(MakeDirectories(host_.Real(kBindingDirectory), kDirectoryMode));
  const std::string path = host_.Real(std::string(kBindingDirectory) + "/lock");
  HULL_ASSIGN(UniqueFd fd, OpenFile(path, O_RDWR | O_CREAT | O_NOFOLLOW, kFileMode));
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return FailErrno("lock {}", path);
  }
  return fd;
}

std::optional<Binder::Record> Binder::ReadRecord(const PciDevice& device) const {
  boost::system::error_code error;
  const json::value value =
      json::parse(host_.Read(RecordPath(device.address), kMaxRecordBytes), error);
  if (error || !value.is_object()) return std::nullopt;
  const json::object& object = value.get_object();
  Record record{Number(object, "vendor"), Number(object, "device"), Text(object, "driver"),
                Text(object, "override")};
  const bool is_same = record.vendor == device.vendor && record.device == device.device;
  const bool is_sound = record.driver.empty() || IsDriverName(record.driver);
  return is_same && is_sound ? std::optional(std::move(record)) : std::nullopt;
}

Status Binder::WriteRecord(const PciDevice& device) const {
  // A device that is on the way already has its record, and what is seen now is not how it was.
  // Where another driver has it, somebody gave it back past hull, and that driver is how it was.
  const bool is_on_the_way = device.driver.empty() || device.IsOnVfio();
  if (is_on_the_way && ReadRecord(device)) return {};
  // Bound by other means: then nobody knows, and the kernel will choose.
  if (device.IsOnVfio()) return {};
  const json::object object{
      {"version", 1},
      {"address", device.address.ToString()},
      {"vendor", device.vendor},
      {"device", device.device},
      {"driver", device.driver},
      {"override", device.override == kVfioDriver ? std::string() : device.override}};
  return WriteFileAtomically(host_.Real(RecordPath(device.address)), json::serialize(object) + "\n",
                             kFileMode);
}

Status Binder::WriteRule(const PciDevice& device, std::span<const PciDevice> together,
                         const BindOptions& options) const {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '.' || c == '_' || c == '-' || c == '+';
  };
  const std::string& program = options.program;
  if (!program.starts_with('/') || !std::all_of(program.begin(), program.end(), is_plain)) {
    return Fail(ErrorCode::kUnsupported,
                "--persist: udev starts programs by a plain absolute path, which '{}' is not",
                program);
  }
  const std::string address = device.address.ToString();
  // The devices' numbers are part of it: after a change of hardware others may be at these
  // addresses.
  std::string match = fmt::format("ATTR{{vendor}}==\"0x{:04x}\", ATTR{{device}}==\"0x{:04x}\"",
                                  device.vendor, device.device);
  std::string command =
      fmt::format("{} device bind {}{}", program, options.force ? "--force " : "", address);
  for (const PciDevice& other : together) {
    if (other.address == device.address || other.iommu_group != device.iommu_group) continue;
    const std::string name = other.address.ToString();
    match += fmt::format(
        ", ATTR{{[pci/{0}]vendor}}==\"0x{1:04x}\", ATTR{{[pci/{0}]device}}==\"0x{2:04x}\"", name,
        other.vendor, other.device);
    command += " " + name;
  }
  const std::string rule = fmt::format(
      "# Written by: hull device bind --persist {0}\n"
      "# Taken away by: hull device unbind --persist {0}\n"
      "# The override keeps the device from its usual driver if that is not loaded yet; hull takes "
      "it\n"
      "# from there if it is, unless a file system or the like is in use on it.\n"
      "ACTION==\"add\", SUBSYSTEM==\"pci\", KERNEL==\"{0}\", {1}, "
      "ATTR{{driver_override}}=\"vfio-pci\", RUN+=\"{2}\"\n",
      address, match, command);
  HULL_TRY(MakeDirectories(host_.Real(kUdevRules), kDirectoryMode));
  return WriteFileAtomically(host_.Real(RulePath(device.address)), rule, kFileMode);
}

Status Binder::BindOne(const PciDevice& device) {
  HULL_TRY_WITHIN("write down its driver", WriteRecord(device));
  const std::string address = device.address.ToString();
  if (device.override != kVfioDriver) {
    HULL_TRY(host_.Write(device.Path() + "/driver_override", kVfioDriver));
  }
  if (!device.driver.empty() && !device.IsOnVfio()) {
    HULL_TRY(host_.Write(device.Path() + "/driver/unbind", address));
  }
  // Its answer is not the device's: what counts is who has it then.
  const Status probed = host_.Write("/sys/bus/pci/drivers_probe", address);
  HULL_ASSIGN(const PciDevice now, ReadPciDevice(host_, device.address));
  if (now.IsOnVfio()) return {};
  return Fail(
      Error(ErrorCode::kFailed, fmt::format("vfio-pci did not take it{}{}", probed ? "" : ": ",
                                            probed ? "" : probed.error().ToString()))
          .WithHint("the kernel says why: dmesg"));
}

Result<std::vector<BindOutcome>> Binder::Bind(std::span<const PciAddress> addresses,
                                              const BindOptions& options) {
  HULL_TRY(NeedRoot(host_, "taking a device from its driver"));
  HULL_ASSIGN(const UniqueFd lock, Lock());
  std::vector<PciDevice> devices;
  for (const PciAddress& address : addresses) {
    HULL_ASSIGN(PciDevice device, ReadPciDevice(host_, address));
    devices.push_back(std::move(device));
  }
  HULL_TRY(CheckAll(host_, devices, addresses, options.force));
  if (!host_.Exists(DriverPath(kVfioDriver))) {
    HULL_TRY_WITHIN("load vfio-pci", load_module_(kVfioDriver));
  }
  std::vector<BindOutcome> outcomes;
  for (size_t i = 0; i < devices.size(); ++i) {
    const PciDevice& device = devices[i];
    const bool is_there = device.IsOnVfio() && device.override == kVfioDriver;
    Status status = is_there ? Status() : BindOne(device);
    if (status && options.persist) status = WriteRule(device, devices, options);
    if (status) {
      outcomes.push_back({device.address, device.driver, !is_there});
      continue;
    }
    // All or none. What cannot be undone is left as it is: both commands can go on from there.
    for (size_t done = 0; done <= i; ++done) {
      const bool was_there = done < i ? !outcomes[done].changed : is_there;
      if (!was_there) static_cast<void>(GiveBack(devices[done]));
    }
    return Fail(
        std::move(status).error().Within(fmt::format("bind {}", device.address.ToString())));
  }
  return outcomes;
}

Status Binder::GiveBack(const PciDevice& before) {
  const std::string address = before.address.ToString();
  HULL_ASSIGN(const PciDevice device, ReadPciDevice(host_, before.address));
  const std::optional<Record> record = ReadRecord(device);
  const std::string override = record ? record->override : std::string();
  if (device.override != override) {
    // A line feed alone clears it.
    HULL_TRY(host_.Write(device.Path() + "/driver_override", override + "\n"));
  }
  if (device.IsOnVfio()) HULL_TRY(host_.Write(device.Path() + "/driver/unbind", address));
  const bool has_other = !device.driver.empty() && !device.IsOnVfio();
  if (!has_other && record && !record->driver.empty()) {
    // Its module may be gone by now, or have another name than it; then the next step fails, and
    // says so.
    if (!host_.Exists(DriverPath(record->driver))) static_cast<void>(load_module_(record->driver));
    if (!host_.Write(DriverPath(record->driver) + "/bind", address)) {
      static_cast<void>(host_.Write("/sys/bus/pci/drivers_probe", address));
    }
  } else if (!has_other && !record) {
    static_cast<void>(host_.Write("/sys/bus/pci/drivers_probe", address));
  }
  HULL_ASSIGN(const PciDevice now, ReadPciDevice(host_, before.address));
  if (record && !record->driver.empty() && now.driver.empty()) {
    return Fail(
        Error(ErrorCode::kFailed, fmt::format("its driver {} did not take it back", record->driver))
            .WithHint("the kernel says why: dmesg; then try again"));
  }
  ::unlink(host_.Real(RecordPath(before.address)).c_str());
  return {};
}

Result<UnbindOutcome> Binder::Unbind(const PciAddress& address, bool persist) {
  HULL_TRY(NeedRoot(host_, "giving a device back to its driver"));
  HULL_ASSIGN(const UniqueFd lock, Lock());
  // The rule of a device that is gone can be taken away, too.
  bool had_rule = false;
  if (persist) had_rule = ::unlink(host_.Real(RulePath(address)).c_str()) == 0;
  HULL_ASSIGN(const PciDevice device, ReadPciDevice(host_, address));
  const bool is_ours = device.IsOnVfio() || device.override == kVfioDriver || ReadRecord(device);
  if (!is_ours && !had_rule) {
    return Fail(ErrorCode::kInvalidArgument, "device {} is not bound to vfio-pci: {}",
                address.ToString(),
                device.driver.empty() ? "it has no driver" : "its driver is " + device.driver);
  }
  for (const HostUse& use : HostUses::Look(host_).Of(device)) {
    if (use.kind != HostUse::Kind::kVfioUser) continue;
    return Fail(Error(ErrorCode::kUnavailable,
                      fmt::format("device {} is in use: {}", address.ToString(), use.text))
                    .WithHint("end that first"));
  }
  if (is_ours) HULL_TRY_WITHIN(fmt::format("unbind {}", address.ToString()), GiveBack(device));
  HULL_ASSIGN(const PciDevice now, ReadPciDevice(host_, address));
  return UnbindOutcome{address, now.driver, IsPersistent(address)};
}

std::optional<std::string> Binder::DriverBefore(const PciAddress& address) const {
  const Result<PciDevice> device = ReadPciDevice(host_, address);
  if (!device) return std::nullopt;
  const std::optional<Record> record = ReadRecord(*device);
  return record ? std::optional(record->driver) : std::nullopt;
}

bool Binder::IsPersistent(const PciAddress& address) const {
  return host_.Exists(RulePath(address));
}

}  // namespace hull::devices
