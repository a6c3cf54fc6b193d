// hull commit: an image of what a container has changed.
#include "images/store/commit.h"

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "guest-agent/protocol/chunk_stream.h"
#include "images/store/store.h"
#include "runtime/cli/command.h"
#include "runtime/cli/image_store.h"
#include "runtime/container_files.h"
#include "runtime/events.h"
#include "runtime/format/human.h"
#include "runtime/image_changes.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

namespace json = boost::json;

struct CommitFlags {
  std::string author;
  std::vector<std::string> changes;
  std::string message;
  bool pause = true;
};

// The layer's tar as it comes; the guest's word, so no more of it than a layer may have.
Status WriteLayer(ContainerFiles& files, bool pause, int fd) {
  agent::v1::Archive archive;
  archive.set_operation(agent::v1::Archive::LAYER);
  archive.set_pause(pause);
  HULL_ASSIGN(const UniqueFd socket, files.OpenArchive(archive));
  agent::ChunkReceiver receiver(socket.get());
  const uint64_t limit = images::ImportLimits().layer_bytes;
  for (;;) {
    HULL_ASSIGN(const std::span<const std::byte> chunk, receiver.Next());
    if (chunk.empty()) break;
    if (receiver.data_bytes() > limit) {
      return Fail(ErrorCode::kExhausted, "the layer is larger than {} bytes", limit);
    }
    HULL_TRY_WITHIN("write the layer", WriteAll(fd, chunk));
  }
  for (const std::string& warning : receiver.end().warnings()) {
    static_cast<void>(
        WriteAll(STDERR_FILENO, fmt::format("hull: {}\n", EscapeControl(warning.substr(0, 512)))));
  }
  if (receiver.end().code() != 0) return Fail(agent::ToArchiveError(receiver.end()));
  return {};
}

// The image's configuration with what the container was made with, as docker has it, and the
// user's changes.
Result<json::object> MakeConfig(const images::Image& base, const ContainerRecord& record,
                                const CommitFlags& flags) {
  json::error_code failed;
  json::value parsed = json::parse(base.config, failed);
  if (failed || !parsed.is_object()) {
    return Fail(ErrorCode::kCorrupt, "the configuration of image {} is damaged", base.id);
  }
  json::object config = std::move(parsed.get_object());
  json::value& inner = config["config"];
  if (!inner.is_object()) inner.emplace_object();
  json::object& process = inner.get_object();
  const json::value* shown = record.shown.if_contains("Config");
  if (shown != nullptr && shown->is_object()) {
    for (const char* key : {"Cmd", "Entrypoint", "Env", "ExposedPorts", "Labels", "StopSignal",
                            "User", "Volumes", "WorkingDir"}) {
      const json::value* value = shown->get_object().if_contains(key);
      if (value == nullptr) continue;
      if (value->is_null()) {
        process.erase(key);
      } else {
        process[key] = *value;
      }
    }
  }
  for (const std::string& change : flags.changes) HULL_TRY(ApplyImageChange(process, change));
  if (!flags.author.empty()) config["author"] = flags.author;
  config["created"] = format::Rfc3339Nano(NowNs());
  config["container"] = record.id;
  return config;
}

Result<std::string> Commit(const std::vector<std::string>& arguments, const CommitFlags& flags,
                           const GlobalOptions& global) {
  HULL_ASSIGN(const HostLayout layout, FindHostLayout(global.root, global.state));
  const Containers containers(layout);
  HULL_ASSIGN(const ContainerRecord record, containers.Load(arguments.front()));
  HULL_ASSIGN(images::Store store, OpenImageStore(layout));
  images::CommitRequest request;
  HULL_ASSIGN_WITHIN("the container's image", request.base, store.Resolve(record.image_id));
  HULL_ASSIGN(request.config, MakeConfig(request.base, record, flags));
  if (arguments.size() > 1) request.name = arguments[1];
  for (const std::string& word : record.process.command) {
    request.created_by += (request.created_by.empty() ? "" : " ") + word;
  }
  request.comment = flags.message;
  HULL_ASSIGN(const std::unique_ptr<ContainerFiles> files,
              ContainerFiles::Open(containers, record));
  request.write_layer = [&](int fd) { return WriteLayer(*files, flags.pause, fd); };
  Result<std::string> id = images::CommitImage(store, layout.store_root, std::move(request));
  const Status finished = files->Finish();
  if (!id) return id;
  RecordContainerEvent(layout, record, "commit", {{"comment", flags.message}, {"imageID", *id}});
  HULL_TRY(finished);
  return id;
}

Action DeclareCommit(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<CommitFlags>();
  app.add_option("-a,--author", flags->author, "Who made it: \"Name <mail@example.org>\"")
      ->type_name("TEXT");
  app.add_option("-c,--change", flags->changes,
                 "Change the image's configuration by a Dockerfile's instruction: CMD, ENTRYPOINT, "
                 "ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR")
      ->type_name("INSTRUCTION")
      ->take_all();
  app.add_option("-m,--message", flags->message, "A note for the image's history")
      ->type_name("TEXT");
  app.add_flag("-p,--pause,!--no-pause", flags->pause,
               "Have the container stand still meanwhile (the default)");
  return [flags, &global](const std::vector<std::string>& arguments) {
    signal(SIGPIPE, SIG_IGN);
    const Result<std::string> id = Commit(arguments, *flags, global);
    if (id) return WriteAll(STDOUT_FILENO, *id + "\n") ? 0 : kExitFailed;
    PrintError(id.error());
    return kExitFailed;
  };
}

constexpr Example kExamples[] = {
    {"hull commit web web:tried", "What web has changed, as one more layer"},
    {"hull commit -c 'CMD [\"serve\"]' -c 'ENV MODE=live' web web:live", "With another command"},
};

}  // namespace

extern const Command kCommit;
constinit const Command kCommit = {
    .name = "commit",
    .group = Group::kContainers,
    .aliases = "container commit",
    .summary = "Make an image of what a container has changed",
    .arguments = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    .description = "Mounts are not part of it. Prints the new image's id.",
    .examples = kExamples,
    .declare = DeclareCommit,
};

}  // namespace hull::cli
