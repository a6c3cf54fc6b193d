// Container Device Interface: JSON files in which vendors say what a container needs that asks for
// "vendor.com/class=name". Versions 0.3.0 to 0.8.0 of the specification, and 1.0.0, which adds
// nothing to it. (The specification's files may be YAML, too; those are not read, and named when a
// device is not found.)
//
// The files are the operator's, yet often made by a program out of something else: they are read as
// hostile, with caps on everything, and an error names file and field.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/devices/host_tree.h"
#include "vmm/base/result.h"

namespace hull::devices {

// What to change in a container. All strings are as the file has them.
struct CdiEdits {
  struct DeviceNode {
    std::string path;       // in the container
    std::string host_path;  // on the host; the same as `path` unless the file says otherwise
  };
  struct Mount {
    std::string host_path;
    std::string container_path;
    std::string type;
    std::vector<std::string> options;
  };

  std::vector<std::string> environment;  // "NAME=value"
  std::vector<DeviceNode> device_nodes;
  std::vector<Mount> mounts;
  std::vector<uint32_t> additional_gids;
  // What hull cannot do, as "containerEdits.hooks[0] (createContainer)"; asked for, it is an error.
  std::vector<std::string> unsupported;
};

struct CdiSpec {
  std::string file;
  std::string kind;  // "vendor.com/class"
  CdiEdits edits;    // for each of its devices
  std::map<std::string, CdiEdits, std::less<>> devices;
};

inline constexpr uint64_t kMaxCdiFileBytes = uint64_t{1} << 20U;

// kInvalidArgument: "FILE: devices[2].containerEdits.env[0]: ...".
Result<CdiSpec> ParseCdiSpec(std::string_view text, std::string_view file);

// "vendor.com/class=name": whether it has that form, as opposed to a path or an address.
bool IsCdiName(std::string_view text);

class CdiRegistry {
 public:
  // Of each directory the *.json files. What is in a later directory goes before what is in an
  // earlier one. A file that is wrong does not keep the others from being used.
  static CdiRegistry Load(const HostTree& host, const std::vector<std::string>& directories = {
                                                    "/etc/cdi", "/var/run/cdi"});

  // Adds what `name` ("vendor.com/class=name") asks for to `edits`; a file's edits for all its
  // devices come in once, however many of them are named. kNotFound; kInvalidArgument: two files of
  // one directory have the device; kUnsupported: it asks for what hull cannot do.
  Status Apply(const std::vector<std::string>& names, CdiEdits& edits) const;

  // Of files that could not be used.
  const std::vector<Error>& errors() const { return errors_; }

 private:
  struct Loaded {
    size_t priority = 0;
    CdiSpec spec;
  };

  Result<const CdiSpec*> Find(std::string_view kind, std::string_view device) const;
  Error NotFound(std::string_view name) const;

  std::vector<Loaded> specs_;
  std::vector<Error> errors_;
  std::vector<std::string> yaml_files_;
};

}  // namespace hull::devices
