// A container's /etc/passwd and /etc/group, and a user to look up in them: "user\0passwd\0group".
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "guest-agent/user.h"
#include "vmm/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hull::agent;
  // SAFETY: bytes seen as characters; the view ends where the input does.
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto next = [&text] {
    const size_t end = std::min(text.find('\0'), text.size());
    const std::string part(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
  };
  const std::string user = next();
  AccountFiles files;
  files.passwd = next();
  files.group = next();
  const hull::Result<Identity> identity = ResolveUser(files, user, {});
  if (!identity) return 0;
  HULL_CHECK(!identity->groups.empty() && identity->groups.front() == identity->gid);
  HULL_CHECK(!identity->home.empty());
  // Without a line that says so, nobody is anybody: a number stands for itself, in group 0.
  if (files.passwd.empty() && user.find(':') == std::string::npos) HULL_CHECK(identity->gid == 0);
  return 0;
}
