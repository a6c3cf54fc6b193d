#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "relay.h"
#include "support.h"

namespace lab {
namespace {

constexpr uint32_t kMaximumOrderBytes = 4 << 20;
constexpr int kPortPatienceMs = 20'000;

int TryOpenPort(const std::string& name) {
  constexpr char kClass[] = "/sys/class/virtio-ports";
  DIR* directory = opendir(kClass);
  if (directory == nullptr) return -1;
  int fd = -1;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    const std::string device = entry->d_name;
    if (ReadFile(std::string(kClass) + "/" + device + "/name") != name + "\n") continue;
    fd = open(("/dev/" + device).c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    break;
  }
  closedir(directory);
  return fd;
}

// The kernel learns of ports, and of the host's side being open, by messages that arrive some time
// after boot.
int OpenPort(const std::string& name) {
  for (int waited_ms = 0; waited_ms < kPortPatienceMs; waited_ms += 10) {
    const int fd = TryOpenPort(name);
    if (fd >= 0) {
      pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
      for (; waited_ms < kPortPatienceMs; waited_ms += 10) {
        poll(&entry, 1, 0);
        if ((entry.revents & POLLHUP) == 0) return fd;
        usleep(10'000);
      }
    }
    usleep(10'000);
  }
  errno = 0;
  Die("the port %s did not appear", name.c_str());
}

void ReadExactly(int fd, char* data, size_t size) {
  while (size > 0) {
    const ssize_t got = read(fd, data, size);
    if (got > 0) {
      data += got;
      size -= static_cast<size_t>(got);
      continue;
    }
    if (got < 0 && errno != EAGAIN && errno != EINTR) Die("cannot read the order");
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    poll(&entry, 1, 1000);
  }
}

}  // namespace

Channels OpenPorts() {
  Channels channels;
  channels.control = OpenPort("lab.control");
  channels.input = OpenPort("lab.input");
  channels.output = OpenPort("lab.output");
  channels.error = OpenPort("lab.error");
  return channels;
}

Channels OpenSerial(const char* path) {
  const int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) Die("cannot open %s", path);
  termios settings{};
  tcgetattr(fd, &settings);
  cfmakeraw(&settings);
  cfsetspeed(&settings, B115200);
  tcsetattr(fd, TCSANOW, &settings);
  return Channels{.control = fd, .input = -1, .output = fd, .error = fd, .framed = true};
}

void SendControl(const Channels& channels, const std::string& line) {
  const std::string text = line + "\n";
  if (!channels.framed) {
    WriteAll(channels.control, text);
    return;
  }
  const uint32_t size = static_cast<uint32_t>(text.size());
  std::string frame = "C";
  frame.append(reinterpret_cast<const char*>(&size), sizeof size);
  WriteAll(channels.control, frame + text);
  tcdrain(channels.control);
}

std::string ReceiveOrder(const Channels& channels) {
  uint32_t size = 0;
  ReadExactly(channels.control, reinterpret_cast<char*>(&size), sizeof size);
  if (size == 0 || size > kMaximumOrderBytes) {
    errno = EMSGSIZE;
    Die("the order has %u bytes", size);
  }
  std::string records(size, '\0');
  ReadExactly(channels.control, records.data(), size);
  return records;
}

}  // namespace lab
