#include "runtime/host_check.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "runtime/container_id.h"
#include "runtime/devices/fitness.h"
#include "runtime/devices/host_tree.h"
#include "runtime/machine_size.h"
#include "runtime/sandbox.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull {
namespace {

constexpr uint64_t kMaxFileBytes = 1ULL << 20;
constexpr uint64_t kEnoughStoreBytes = 2ULL << 30;
constexpr rlim_t kEnoughFiles = 1024;

class HostChecks {
 public:
  HostChecks(const HostLayout& layout, const std::string& root) : layout_(layout), root_(root) {}

  std::vector<Finding> Take() {
    KvmDevice();
    Processor();
    NestedPaging();
    Iommu();
    Cgroups();
    NxHugePages();
    HugePages();
    Limits();
    Tools();
    Files();
    Store();
    return std::move(findings_);
  }

 private:
  void Add(std::string name, Grade grade, std::string detail, std::string remedy = {},
           bool required = false) {
    findings_.push_back({std::move(name), grade, std::move(detail), std::move(remedy), required});
  }
  // Content without its last line feed; empty when it cannot be read.
  std::string Read(const std::string& path) const {
    Result<std::string> text = ReadFile(root_ + path, kMaxFileBytes);
    if (!text) return {};
    while (text->ends_with('\n')) text->pop_back();
    return std::move(*text);
  }
  bool Exists(const std::string& path) const { return access((root_ + path).c_str(), F_OK) == 0; }
  bool IsOn(const std::string& path) const {
    const std::string value = Read(path);
    return value == "Y" || value == "1" || value == "on";
  }

  void KvmDevice();
  void Processor();
  void NestedPaging();
  void Iommu();
  void VfioDriver(const devices::HostTree& host);
  void Devices(const devices::HostTree& host, const devices::IommuState& iommu);
  void Cgroups();
  void NxHugePages();
  void HugePages();
  void Limits();
  void Tools();
  void Files();
  void Store();

  const HostLayout& layout_;
  const std::string& root_;
  std::vector<Finding> findings_;
};

void HostChecks::KvmDevice() {
  const UniqueFd fd(open((root_ + "/dev/kvm").c_str(), O_RDWR | O_CLOEXEC));
  if (fd.valid()) return Add("kvm device", Grade::kOk, "/dev/kvm can be opened", {}, true);
  if (errno == ENOENT) {
    return Add(
        "kvm device", Grade::kMissing, "there is no /dev/kvm",
        "switch virtualisation on in the firmware and load kvm_intel or kvm_amd; in a virtual "
        "machine, ask for nested virtualisation",
        true);
  }
  Add("kvm device", Grade::kMissing, Error::FromErrno(errno, "open /dev/kvm").ToString(),
      "run as root, or as a member of the group that owns /dev/kvm", true);
}

void HostChecks::Processor() {
  const std::string info = Read("/proc/cpuinfo");
  // The first processor's flags, blanks on both sides.
  const size_t at = info.find("\nflags");
  const size_t end = std::min(info.find('\n', at == std::string::npos ? 0 : at + 1), info.size());
  const std::string flags = at == std::string::npos ? "" : info.substr(at, end - at) + " ";
  if (flags.find(" vmx ") != std::string::npos) {
    return Add("processor", Grade::kOk, "Intel VT-x", {}, true);
  }
  if (flags.find(" svm ") != std::string::npos)
    return Add("processor", Grade::kOk, "AMD-V", {}, true);
  // A software KVM has neither; whether it will do is what the boot shows.
  Add("processor", Grade::kMissing, "neither VT-x nor AMD-V is offered to this system",
      "switch it on in the firmware or in the hypervisor above; scripts/lab emulates a host that "
      "has it");
}

void HostChecks::NestedPaging() {
  const std::string intel = "/sys/module/kvm_intel/parameters/";
  const std::string amd = "/sys/module/kvm_amd/parameters/";
  if (Exists(intel + "ept")) {
    const bool good = IsOn(intel + "ept") && IsOn(intel + "unrestricted_guest");
    return Add("nested paging", good ? Grade::kOk : Grade::kSlow,
               good ? "EPT, unrestricted guest" : "EPT or unrestricted guest is off",
               good ? "" : "load kvm_intel with ept=1 unrestricted_guest=1");
  }
  if (Exists(amd + "npt")) {
    const bool good = IsOn(amd + "npt");
    return Add("nested paging", good ? Grade::kOk : Grade::kSlow, good ? "NPT" : "NPT is off",
               good ? "" : "load kvm_amd with npt=1");
  }
  Add("nested paging", Grade::kSlow, "no kvm_intel or kvm_amd is loaded",
      "modprobe kvm_intel or kvm_amd");
}

void HostChecks::Iommu() {
  const devices::HostTree host(root_);
  const devices::IommuState iommu = devices::IommuState::Read(host);
  if (iommu.groups == 0) {
    return Add("iommu", Grade::kOff, "no IOMMU groups: devices cannot be passed through",
               iommu.HowToSwitchOn());
  }
  // Its units are named by their drivers: dmar0 (VT-d), ivhd0 (AMD-Vi).
  const std::vector<std::string> units = host.List("/sys/class/iommu");
  const std::string_view unit = units.empty() ? std::string_view() : units.front();
  const std::string_view maker =
      unit.starts_with("dmar") ? "VT-d, " : (unit.starts_with("ivhd") ? "AMD-Vi, " : "");
  Add("iommu", Grade::kOk, fmt::format("{}{} groups", maker, iommu.groups));
  Add("interrupt remapping", iommu.remaps_interrupts ? Grade::kOk : Grade::kOff,
      iommu.remaps_interrupts ? "in use" : "not in use",
      iommu.remaps_interrupts
          ? ""
          : "switch it on in the firmware and take intremap=off and nointremap from the kernel's "
            "command line; a passed-through device could forge interrupts");
  VfioDriver(host);
  Devices(host, iommu);
}

void HostChecks::VfioDriver(const devices::HostTree& host) {
  if (host.Exists("/sys/bus/pci/drivers/vfio-pci")) {
    return Add("vfio-pci", Grade::kOk, "loaded");
  }
  const std::string modules = "/lib/modules/" + host.Read("/proc/sys/kernel/osrelease");
  for (const std::string& name : host.List(modules + "/kernel/drivers/vfio/pci")) {
    if (name.starts_with("vfio-pci.ko")) return Add("vfio-pci", Grade::kOk, "can be loaded");
  }
  Add("vfio-pci", Grade::kOff, "this kernel does not have it",
      "boot a kernel with CONFIG_VFIO_PCI, as Debian's are; devices cannot be passed through");
}

void HostChecks::Devices(const devices::HostTree& host, const devices::IommuState& iommu) {
  const devices::HostUses uses = devices::HostUses::Look(host);
  size_t fit = 0;
  size_t bound = 0;
  size_t shared = 0;
  for (const devices::PciDevice& device : devices::ListPciDevices(host)) {
    if (device.IsBridge()) continue;
    const std::vector<devices::Obstacle> obstacles =
        devices::ObstaclesOf(host, iommu, uses, device);
    if (device.IsOnVfio()) ++bound;
    if (obstacles.empty()) ++fit;
    const auto shares = [](const devices::Obstacle& it) {
      return it.kind == devices::Obstacle::Kind::kGroupShared;
    };
    if (std::any_of(obstacles.begin(), obstacles.end(), shares)) ++shared;
  }
  Add("devices", fit > 0 ? Grade::kOk : Grade::kOff,
      fmt::format(
          "{} can be passed through, {} bound to vfio-pci, {} share a group with one that the "
          "host uses",
          fit, bound, shared),
      fit > 0 ? "" : "hull device ls says of each why not");
}

void HostChecks::Cgroups() {
  if (!Exists("/sys/fs/cgroup/cgroup.controllers")) {
    return Add(
        "cgroup v2", Grade::kMissing, "/sys/fs/cgroup is no cgroup2",
        "boot with systemd.unified_cgroup_hierarchy=1, or mount -t cgroup2 none /sys/fs/cgroup");
  }
  Add("cgroup v2", Grade::kOk, Read("/sys/fs/cgroup/cgroup.controllers"));
  const std::string mounts = Read("/proc/self/mounts");
  const size_t at = mounts.find(" /sys/fs/cgroup cgroup2 ");
  const std::string line =
      at == std::string::npos ? "" : mounts.substr(at, mounts.find('\n', at) - at);
  const bool good = line.find("favordynmods") != std::string::npos;
  Add("favordynmods", good ? Grade::kOk : Grade::kSlow,
      good ? "on" : "off: a process that enters a cgroup waits for all CPUs",
      good ? "" : "mount -o remount,favordynmods /sys/fs/cgroup");
}

void HostChecks::NxHugePages() {
  const std::string value = Read("/sys/module/kvm/parameters/nx_huge_pages");
  if (value.empty()) return;
  const bool on = value == "Y" || value == "1" || value == "force";
  Add("kvm.nx_huge_pages", on ? Grade::kSlow : Grade::kOk, value,
      on ? "on this processor each VM splits its huge pages and starts a thread to mend them; "
           "where "
           "guests are trusted: echo never > /sys/module/kvm/parameters/nx_huge_pages"
         : "");
}

void HostChecks::HugePages() {
  const std::string enabled = Read("/sys/kernel/mm/transparent_hugepage/enabled");
  const bool never = enabled.empty() || enabled.find("[never]") != std::string::npos;
  Add("transparent huge pages", never ? Grade::kSlow : Grade::kOk,
      enabled.empty() ? "not there" : enabled,
      never ? "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled" : "");
}

void HostChecks::Limits() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const bool enough = files.rlim_cur >= kEnoughFiles;
  Add("open files", enough ? Grade::kOk : Grade::kSlow, fmt::format("{}", files.rlim_cur),
      enough
          ? ""
          : fmt::format("ulimit -n {}: images with many layers need one for each", kEnoughFiles));
  rlimit memory{};
  getrlimit(RLIMIT_MEMLOCK, &memory);
  const bool unlimited = memory.rlim_cur == RLIM_INFINITY || geteuid() == 0;
  Add("locked memory", unlimited ? Grade::kOk : Grade::kOff,
      memory.rlim_cur == RLIM_INFINITY ? "unlimited"
                                       : fmt::format("{} KiB", memory.rlim_cur >> 10U),
      unlimited ? "" : "ulimit -l unlimited, to pass devices through");
  rlimit processes{};
  getrlimit(RLIMIT_NPROC, &processes);
  Add("processes", Grade::kOk,
      processes.rlim_cur == RLIM_INFINITY ? "unlimited" : fmt::format("{}", processes.rlim_cur));
}

void HostChecks::Tools() {
  struct Tool {
    const char* name;
    std::array<const char*, 3> paths;
    const char* use;
  };
  constexpr Tool kTools[] = {
      {"skopeo",
       {"/usr/bin/skopeo", "/usr/local/bin/skopeo", "/bin/skopeo"},
       "hull pull: install skopeo"},
      {"mkfs.ext4",
       {"/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4", "/usr/local/sbin/mkfs.ext4"},
       "writable layers on disk: install e2fsprogs, or run with --storage tmpfs"}};
  for (const Tool& tool : kTools) {
    const auto* const found = std::find_if(tool.paths.begin(), tool.paths.end(),
                                           [this](const char* path) { return Exists(path); });
    const bool there = found != tool.paths.end();
    Add(tool.name, there ? Grade::kOk : Grade::kMissing, there ? *found : "not installed",
        there ? "" : tool.use);
  }
}

void HostChecks::Files() {
  struct Needed {
    const char* name;
    const std::string& path;
    const char* variable;
  };
  const bool has_pci_kernel = access(layout_.pci_kernel.c_str(), R_OK) == 0;
  Add("kernel for devices", has_pci_kernel ? Grade::kOk : Grade::kOff,
      has_pci_kernel ? layout_.pci_kernel : layout_.pci_kernel + " is not there",
      has_pci_kernel ? ""
                     : "scripts/build-kernel --profile pci builds it, to pass devices through");
  for (const Needed& file : {Needed{"hull-vmm", layout_.vmm_program, "HULL_VMM"},
                             Needed{"guest kernel", layout_.kernel, "HULL_KERNEL"},
                             Needed{"guest root", layout_.guest_root, "HULL_GUEST_ROOT"}}) {
    const bool there = access(file.path.c_str(), R_OK) == 0;
    Add(file.name, there ? Grade::kOk : Grade::kMissing,
        there ? file.path : file.path + " is not there",
        there ? ""
              : fmt::format("scripts/quickstart builds it; {} names another place", file.variable),
        true);
  }
}

void HostChecks::Store() {
  // The store may not be made yet: then what is above it counts.
  std::string path = layout_.store_root;
  while (path.size() > 1 && access(path.c_str(), F_OK) != 0)
    path.resize(std::max<size_t>(path.rfind('/'), 1));
  struct statvfs space {};
  if (statvfs(path.c_str(), &space) != 0 || access(path.c_str(), W_OK) != 0) {
    return Add("store", Grade::kMissing, Error::FromErrno(errno, layout_.store_root).ToString(),
               "run as root, or name another place by --root", true);
  }
  const uint64_t free_bytes = uint64_t{space.f_bavail} * space.f_frsize;
  const bool enough = free_bytes >= kEnoughStoreBytes;
  Add("store", enough ? Grade::kOk : Grade::kSlow,
      fmt::format("{}, {} MiB free", layout_.store_root, free_bytes >> 20U),
      enough ? "" : "images and writable layers need more room");
}

Finding BootFailed(const Error& error, int limit_seconds) {
  Finding finding{"kvm boot", Grade::kMissing, error.ToString(), {}, true};
  if (error.code() == ErrorCode::kTimedOut) {
    finding.detail =
        fmt::format("KVM is present, but a guest did not boot within {} s", limit_seconds);
    finding.remedy =
        "a software KVM, or a host under heavy load; scripts/lab emulates a host with KVM";
  } else {
    finding.remedy = error.hint();
  }
  return finding;
}

}  // namespace

std::string_view GradeName(Grade grade) {
  constexpr std::array<std::string_view, 4> kNames = {"ok", "slow", "missing", "off"};
  return kNames[static_cast<size_t>(grade)];
}

std::vector<Finding> CheckHost(const HostLayout& layout, const std::string& root) {
  return HostChecks(layout, root).Take();
}

Finding CheckBoot(const HostLayout& layout, int limit_seconds) {
  boost::asio::io_context io(1);
  SandboxSpec spec;
  Result<std::string> id = NewContainerId();
  if (!id) return BootFailed(id.error(), limit_seconds);
  spec.id = std::move(*id);
  spec.name = "check";
  spec.memory_bytes = kDefaultMemoryBytes;
  // Some file system has to be there; the guest's own will do.
  spec.layers.push_back({"check", layout.guest_root, 0});
  spec.storage.kind = StorageKind::kTmpfs;
  Result<RunDirectory> run = Containers(layout).LockRunDirectory(spec.id);
  if (!run) return BootFailed(run.error(), limit_seconds);
  Result<std::unique_ptr<Sandbox>> sandbox = Sandbox::Launch(io, layout, spec, std::move(*run));
  if (!sandbox) return BootFailed(sandbox.error(), limit_seconds);
  const Status ready = (*sandbox)->WaitReady(std::chrono::seconds(limit_seconds));
  Result<agent::v1::ConnectResponse> answer =
      ready ? (*sandbox)->agent().Connect() : Fail(ready.error());
  const Status destroyed = (*sandbox)->Destroy();
  if (!answer) return BootFailed(answer.error(), limit_seconds);
  if (!destroyed) return BootFailed(destroyed.error(), limit_seconds);
  return {"kvm boot",
          Grade::kOk,
          fmt::format("Linux {} ran, its agent answered", EscapeControl(answer->kernel_release())),
          {},
          true};
}

}  // namespace hull
