#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

namespace lab {
namespace {

int g_error_channel = -1;

void WriteKernelLog(const char* text) {
  const int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  // <3>: errors pass the console's quiet level, so they reach the host even before any port is
  // open.
  dprintf(fd, "<3>lab: %s\n", text);
  close(fd);
}

}  // namespace

void Log(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  WriteKernelLog(text);
}

void Die(const char* format, ...) {
  const int error = errno;
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  std::string message = text;
  if (error != 0) message += std::string(": ") + strerror(error);
  WriteKernelLog(message.c_str());
  if (g_error_channel >= 0) {
    WriteAll(g_error_channel, "error " + message + "\n");
    sleep(5);  // The host ends the machine as soon as it has read the line.
  }
  PowerOff();
}

void SetErrorChannel(int fd) {
  g_error_channel = fd;
}

void PowerOff() {
  sync();
  reboot(RB_POWER_OFF);
  for (;;) pause();
}

bool WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t written = write(fd, data.data(), data.size());
    if (written > 0) {
      data.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno != EAGAIN) return false;
    pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
    poll(&entry, 1, 1000);
  }
  return true;
}

std::string ReadFile(const std::string& path) {
  std::string text;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char buffer[4096];
  for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(got));
  }
  close(fd);
  return text;
}

bool WriteFile(const std::string& path, std::string_view text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool done = WriteAll(fd, text);
  const int error = errno;
  close(fd);
  errno = error;
  return done;
}

void MakeDirectories(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    mkdir(path.substr(0, slash).c_str(), 0755);
  }
  mkdir(path.c_str(), 0755);
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = text.find(separator);
    if (end != 0) parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

}  // namespace lab
