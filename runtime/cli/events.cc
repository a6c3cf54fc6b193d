// hull events: what happens to containers and images.
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "runtime/cli/command.h"
#include "runtime/cli/filters.h"
#include "runtime/cli/output.h"
#include "runtime/container_record.h"
#include "runtime/events_reader.h"
#include "runtime/file_watch.h"
#include "runtime/format/human.h"
#include "runtime/format/json_text.h"
#include "runtime/format/template.h"
#include "runtime/host_layout.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

namespace json = boost::json;

struct EventsFlags {
  std::string since;
  std::string until;
  std::string format;
  std::vector<std::string> filters;
};

std::string Text(const json::object& object, std::string_view name) {
  const json::value* const value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

const json::object& Part(const json::object& object, std::string_view name) {
  static const json::object kNone;
  const json::value* const value = object.if_contains(name);
  return value != nullptr && value->is_object() ? value->get_object() : kNone;
}

// docker's line: time, type, action, id, (name=value, ...) sorted.
std::string Line(const json::object& event) {
  const json::object& actor = Part(event, "Actor");
  std::vector<std::string> attributes;
  for (const json::key_value_pair& attribute : Part(actor, "Attributes")) {
    const json::string* const value = attribute.value().if_string();
    attributes.push_back(fmt::format("{}={}", std::string_view(attribute.key()),
                                     value == nullptr ? "" : std::string_view(*value)));
  }
  std::sort(attributes.begin(), attributes.end());
  std::string text;
  for (const std::string& attribute : attributes) {
    text += fmt::format("{}{}", text.empty() ? " (" : ", ", attribute);
  }
  if (!text.empty()) text += ")";
  return EscapeControl(fmt::format("{} {} {} {}{}", format::Rfc3339NanoLocal(EventTimeNs(event)),
                                   Text(event, "Type"), Text(event, "Action"), Text(actor, "ID"),
                                   text));
}

bool IsNamed(const json::object& event, std::string_view type, const std::string& wanted) {
  if (Text(event, "Type") != type) return false;
  const json::object& actor = Part(event, "Actor");
  const std::string id = Text(actor, "ID");
  constexpr size_t kShortest = 12;
  return id == wanted || (wanted.size() >= kShortest && id.starts_with(wanted)) ||
         Text(Part(actor, "Attributes"), "name") == wanted;
}

bool IsOfImage(const json::object& event, const std::string& wanted) {
  const std::string name = Text(event, "Type") == "image"
                               ? Text(Part(event, "Actor"), "ID")
                               : Text(Part(Part(event, "Actor"), "Attributes"), "image");
  return name == wanted || name.substr(0, name.rfind(':')) == wanted ||
         IsNamed(event, "image", wanted);
}

bool HasLabel(const json::object& event, const std::string& wanted) {
  const json::object& attributes = Part(Part(event, "Actor"), "Attributes");
  const size_t equals = wanted.find('=');
  const json::value* const value = attributes.if_contains(wanted.substr(0, equals));
  return value != nullptr &&
         (equals == std::string::npos ||
          (value->is_string() && value->get_string() == wanted.substr(equals + 1)));
}

bool IsWanted(const json::object& event, const Filters& filters) {
  const std::string action = Text(event, "Action");
  return filters.AnyOf("type", [&](const std::string& it) { return Text(event, "Type") == it; }) &&
         filters.AnyOf(
             "event",
             [&](const std::string& it) { return action == it || action.starts_with(it + ":"); }) &&
         filters.AnyOf("container",
                       [&](const std::string& it) { return IsNamed(event, "container", it); }) &&
         filters.AnyOf("image", [&](const std::string& it) { return IsOfImage(event, it); }) &&
         filters.AnyOf("scope", [&](const std::string& it) { return it == "local"; }) &&
         filters.AllOf("label", [&](const std::string& it) { return HasLabel(event, it); });
}

class Events {
 public:
  Status Prepare(const EventsFlags& flags, const GlobalOptions& global) {
    HULL_ASSIGN(layout_, FindHostLayout(global.root, global.state));
    HULL_ASSIGN(filters_, Filters::Parse(flags.filters, {"container", "event", "image", "label",
                                                         "scope", "type"}));
    if (!flags.since.empty()) {
      HULL_ASSIGN(since_, format::ParseTimeArgument(flags.since, NowNs()));
    }
    if (!flags.until.empty()) {
      HULL_ASSIGN(until_, format::ParseTimeArgument(flags.until, NowNs()));
    }
    is_json_ = flags.format == "json";
    if (!flags.format.empty() && !is_json_) {
      HULL_ASSIGN(template_, format::Template::Parse(flags.format));
    }
    return {};
  }

  Status Follow() {
    // Before the first event there is no such directory.
    HULL_TRY(MakeDirectories(layout_.run_root, 0700));
    HULL_ASSIGN(FileWatch watch, FileWatch::Open(layout_.run_root));
    HULL_ASSIGN(EventsReader reader,
                EventsReader::Open(layout_, since_ ? EventsReader::Start::kFromTheFirst
                                                   : EventsReader::Start::kFromNow));
    for (;;) {
      const bool is_last = until_ && NowNs() >= *until_;
      HULL_TRY(Drain(reader));
      if (is_last) return {};
      if (watch.Wait(PatienceMs(), STDOUT_FILENO) == FileWatch::Woken::kReaderGone) return {};
    }
  }

 private:
  int PatienceMs() const {
    if (!until_) return -1;
    constexpr int64_t kNsPerMs = 1'000'000;
    constexpr int64_t kLongest = 3'600'000;
    return static_cast<int>(std::clamp<int64_t>((*until_ - NowNs()) / kNsPerMs + 1, 0, kLongest));
  }

  Status Drain(EventsReader& reader) {
    for (;;) {
      HULL_ASSIGN(const std::optional<json::object> event, reader.Next());
      if (!event) return output_.Flush();
      const int64_t time = EventTimeNs(*event);
      if ((since_ && time < *since_) || (until_ && time > *until_)) continue;
      if (!IsWanted(*event, filters_)) continue;
      std::string text;
      if (is_json_) {
        text = format::WriteJson(*event);
      } else if (template_) {
        HULL_ASSIGN(text, template_->Execute(*event));
      } else {
        text = Line(*event);
      }
      HULL_TRY(output_.Write(STDOUT_FILENO, text + "\n"));
    }
  }

  HostLayout layout_;
  Filters filters_;
  std::optional<int64_t> since_;
  std::optional<int64_t> until_;
  bool is_json_ = false;
  std::optional<format::Template> template_;
  Output output_;
};

int Run(const EventsFlags& flags, const GlobalOptions& global) {
  Events events;
  Status status = events.Prepare(flags, global);
  if (status) status = events.Follow();
  return status ? 0 : ExitAfterWriteError(status.error());
}

Action DeclareEvents(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<EventsFlags>();
  app.add_option("-f,--filter", flags->filters,
                 "Only these: container=, event=, image=, label=, scope=, type=")
      ->type_name("NAME=VALUE");
  app.add_option("--format", flags->format, "json, or a template")->type_name("TEMPLATE");
  app.add_option("--since", flags->since, "Also what happened since then: a time or how long ago")
      ->type_name("TIME");
  app.add_option("--until", flags->until, "End then: a time or how long ago")->type_name("TIME");
  return [flags, &global](const std::vector<std::string>&) { return Run(*flags, global); };
}

constexpr Example kExamples[] = {
    {"hull events --filter event=die --format '{{.Actor.Attributes.name}}'",
     "The name of each container that ends"},
    {"hull events --since 1h --until 0s", "What happened in the last hour"},
};

}  // namespace

extern const Command kEvents;
constinit const Command kEvents = {
    .name = "events",
    .group = Group::kSystem,
    .aliases = "system events",
    .summary = "Show what happens to containers and images",
    .arguments = "[OPTIONS]",
    .description =
        "Shows each event as it comes, until it is interrupted. The last ones are kept "
        "until the host is restarted. Times are local.",
    .examples = kExamples,
    .declare = DeclareEvents,
};

}  // namespace hull::cli
