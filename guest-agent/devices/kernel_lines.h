// What the guest's kernel said lately, for error messages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hull::agent {

// The text of one record of /dev/kmsg, fit for a terminal; empty: not a message of the kernel's.
std::string KernelLine(std::string_view record);

// The newest `count` lines that have one of `words` in them, oldest first. `path`: /dev/kmsg. Empty
// when there are none, or it cannot be read.
std::vector<std::string> KernelLinesWith(const std::vector<std::string>& words, size_t count,
                                         const std::string& path = "/dev/kmsg");

// " (the guest's kernel: A; B)", or nothing.
std::string InKernelsWords(const std::vector<std::string>& lines);

}  // namespace hull::agent
