#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <vector>

#include "support.h"

namespace lab {
namespace {

// Where the plain, uncovered file systems stay reachable once tmpfs lie over parts of the root.
constexpr char kState[] = "/run/lab";

void Mount(const char* source, const std::string& target, const char* type, unsigned long flags = 0,
           const char* data = nullptr) {
  MakeDirectories(target);
  if (mount(source, target.c_str(), type, flags, data) != 0) {
    Die("cannot mount %s on %s", type != nullptr ? type : source, target.c_str());
  }
}

void TryMount(const char* source, const std::string& target, const char* type,
              const char* data = nullptr) {
  MakeDirectories(target);
  if (mount(source, target.c_str(), type, 0, data) != 0) {
    Log("no %s on %s: %s", type, target.c_str(), strerror(errno));
  }
}

// udev would make the nodes whose first opening loads a module; there is no udev here.
void MakeModuleNodes() {
  struct Node {
    const char* path;
    mode_t type;
    unsigned major, minor;
    mode_t permissions;
  };
  constexpr Node kNodes[] = {
      {"/dev/net/tun", S_IFCHR, 10, 200, 0666},   {"/dev/fuse", S_IFCHR, 10, 229, 0666},
      {"/dev/vhost-net", S_IFCHR, 10, 238, 0600}, {"/dev/vhost-vsock", S_IFCHR, 10, 241, 0600},
      {"/dev/vfio/vfio", S_IFCHR, 10, 196, 0666}, {"/dev/loop-control", S_IFCHR, 10, 237, 0660},
      {"/dev/cuse", S_IFCHR, 10, 203, 0600},
  };
  for (const Node& node : kNodes) {
    const std::string path = node.path;
    MakeDirectories(path.substr(0, path.rfind('/')));
    mknod(node.path, node.type | node.permissions, makedev(node.major, node.minor));
    chmod(node.path, node.permissions);
  }
}

void MountKernelFileSystems(const std::string& root) {
  Mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  Mount("sysfs", root + "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  Mount("devtmpfs", root + "/dev", "devtmpfs", MS_NOSUID);
}

void EnableControllers() {
  std::string enable;
  for (const std::string& name : Split(ReadFile("/sys/fs/cgroup/cgroup.controllers"), ' ')) {
    enable += "+" + name.substr(0, name.find('\n')) + " ";
  }
  if (!WriteFile("/sys/fs/cgroup/cgroup.subtree_control", enable)) {
    Log("cannot enable the controllers %s: %s", enable.c_str(), strerror(errno));
  }
}

void RaiseLoopback() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0) Log("no loopback: %s", strerror(errno));
  if (fd >= 0) close(fd);
}

// What every lab gets, whatever its root is.
void FinishSystem() {
  TryMount("devpts", "/dev/pts", "devpts", "mode=620,ptmxmode=666,gid=5");
  TryMount("tmpfs", "/dev/shm", "tmpfs", "mode=1777");
  TryMount("mqueue", "/dev/mqueue", "mqueue");
  TryMount("cgroup2", "/sys/fs/cgroup", "cgroup2");
  TryMount("debugfs", "/sys/kernel/debug", "debugfs");
  TryMount("tracefs", "/sys/kernel/tracing", "tracefs");
  TryMount("bpf", "/sys/fs/bpf", "bpf");
  TryMount("securityfs", "/sys/kernel/security", "securityfs");
  EnableControllers();
  MakeModuleNodes();
  symlink("/proc/self/fd", "/dev/fd");
  symlink("/proc/self/fd/0", "/dev/stdin");
  symlink("/proc/self/fd/1", "/dev/stdout");
  symlink("/proc/self/fd/2", "/dev/stderr");
  RaiseLoopback();
  if (sethostname("lab", 3) != 0) Log("cannot set the host name: %s", strerror(errno));
  const rlimit files{.rlim_cur = 1024, .rlim_max = 1048576};
  setrlimit(RLIMIT_NOFILE, &files);
}

// Puts back what lies under a directory that a fresh tmpfs now covers: a checkout in /tmp stays
// visible.
void Uncover(const std::string& path) {
  const std::string plain = std::string(kState) + "/root" + path;
  struct stat status {};
  struct stat visible {};
  if (stat(plain.c_str(), &status) != 0) return;
  if (stat(path.c_str(), &visible) == 0 && visible.st_ino == status.st_ino &&
      visible.st_dev == status.st_dev) {
    return;
  }
  if (!S_ISDIR(status.st_mode)) return;
  MakeDirectories(path);
  if (mount(plain.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    Die("cannot show %s in the lab", path.c_str());
  }
}

void MountStore(const Order& order) {
  const std::string state = std::string(kState) + "/store";
  if (order.store.empty()) {
    Mount("tmpfs", "/var/lib/hull", "tmpfs", 0, "mode=755,size=80%");
    return;
  }
  Mount("tmpfs", state, "tmpfs", 0, "mode=700,size=80%");
  MakeDirectories(state + "/upper");
  MakeDirectories(state + "/work");
  const std::string data = "lowerdir=" + std::string(kState) + "/host" + order.store +
                           ",upperdir=" + state + "/upper,workdir=" + state + "/work";
  Mount("store", "/var/lib/hull", "overlay", 0, data.c_str());
}

void SwitchRoot(const std::string& root) {
  if (chdir(root.c_str()) != 0) Die("cannot enter %s", root.c_str());
  if (mount(".", "/", nullptr, MS_MOVE, nullptr) != 0) Die("cannot move the root");
  if (chroot(".") != 0 || chdir("/") != 0) Die("cannot change the root");
}

void Coldplug() {
  // No udev: drivers of the PCI devices that the user added are loaded here, by their modaliases.
  const int result = system(
      "cat /sys/bus/pci/devices/*/modalias 2>/dev/null | sort -u | xargs -r /sbin/modprobe -qab "
      ">/dev/null 2>&1");
  if (result == -1) Log("cannot load the drivers of PCI devices: %s", strerror(errno));
}

}  // namespace

void MountEarly() {
  MountKernelFileSystems("");
  // Everything below may fail before a port is open; the kernel's log is the way to say so.
  umask(022);
}

void LoadModules() {
  for (const std::string& path : Split(ReadFile("/modules.list"), '\n')) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) Die("cannot open the module %s", path.c_str());
    if (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST) {
      // The KVM modules refuse a machine that lacks them; the command that needs them will say so
      // itself.
      Log("cannot load %s: %s", path.c_str(), strerror(errno));
    }
    close(fd);
  }
}

void Freshen(const Order& order) {
  if (order.time_ns != 0) {
    timespec now{};
    now.tv_sec = static_cast<time_t>(order.time_ns / 1'000'000'000);
    now.tv_nsec = static_cast<long>(order.time_ns % 1'000'000'000);
    if (clock_settime(CLOCK_REALTIME, &now) != 0) Log("cannot set the clock: %s", strerror(errno));
  }
  if (order.seed.empty()) return;
  // RNDADDENTROPY takes two ints, the bits of entropy and the bytes, and then the bytes.
  std::vector<int> pool(2 + order.seed.size() / sizeof(int));
  const size_t bytes = (pool.size() - 2) * sizeof(int);
  memcpy(pool.data() + 2, order.seed.data(), bytes);
  pool[0] = static_cast<int>(bytes * 4);  // Four bits in each hexadecimal digit.
  pool[1] = static_cast<int>(bytes);
  const int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
  if (fd < 0 || ioctl(fd, RNDADDENTROPY, pool.data()) != 0 || ioctl(fd, RNDRESEEDCRNG) != 0) {
    Log("cannot seed the random numbers: %s", strerror(errno));
  }
  if (fd >= 0) close(fd);
}

void EnterSharedRoot(const Order& order) {
  // cache=loose: the host's files do not change under a running command, and pages can be mapped.
  Mount("root", "/host", "9p", MS_RDONLY,
        "trans=virtio,version=9p2000.L,msize=512000,cache=loose,access=any");
  Mount("tmpfs", "/upper", "tmpfs", 0, "mode=755,size=80%");
  MakeDirectories("/upper/data");
  MakeDirectories("/upper/work");
  Mount("root", "/new", "overlay", 0, "lowerdir=/host,upperdir=/upper/data,workdir=/upper/work");

  Mount("tmpfs", "/new/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=80%");
  const std::string state = std::string("/new") + kState;
  Mount("/new", state + "/root", nullptr, MS_BIND);
  MakeDirectories(state + "/host");
  if (mount("/host", (state + "/host").c_str(), nullptr, MS_MOVE, nullptr) != 0) {
    Die("cannot move the host's root");
  }
  MountKernelFileSystems("/new");
  SwitchRoot("/new");

  for (const char* path : {"/tmp", "/var/tmp"}) {
    Mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=80%");
  }
  Mount("tmpfs", "/home/lab", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=80%");
  for (const std::string& path : order.keep) Uncover(path);
  if (!order.modules.empty()) {
    Mount((std::string(kState) + "/host" + order.modules).c_str(), "/lib/modules", nullptr,
          MS_BIND);
  }
  if (!order.out.empty()) {
    // cache=none: what the command writes is on the host when the write returns.
    Mount("out", order.out, "9p", 0,
          "trans=virtio,version=9p2000.L,msize=512000,cache=none,access=any");
  }
  MountStore(order);
  FinishSystem();
  if (order.coldplug) Coldplug();
}

void PrepareOwnRoot() {
  // Nobody can pivot_root() away from the very first root, and jails want to: its copy by bind
  // mount takes its place.
  Mount("/", "/new", nullptr, MS_BIND | MS_REC);
  SwitchRoot("/new");
  Mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=80%");
  Mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=80%");
  FinishSystem();
}

}  // namespace lab
