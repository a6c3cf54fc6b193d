// hull container prune, hull system prune (hull prune): remove what is not needed any more.
#include "runtime/cli/prune.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/image_removal.h"
#include "runtime/container_lock.h"
#include "runtime/directory_files.h"
#include "runtime/format/human.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull::cli {
namespace {

constexpr uint64_t kStatBlockBytes = 512;
constexpr size_t kMaxAnswerBytes = 100;

uint64_t DiskBytes(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return 0;
  return static_cast<uint64_t>(status.st_blocks) * kStatBlockBytes;
}

uint64_t DiskBytesIn(const std::string& directory) {
  uint64_t bytes = 0;
  static_cast<void>(ForEachName(directory, [&](std::string_view name) {
    bytes += DiskBytes(fmt::format("{}/{}", directory, name));
  }));
  return bytes;
}

// "name" or "name=value".
bool HasLabel(const ContainerRecord& record, std::string_view wanted) {
  return std::any_of(record.labels.begin(), record.labels.end(), [wanted](std::string_view label) {
    return label == wanted || (wanted.find('=') == std::string_view::npos &&
                               label.substr(0, label.find('=')) == wanted);
  });
}

struct Filter {
  std::optional<int64_t> until_ns;
  std::vector<std::string> with;
  std::vector<std::string> without;

  bool Matches(const ContainerRecord& record) const {
    if (until_ns && record.created_at_ns >= *until_ns) return false;
    return std::all_of(with.begin(), with.end(),
                       [&](const auto& label) { return HasLabel(record, label); }) &&
           std::none_of(without.begin(), without.end(),
                        [&](const auto& label) { return HasLabel(record, label); });
  }
};

Result<Filter> ParseFilters(const std::vector<std::string>& filters) {
  Filter filter;
  for (const std::string& text : filters) {
    if (text.starts_with("until=")) {
      HULL_ASSIGN_WITHIN("--filter", filter.until_ns,
                         format::ParseTimeArgument(text.substr(6), NowNs()));
    } else if (text.starts_with("label=")) {
      filter.with.push_back(text.substr(6));
    } else if (text.starts_with("label!=")) {
      filter.without.push_back(text.substr(7));
    } else {
      return Fail(ErrorCode::kInvalidArgument, "invalid filter '{}'",
                  text.substr(0, text.find('=')));
    }
  }
  return filter;
}

// Templates of writable layers whose maker was killed: "template-...<pid>.new".
bool IsAbandoned(std::string_view name) {
  if (!name.ends_with(".new") && !name.ends_with(".sparse")) return false;
  name.remove_suffix(name.size() - name.rfind('.'));
  const std::string_view digits = name.substr(name.rfind('.') + 1);
  pid_t pid = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), pid);
  return parsed.ec == std::errc() && pid > 0 && kill(pid, 0) != 0 && errno == ESRCH;
}

bool Confirm(std::string_view warning) {
  const std::string question =
      fmt::format("WARNING! {}\nAre you sure you want to continue? [y/N] ", warning);
  if (!WriteAll(STDOUT_FILENO, question)) return false;
  std::string answer;
  char byte = 0;
  while (answer.size() < kMaxAnswerBytes && read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n') {
    answer += byte;
  }
  return answer == "y" || answer == "Y";
}

struct PruneFlags {
  bool force = false;
  bool all = false;
  std::vector<std::string> filters;
};

std::string TextOfPruned(const PrunedContainers& pruned) {
  if (pruned.ids.empty()) return {};
  std::string text = "Deleted Containers:\n";
  for (const std::string& id : pruned.ids) text += id + "\n";
  return text + "\n";
}

Result<std::string> PruneOnlyContainers(const PruneFlags& flags, const GlobalOptions& global) {
  HULL_ASSIGN(HostLayout layout, FindHostLayout(global.root, global.state));
  const Containers containers(std::move(layout));
  HULL_ASSIGN(const PrunedContainers pruned, PruneContainers(containers, flags.filters));
  return TextOfPruned(pruned) +
         fmt::format("Total reclaimed space: {}\n", format::HumanSize(pruned.freed_bytes));
}

Result<std::string> PruneAll(const PruneFlags& flags, const GlobalOptions& global) {
  HULL_ASSIGN(HostLayout layout, FindHostLayout(global.root, global.state));
  const Containers containers(std::move(layout));
  uint64_t freed_bytes = PruneLeftovers(containers);
  HULL_ASSIGN(const PrunedContainers pruned, PruneContainers(containers, flags.filters));
  HULL_ASSIGN(const ImagePruneResult images, PruneImages({flags.all, flags.filters}, global));
  freed_bytes += pruned.freed_bytes + images.freed_bytes;
  return TextOfPruned(pruned) + images.text + (images.text.empty() ? "" : "\n") +
         fmt::format("Total reclaimed space: {}\n", format::HumanSize(freed_bytes));
}

int Answer(const Result<std::string>& text) {
  if (!text) {
    PrintError(text.error());
    return kExitFailed;
  }
  return WriteAll(STDOUT_FILENO, *text) ? 0 : kExitFailed;
}

void DeclareFlags(CLI::App& app, PruneFlags& flags) {
  app.add_option("--filter", flags.filters, "Only these: label=, label!=, until=")
      ->type_name("NAME=VALUE");
  app.add_flag("-f,--force", flags.force, "Do not ask");
}

Action DeclareContainerPrune(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<PruneFlags>();
  DeclareFlags(app, *flags);
  return [flags, &global](const std::vector<std::string>&) {
    if (!flags->force && !Confirm("This will remove all stopped containers.")) return kExitFailed;
    return Answer(PruneOnlyContainers(*flags, global));
  };
}

Action DeclareSystemPrune(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<PruneFlags>();
  DeclareFlags(app, *flags);
  app.add_flag("-a,--all", flags->all,
               "All images that no container uses, not only those without a name");
  return [flags, &global](const std::vector<std::string>&) {
    const std::string warning = fmt::format(
        "This will remove:\n  - all stopped containers\n  - {}\n  - what killed commands left\n",
        flags->all ? "all images without at least one container associated to them"
                   : "all dangling images");
    if (!flags->force && !Confirm(warning)) return kExitFailed;
    return Answer(PruneAll(*flags, global));
  };
}

}  // namespace

Result<PrunedContainers> PruneContainers(const Containers& containers,
                                         const std::vector<std::string>& filters) {
  HULL_ASSIGN(const Filter filter, ParseFilters(filters));
  HULL_ASSIGN(const std::vector<ContainerRecord> records, containers.List());
  PrunedContainers pruned;
  for (const ContainerRecord& record : records) {
    if (IsRunning(record) || !filter.Matches(record)) continue;
    // About to be started, or about to have ended: not stopped.
    if (IsLocked(containers.RunDirectoryPath(record.id))) continue;
    const uint64_t bytes = DiskBytesIn(containers.Directory(record.id));
    const Status removed = containers.Remove(record.id);
    if (removed) {
      pruned.ids.push_back(record.id);
      pruned.freed_bytes += bytes;
    } else if (removed.error().code() != ErrorCode::kNotFound &&
               removed.error().code() != ErrorCode::kUnavailable) {
      log::Warn("container {}: {}", record.id, removed.error().ToString());
    }
  }
  return pruned;
}

uint64_t PruneLeftovers(const Containers& containers) {
  containers.Sweep();
  if (const Result<NamesLock> names = NamesLock::Take(containers)) names->RemoveStale();
  uint64_t bytes = 0;
  const std::string scratch = containers.layout().store_root + "/scratch";
  static_cast<void>(ForEachName(scratch, [&](std::string_view name) {
    if (!IsAbandoned(name)) return;
    const std::string path = fmt::format("{}/{}", scratch, name);
    bytes += DiskBytes(path);
    unlink(path.c_str());
  }));
  const Result<std::vector<ContainerRecord>> records = containers.List();
  if (!records) return bytes;
  for (const ContainerRecord& record : *records) {
    // What was being written when its writer was killed; nobody writes while it is locked.
    const Result<ContainerLock> lock = ContainerLock::TryTake(containers, record.id);
    if (!lock || IsLocked(containers.RunDirectoryPath(record.id))) continue;
    for (const char* name : {"container.json.new", "config.json.new", "scratch.img.new"}) {
      unlink(fmt::format("{}/{}", containers.Directory(record.id), name).c_str());
    }
  }
  return bytes;
}

extern const Command kContainerPrune;
constinit const Command kContainerPrune = {
    .name = "container prune",
    .group = Group::kContainers,
    .summary = "Remove all stopped containers",
    .arguments = "[OPTIONS]",
    .declare = DeclareContainerPrune,
};

extern const Command kSystemPrune;
constinit const Command kSystemPrune = {
    .name = "prune",
    .group = Group::kSystem,
    .aliases = "system prune",
    .summary = "Remove stopped containers, images without a name, and what killed commands left",
    .arguments = "[OPTIONS]",
    .declare = DeclareSystemPrune,
};

}  // namespace hull::cli
