#include "runtime/devices/cdi.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include "runtime/devices/cdi_reader.h"
#include "vmm/base/escape.h"
#include "vmm/base/unique_fd.h"

namespace hull::devices {
namespace {

constexpr size_t kMaxFiles = 1024;

// A FIFO or a device in the directory must not hold us, nor a file that grows.
Result<std::string> ReadRegularFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return FailErrno("open");
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return FailErrno("stat");
  if (!S_ISREG(status.st_mode)) return Fail(ErrorCode::kInvalidArgument, "it is no regular file");
  std::string text;
  std::array<char, 16 * 1024> buffer{};
  for (;;) {
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("read");
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(count));
    if (text.size() > kMaxCdiFileBytes) {
      return Fail(ErrorCode::kExhausted, "it is larger than {} KiB", kMaxCdiFileBytes >> 10U);
    }
  }
}

void Append(const CdiEdits& from, CdiEdits& to) {
  const auto append = [](const auto& source, auto& target) {
    target.insert(target.end(), source.begin(), source.end());
  };
  append(from.environment, to.environment);
  append(from.device_nodes, to.device_nodes);
  append(from.mounts, to.mounts);
  append(from.additional_gids, to.additional_gids);
}

Status CheckSupported(const CdiSpec& spec, const CdiEdits& edits, std::string_view name) {
  if (edits.unsupported.empty()) return {};
  return Fail(
      Error(ErrorCode::kUnsupported,
            fmt::format("CDI device {}: {}: {}: hull does not do that: the container is in a "
                        "VM, which programs and settings of the host do not reach",
                        EscapeControl(name), spec.file, edits.unsupported.front()))
          .WithHint("a CDI file for VMs names VFIO devices (/dev/vfio/GROUP), environment "
                    "and mounts"));
}

}  // namespace

bool IsCdiName(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return false;
  return IsCdiKind(text.substr(0, equals)) && IsCdiDeviceName(text.substr(equals + 1));
}

CdiRegistry CdiRegistry::Load(const HostTree& host, const std::vector<std::string>& directories) {
  CdiRegistry registry;
  size_t priority = 0;
  for (const std::string& directory : directories) {
    for (const std::string& name : host.List(directory, kMaxFiles)) {
      const std::string path = directory + "/" + name;
      if (name.ends_with(".yaml") || name.ends_with(".yml")) {
        registry.yaml_files_.push_back(EscapeControl(path));
      }
      if (!name.ends_with(".json")) continue;
      const Result<std::string> text = ReadRegularFile(host.Real(path));
      Result<CdiSpec> spec =
          text ? ParseCdiSpec(*text, path)
               : Result<CdiSpec>(Fail(Error(text.error()).Within(EscapeControl(path))));
      if (spec) {
        registry.specs_.push_back({priority, std::move(*spec)});
      } else {
        registry.errors_.push_back(std::move(spec).error());
      }
    }
    ++priority;
  }
  return registry;
}

Result<const CdiSpec*> CdiRegistry::Find(std::string_view kind, std::string_view device) const {
  const Loaded* best = nullptr;
  const Loaded* rival = nullptr;
  for (const Loaded& loaded : specs_) {
    if (loaded.spec.kind != kind || !loaded.spec.devices.contains(device)) continue;
    if (best == nullptr || loaded.priority > best->priority) {
      best = &loaded;
      rival = nullptr;
    } else if (loaded.priority == best->priority) {
      rival = &loaded;
    }
  }
  if (best == nullptr) return nullptr;
  if (rival == nullptr) return &best->spec;
  return Fail(Error(ErrorCode::kInvalidArgument,
                    fmt::format("CDI device {}={} is in two files: {} and {}", kind, device,
                                best->spec.file, rival->spec.file))
                  .WithHint("take it out of one of them, or move one to /var/run/cdi, which goes "
                            "before /etc/cdi"));
}

Error CdiRegistry::NotFound(std::string_view name) const {
  // Docker's words; behind them, what may have kept it from being found.
  Error error = MakeError(ErrorCode::kNotFound, "unresolvable CDI devices {}", EscapeControl(name));
  if (!errors_.empty()) {
    return std::move(error).WithHint("a CDI file is wrong: " + errors_.front().ToString());
  }
  if (!yaml_files_.empty()) {
    return std::move(error).WithHint(
        fmt::format("hull reads CDI files in JSON, and {} is YAML: have it written as JSON",
                    yaml_files_.front()));
  }
  return std::move(error).WithHint("CDI files are in /etc/cdi and /var/run/cdi");
}

Status CdiRegistry::Apply(const std::vector<std::string>& names, CdiEdits& edits) const {
  std::set<const CdiSpec*> applied;
  for (const std::string& name : names) {
    if (!IsCdiName(name)) {
      return Fail(ErrorCode::kInvalidArgument, "'{}' is no CDI device name (vendor.com/class=name)",
                  EscapeControl(name));
    }
    const size_t equals = name.find('=');
    const std::string_view device = std::string_view(name).substr(equals + 1);
    HULL_ASSIGN(const CdiSpec* const spec, Find(std::string_view(name).substr(0, equals), device));
    if (spec == nullptr) return Fail(NotFound(name));
    const CdiEdits& own = spec->devices.find(device)->second;
    HULL_TRY(CheckSupported(*spec, own, name));
    HULL_TRY(CheckSupported(*spec, spec->edits, name));
    Append(own, edits);
    if (applied.insert(spec).second) Append(spec->edits, edits);
  }
  return {};
}

}  // namespace hull::devices
