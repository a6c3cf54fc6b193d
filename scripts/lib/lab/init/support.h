// What every part of the lab's init needs: logging, the end, small files.
//
// This program is PID 1 of an emulated machine that lives for one command. It is built by the lab
// itself (scripts/lib/lab/initramfs.py) as one static binary, so it depends on nothing but libc and
// libstdc++.
#ifndef HULL_SCRIPTS_LAB_INIT_SUPPORT_H_
#define HULL_SCRIPTS_LAB_INIT_SUPPORT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lab {

// Writes one line to the kernel's log, which the host side keeps and shows when the lab dies.
[[gnu::format(printf, 1, 2)]] void Log(const char* format, ...);

// Logs the reason with errno's text, tells the host if a control channel is set, and switches the
// machine off.
[[noreturn, gnu::format(printf, 1, 2)]] void Die(const char* format, ...);

// The descriptor on which Die() tells the host its reason as an "error" line; -1 (the default) for
// none.
void SetErrorChannel(int fd);

[[noreturn]] void PowerOff();

// Writes all of `data`, waiting where the descriptor is non-blocking. False on error, errno set.
bool WriteAll(int fd, std::string_view data);

// Reads a whole small file; empty when it cannot be read.
std::string ReadFile(const std::string& path);

// Writes `text` to an existing file such as a sysctl. False on error, errno set.
bool WriteFile(const std::string& path, std::string_view text);

// mkdir -p. Existing directories are fine; other failures show when the directory is used.
void MakeDirectories(const std::string& path);

std::vector<std::string> Split(std::string_view text, char separator);

}  // namespace lab

#endif  // HULL_SCRIPTS_LAB_INIT_SUPPORT_H_
