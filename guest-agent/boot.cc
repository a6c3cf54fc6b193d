#include "guest-agent/boot.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "guest-agent/kernel_log.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {
namespace {

struct MountPoint {
  const char* type;
  const char* target;
  unsigned long flags;
  const char* options;
  mode_t make_directory;  // 0: it is part of the guest's root image or of a parent mount
};

constexpr unsigned long kPlain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
constexpr MountPoint kMountPoints[] = {
    {"proc", "/proc", kPlain, "", 0},
    {"sysfs", "/sys", kPlain, "", 0},
    {"devtmpfs", "/dev", MS_NOSUID, "mode=0755", 0},
    {"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666", 0755},
    {"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", 01777},
    {"mqueue", "/dev/mqueue", kPlain, "", 01777},
    {"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755", 0},
    // As systemd mounts it: the behaviour that container tools expect.
    {"cgroup2", "/sys/fs/cgroup", kPlain, "nsdelegate,memory_recursiveprot", 0},
};

void MountAll() {
  for (const MountPoint& point : kMountPoints) {
    if (point.make_directory != 0) ::mkdir(point.target, point.make_directory);
    if (::mount(point.type, point.target, point.type, point.flags, point.options) == 0) continue;
    // The kernel may have mounted /dev itself.
    if (errno == EBUSY) continue;
    LogError("mount {} on {}: {}", point.type, point.target, std::strerror(errno));
  }
}

// PID 1 may have been started without a console: descriptors 0 to 2 must not become something
// else's.
void OpenStandardStreams() {
  const int fd = ::open("/dev/null", O_RDWR);
  if (fd < 0) return;
  if (fd > STDERR_FILENO) {
    ::close(fd);
    return;
  }
  while (::dup(fd) <= STDERR_FILENO) {
  }
}

bool WriteSetting(const char* path, std::string_view value) {
  const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return false;
  return ::write(fd.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size());
}

// Every controller for every container: what the root does not pass down, no limit can use.
void EnableControllers() {
  const Result<std::string> controllers = ReadFile("/sys/fs/cgroup/cgroup.controllers", 4096);
  if (!controllers) {
    LogError("read the list of cgroup controllers: {}", controllers.error().ToString());
    return;
  }
  std::string enable;
  for (size_t begin = 0; begin < controllers->size();) {
    const size_t end = controllers->find_first_of(" \n", begin);
    const std::string name = controllers->substr(begin, end - begin);
    if (!name.empty()) enable += (enable.empty() ? "+" : " +") + name;
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  if (!WriteSetting("/sys/fs/cgroup/cgroup.subtree_control", enable)) {
    LogError("enable the cgroup controllers '{}': {}", enable, std::strerror(errno));
  }
}

struct Setting {
  const char* path;
  const char* value;
};

constexpr Setting kSettings[] = {
    // Docker sets these two in each container's network namespace: ping and low ports without
    // privileges.
    {"/proc/sys/net/ipv4/ping_group_range", "0 2147483647"},
    {"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"},
    // systemd's defaults, so those of nearly every docker host.
    {"/proc/sys/kernel/pid_max", "4194304"},
    {"/proc/sys/fs/protected_hardlinks", "1"},
    {"/proc/sys/fs/protected_symlinks", "1"},
    {"/proc/sys/fs/protected_regular", "2"},
    {"/proc/sys/fs/protected_fifos", "1"},
    // Databases and runtimes map many files; the kernel's default of 65,530 is too few for them.
    {"/proc/sys/vm/max_map_count", "262144"},
    // The machine is as small as its container's limit, and by default the kernel refuses a mapping
    // larger than the machine. On a docker host it succeeds, and the limit strikes when it is used.
    {"/proc/sys/vm/overcommit_memory", "1"},
};

void ApplySettings() {
  for (const Setting& setting : kSettings) {
    if (WriteSetting(setting.path, setting.value)) continue;
    // A kernel without the option lacks the file: nothing to tell.
    if (errno != ENOENT) LogWarning("set {}: {}", setting.path, std::strerror(errno));
  }
}

void BringLoopbackUp() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof(request.ifr_name) - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (!socket.valid() || ::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) {
    LogWarning("bring the loopback interface up: {}", std::strerror(errno));
  }
}

}  // namespace

void SetUpSystem() {
  ::umask(022);
  MountAll();
  OpenStandardStreams();
  StartKernelLog(true);
  EnableControllers();
  ApplySettings();
  BringLoopbackUp();
  if (::sethostname("hull", 4) != 0) LogWarning("set the hostname: {}", std::strerror(errno));
  SetUpLimits();
}

void SetUpLimits() {
  struct Limit {
    __rlimit_resource_t resource;
    rlim_t soft;
    rlim_t hard;
  };
  constexpr Limit kLimits[] = {
      {RLIMIT_NOFILE, 1048576, 1048576},
      {RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY},
      {RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY},
      {RLIMIT_MEMLOCK, 8 << 20, 8 << 20},
  };
  for (const Limit& limit : kLimits) {
    const rlimit value{limit.soft, limit.hard};
    if (::setrlimit(limit.resource, &value) != 0) {
      LogWarning("set resource limit {}: {}", static_cast<int>(limit.resource),
                 std::strerror(errno));
    }
  }
}

}  // namespace hull::agent
