// Who a container's process runs as: "name|uid[:group|gid]" against the container's own /etc/passwd
// and /etc/group, with docker's rules.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull::agent {

struct Identity {
  uint32_t uid = 0;
  uint32_t gid = 0;
  // Supplementary groups; like docker's, they begin with gid.
  std::vector<uint32_t> groups;
  std::string home = "/";
};

// The texts of the two files; empty when a container has none.
struct AccountFiles {
  std::string passwd;
  std::string group;
};

// Reads them below `rootfs` without ever leaving it, whatever symbolic links are there. A missing
// file is empty; what is not a regular file, or larger than 16 MiB, is an error.
Result<AccountFiles> ReadAccountFiles(const std::string& rootfs);

// docker's rules: a name wins over a number; a number need not be in the file (its group is then
// 0); with a group given there are no supplementary groups but `additional`, which are names or
// numbers too. kNotFound: a name that is not there; kInvalidArgument: a number out of range, or too
// many groups.
Result<Identity> ResolveUser(const AccountFiles& files, std::string_view user,
                             const std::vector<std::string>& additional);

// The name of a number; empty when the file does not have it.
std::string NameOfUser(const AccountFiles& files, uint32_t user);
std::string NameOfGroup(const AccountFiles& files, uint32_t group);

// Numbers of groups by name or number, as ResolveUser does for `additional`.
Result<std::vector<uint32_t>> ResolveGroups(const AccountFiles& files,
                                            const std::vector<std::string>& groups);

}  // namespace hull::agent
