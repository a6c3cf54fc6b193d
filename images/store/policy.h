// The host's signature policy (containers-policy.json(5)). skopeo enforces it; the store has to
// know only whether there is anything to enforce before it takes a way that goes past skopeo.
#pragma once

#include <string>
#include <string_view>

namespace hull::images {

// Whether policy `text` accepts everything from everywhere. False for what cannot be understood.
bool AcceptsAnything(std::string_view text);

// The same for the policy that skopeo would use: `file` if not empty, else the user's, else the
// host's. Without any policy there is nothing to enforce.
bool HostAcceptsAnything(const std::string& file);

}  // namespace hull::images
