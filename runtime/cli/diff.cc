// hull diff: what a container has changed of its image's files.
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "guest-agent/protocol/chunk_stream.h"
#include "runtime/cli/command.h"
#include "runtime/container_files.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

// A record is a letter, a path and a NUL; longer than this it is none.
constexpr size_t kMaxRecordBytes = 8192;

// Prints whole records as they come. The guest's word: nothing of it is taken for granted.
class Printer {
 public:
  Status Add(std::span<const std::byte> data) {
    for (const std::byte byte : data) {
      const char c = static_cast<char>(byte);
      if (c != '\0') {
        record_ += c;
        if (record_.size() > kMaxRecordBytes) return Fail(Corrupt());
        continue;
      }
      if (record_.size() < 2 ||
          std::string_view("ACD").find(record_[0]) == std::string_view::npos) {
        return Fail(Corrupt());
      }
      text_ += fmt::format("{} {}\n", record_[0], EscapeControl(record_.substr(1)));
      record_.clear();
    }
    const std::string text = std::exchange(text_, {});
    return WriteAll(STDOUT_FILENO, text);
  }
  Status Finish() const { return record_.empty() ? Status() : Fail(Corrupt()); }

 private:
  static Error Corrupt() { return {ErrorCode::kCorrupt, "the guest's list of changes is damaged"}; }

  std::string record_;
  std::string text_;
};

Status PrintChanges(ContainerFiles& files) {
  agent::v1::Archive archive;
  archive.set_operation(agent::v1::Archive::CHANGES);
  HULL_ASSIGN(const UniqueFd socket, files.OpenArchive(archive));
  agent::ChunkReceiver receiver(socket.get());
  Printer printer;
  for (;;) {
    HULL_ASSIGN(const std::span<const std::byte> chunk, receiver.Next());
    if (chunk.empty()) break;
    HULL_TRY(printer.Add(chunk));
  }
  if (receiver.end().code() != 0) return Fail(agent::ToArchiveError(receiver.end()));
  return printer.Finish();
}

Status Diff(const std::string& name, const GlobalOptions& global) {
  HULL_ASSIGN(const HostLayout layout, FindHostLayout(global.root, global.state));
  const Containers containers(layout);
  HULL_ASSIGN(const ContainerRecord record, containers.Load(name));
  // Nothing has written there yet.
  if (record.state.starts == 0 && access(containers.ScratchPath(record.id).c_str(), F_OK) != 0) {
    return {};
  }
  HULL_ASSIGN(const std::unique_ptr<ContainerFiles> files,
              ContainerFiles::Open(containers, record));
  Status printed = PrintChanges(*files);
  Status finished = files->Finish();
  HULL_TRY(printed);
  return finished;
}

Action DeclareDiff(CLI::App&, const GlobalOptions& global) {
  return [&global](const std::vector<std::string>& names) {
    const Status printed = Diff(names.front(), global);
    if (printed) return 0;
    PrintError(printed.error());
    return kExitFailed;
  };
}

}  // namespace

extern const Command kDiff;
constinit const Command kDiff = {
    .name = "diff",
    .group = Group::kContainers,
    .aliases = "container diff",
    .summary = "List what a container has changed of its image's files",
    .arguments = "CONTAINER",
    .description =
        "A line for each path: A for added, C for changed, D for deleted. Mounts and the "
        "places that were made for them do not count.",
    .declare = DeclareDiff,
};

}  // namespace hull::cli
