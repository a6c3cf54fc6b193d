// How images are named: docker's names, and the places on this host that an image can come from.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull::images {

// A docker name in full: registry, repository, and a tag or a digest or both.
struct ImageName {
  std::string domain;      // "docker.io", "registry.example:5000"
  std::string repository;  // "library/busybox"
  std::string tag;         // may be empty when there is a digest
  std::string digest;      // "sha256:...", may be empty

  // "docker.io/library/busybox"
  std::string Repository() const { return domain + "/" + repository; }
  // "docker.io/library/busybox:latest"; with a digest, that instead of the tag.
  std::string Full() const;
};

// By docker's rules: "busybox" is docker.io/library/busybox:latest. kInvalidArgument says what is
// wrong.
Result<ImageName> ParseImageName(std::string_view text);

// As docker shows it: without "docker.io/" and "library/".
std::string FamiliarName(std::string_view full_name);

// What `hull pull` is given.
struct Source {
  enum class Kind { kRegistry, kOciLayout, kOciArchive, kDockerArchive };
  Kind kind = Kind::kRegistry;
  ImageName name;    // registry
  std::string path;  // the others: directory or file
  std::string tag;   // the others: which image in it; may be empty
};

// "docker://NAME", "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]", "docker-archive:FILE[:NAME]", or a
// name. As skopeo reads them, a path of a layout or archive has no colon in it.
Result<Source> ParseSource(std::string_view text);

}  // namespace hull::images
