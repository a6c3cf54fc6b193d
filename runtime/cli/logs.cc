// hull logs: what a container has said, and goes on saying.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>

#include "runtime/cli/command.h"
#include "runtime/cli/output.h"
#include "runtime/container_log_reader.h"
#include "runtime/containers.h"
#include "runtime/file_watch.h"
#include "runtime/format/human.h"

namespace hull::cli {
namespace {

constexpr int kLookAgainMs = 1000;

struct LogsFlags {
  bool follow = false;
  bool timestamps = false;
  bool details = false;
  std::string tail = "all";
  std::string since;
  std::string until;
};

// Docker takes what is no number, and what is negative, for all.
std::optional<uint64_t> ParseTail(std::string_view text) {
  uint64_t lines = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, lines);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return lines;
}

Result<std::optional<int64_t>> ParseTime(std::string_view flag, std::string_view text) {
  if (text.empty()) return std::optional<int64_t>();
  Result<int64_t> time = format::ParseTimeArgument(text, NowNs());
  if (!time)
    return Fail(std::move(time).error().Within(fmt::format("invalid value for \"{}\"", flag)));
  return std::optional(*time);
}

class Logs {
 public:
  Logs(const Containers& containers, const LogsFlags& flags)
      : containers_(containers), flags_(flags) {}

  Status Show(const std::string& name) {
    HULL_ASSIGN(since_, ParseTime("since", flags_.since));
    HULL_ASSIGN(until_, ParseTime("until", flags_.until));
    HULL_ASSIGN(const ContainerRecord record, containers_.Load(name));
    if (record.log.disabled) {
      return Fail(
          Error(ErrorCode::kUnsupported, "configured logging driver does not support reading")
              .WithHint("the container was made with --log-driver none"));
    }
    id_ = record.id;
    std::optional<FileWatch> watch;
    if (flags_.follow) {
      HULL_ASSIGN(watch, FileWatch::Open(containers_.Directory(id_)));
    }
    HULL_ASSIGN(ContainerLogReader reader,
                ContainerLogReader::Open(containers_.LogPath(id_), ParseTail(flags_.tail)));
    if (!watch) {
      HULL_TRY(Drain(reader));
      return output_.Flush();
    }
    return Follow(reader, *watch);
  }

 private:
  // The supervisor writes the last line before it records the end: whoever has seen the end and
  // then reads, reads all.
  Status Follow(ContainerLogReader& reader, FileWatch& watch) {
    using Clock = std::chrono::steady_clock;
    Clock::time_point looked;
    bool was_idle = true;
    for (;;) {
      bool ended = IsPast();
      if (!ended && (was_idle || Clock::now() - looked > std::chrono::milliseconds(kLookAgainMs))) {
        ended = HasEnded();
        looked = Clock::now();
      }
      HULL_ASSIGN(const size_t shown, Drain(reader));
      HULL_TRY(output_.Flush());
      if (ended || done_) return {};
      was_idle = shown == 0;
      if (watch.Wait(PatienceMs(), STDOUT_FILENO) == FileWatch::Woken::kReaderGone) return {};
    }
  }
  bool HasEnded() const {
    const Result<ContainerRecord> record = containers_.LoadId(id_);
    return !record || (record->state.status != ContainerStatus::kRunning &&
                       record->state.status != ContainerStatus::kPaused);
  }
  bool IsPast() const { return until_ && NowNs() > *until_; }
  int PatienceMs() const {
    if (!until_) return kLookAgainMs;
    constexpr int64_t kNsPerMs = 1'000'000;
    return static_cast<int>(
        std::clamp<int64_t>((*until_ - NowNs()) / kNsPerMs + 1, 0, kLookAgainMs));
  }

  // Shows what there is; how many entries there were.
  Result<size_t> Drain(ContainerLogReader& reader) {
    for (size_t count = 0;; ++count) {
      HULL_ASSIGN(const LogEntry* const entry, reader.Next());
      if (entry == nullptr || done_) return count;
      HULL_TRY(ShowEntry(*entry));
    }
  }
  Status ShowEntry(const LogEntry& entry) {
    if (since_ || until_) {
      const std::optional<int64_t> time = format::ParseRfc3339Ns(entry.time);
      if (since_ && time && *time < *since_) return {};
      if (until_ && time && *time > *until_) {
        done_ = true;
        return {};
      }
    }
    std::string text;
    bool& inside = inside_line_[static_cast<size_t>(entry.stream)];
    // The time of a line in parts is that of its first one.
    if (!inside && flags_.timestamps) text = fmt::format("{} ", entry.time);
    // Docker shows here what --log-opt labels and env asked for, which hull has not.
    if (!inside && flags_.details) text += " ";
    inside = !entry.ends_line;
    text += entry.text;
    if (entry.ends_line) text += '\n';
    return output_.Write(entry.stream == LogStream::kStdout ? STDOUT_FILENO : STDERR_FILENO, text);
  }

  const Containers& containers_;
  const LogsFlags& flags_;
  std::string id_;
  std::optional<int64_t> since_;
  std::optional<int64_t> until_;
  bool done_ = false;  // --until has been reached
  std::array<bool, 2> inside_line_ = {};
  Output output_;
};

int Run(const LogsFlags& flags, const GlobalOptions& global, const std::string& name) {
  Result<HostLayout> layout = FindHostLayout(global.root, global.state);
  Status status;
  if (layout) {
    const Containers containers(std::move(*layout));
    status = Logs(containers, flags).Show(name);
  } else {
    status = Fail(std::move(layout).error());
  }
  return status ? 0 : ExitAfterWriteError(status.error());
}

Action DeclareLogs(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<LogsFlags>();
  app.add_flag("--details", flags->details, "Accepted for docker's sake: there are no details");
  app.add_flag("-f,--follow", flags->follow, "Go on until the container ends");
  app.add_option("--since", flags->since,
                 "Only what was said since then: a time (2026-11-22T18:00:00Z) or how long ago "
                 "(10m)")
      ->type_name("TIME");
  app.add_option("-n,--tail", flags->tail, "Only so many lines from the end, or all")
      ->type_name("NUMBER|all");
  app.add_flag("-t,--timestamps", flags->timestamps, "Show when each line was said");
  app.add_option("--until", flags->until, "Only what was said until then: a time or how long ago")
      ->type_name("TIME");
  return [flags, &global](const std::vector<std::string>& arguments) {
    return Run(*flags, global, arguments.front());
  };
}

constexpr Example kExamples[] = {
    {"hull logs -f --tail 10 web", "The last ten lines, and what follows"},
    {"hull logs --since 1h web 2>errors",
     "The last hour; what the container said to standard "
     "error goes to a file"},
};

}  // namespace

extern const Command kLogs;
constinit const Command kLogs = {
    .name = "logs",
    .group = Group::kContainers,
    .aliases = "container logs",
    .summary = "Show what a container has said",
    .arguments = "[OPTIONS] CONTAINER",
    .description =
        "The container's standard output comes to standard output, its standard error "
        "to standard error, byte for byte; of a container with a terminal all is "
        "standard output. Logs stay until the container is removed; the oldest part "
        "goes when they have grown to what --log-opt max-size and max-file allow.",
    .examples = kExamples,
    .declare = DeclareLogs,
};

}  // namespace hull::cli
