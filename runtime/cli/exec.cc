// hull exec: a further process in a running container.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/signal_set.hpp>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "runtime/capabilities.h"
#include "runtime/cli/command.h"
#include "runtime/cli/terminal.h"
#include "runtime/events.h"
#include "runtime/exec_session.h"
#include "runtime/utf8.h"
#include "runtime/variable_file.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

namespace json = boost::json;

constexpr uint64_t kMaxConfigBytes = 16ULL << 20;

struct ExecFlags {
  bool interactive = false;
  bool terminal = false;
  bool detached = false;
  bool privileged = false;
  std::vector<std::string> environment;
  std::vector<std::string> environment_files;
  std::string user;
  std::string directory;
  std::string detach_keys;
};

// "NAME=value"; a name that is not set here stays alone.
std::string Setting(const std::string& text) {
  if (text.find('=') != std::string::npos) return text;
  const char* value = getenv(text.c_str());
  return value == nullptr ? text : fmt::format("{}={}", text, value);
}

Result<std::vector<std::string>> OwnEnvironment(const ExecFlags& flags) {
  std::vector<std::string> settings;
  for (const std::string& path : flags.environment_files) {
    HULL_ASSIGN(const std::string text, ReadFile(path, kMaxVariableFileBytes));
    const auto lookup = [](const std::string& name) -> std::optional<std::string> {
      const char* value = getenv(name.c_str());
      return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    };
    HULL_ASSIGN_WITHIN(fmt::format("invalid env file ({})", EscapeControl(path)),
                       const std::vector<std::string> lines, ParseVariableFile(text, lookup));
    settings.insert(settings.end(), lines.begin(), lines.end());
  }
  for (const std::string& text : flags.environment) {
    if (text.empty() || text.front() == '=') {
      return Fail(ErrorCode::kInvalidArgument, "invalid environment variable: {}",
                  EscapeControl(text));
    }
    settings.push_back(Setting(text));
  }
  return settings;
}

// The container's own environment with `settings` over it, for an environment is replaced whole. A
// name alone takes its variable out.
Result<json::array> MergeEnvironment(const Containers& containers, const std::string& id,
                                     const std::vector<std::string>& settings) {
  HULL_ASSIGN(const std::string text, ReadFile(containers.ConfigPath(id), kMaxConfigBytes));
  json::error_code failed;
  const json::value config = json::parse(text, failed);
  json::array merged;
  if (const json::value* own = failed ? nullptr : config.find_pointer("/process/env", failed)) {
    if (own->is_array()) merged = own->get_array();
  }
  for (const std::string& setting : settings) {
    const std::string name = setting.substr(0, setting.find('=')) + "=";
    const auto same = std::find_if(merged.begin(), merged.end(), [&](const json::value& value) {
      return value.is_string() && std::string_view(value.get_string()).starts_with(name);
    });
    if (name.size() > setting.size()) {
      if (same != merged.end()) merged.erase(same);
    } else if (same != merged.end()) {
      *same = setting;
    } else {
      merged.emplace_back(setting);
    }
  }
  return merged;
}

Result<std::string> MakeProcess(const Containers& containers, const std::string& id,
                                const ExecFlags& flags, const std::vector<std::string>& command) {
  json::object process;
  process["args"] = json::array(command.begin(), command.end());
  if (!flags.directory.empty()) process["cwd"] = flags.directory;
  HULL_ASSIGN(std::vector<std::string> settings, OwnEnvironment(flags));
  if (flags.terminal) settings.insert(settings.begin(), "TERM=xterm");
  if (!settings.empty()) {
    HULL_ASSIGN(process["env"], MergeEnvironment(containers, id, settings));
  }
  if (flags.privileged) {
    const std::vector<std::string_view> all = CapabilityNames(AllCapabilities());
    json::object sets;
    for (const char* set : {"bounding", "effective", "permitted"}) {
      sets[set] = json::array(all.begin(), all.end());
    }
    process["capabilities"] = std::move(sets);
    process["noNewPrivileges"] = false;
  }
  return json::serialize(process);
}

int ExitCodeOf(const Error& error) {
  if (error.code() == ErrorCode::kNotFound) return kExitNotFound;
  if (error.code() == ErrorCode::kPermissionDenied) return kExitCannotRun;
  return kExitFailed;
}

Result<ExecPlan> MakePlan(const Containers& containers, const ContainerRecord& record,
                          const ExecFlags& flags, const std::vector<std::string>& arguments) {
  if (record.state.status == ContainerStatus::kPaused) {
    return Fail(ErrorCode::kUnavailable,
                "Container {} is paused, unpause the container before exec", record.id);
  }
  if (record.state.status != ContainerStatus::kRunning) {
    return Fail(ErrorCode::kUnavailable, "container {} is not running", record.id);
  }
  ExecPlan plan;
  plan.container_id = record.id;
  plan.user = flags.user;
  plan.detached = flags.detached;
  plan.input = flags.interactive && !flags.detached;
  plan.output = !flags.detached;
  plan.terminal = flags.terminal;
  if (plan.terminal) {
    const WindowSize size = GetWindowSize(STDOUT_FILENO);
    plan.columns = size.columns;
    plan.rows = size.rows;
    HULL_ASSIGN(plan.detach_keys, DetachKeys::Parse(flags.detach_keys));
  }
  HULL_ASSIGN(plan.process,
              MakeProcess(containers, record.id, flags, {arguments.begin() + 1, arguments.end()}));
  return plan;
}

// The terminal may have changed since its size was asked for, and may again.
void FollowSize(ExecSession& session, boost::asio::signal_set& changes) {
  const WindowSize size = GetWindowSize(STDOUT_FILENO);
  if (size.columns != 0) session.Resize(size.columns, size.rows);
  changes.async_wait([&](const boost::system::error_code& failed, int) {
    if (!failed) FollowSize(session, changes);
  });
}

// Docker's events of one exec. The end of one in the background is seen by nobody.
class ExecEvents {
 public:
  ExecEvents(const Containers& containers, ContainerRecord record,
             const std::vector<std::string>& arguments)
      : containers_(containers), record_(std::move(record)) {
    for (size_t i = 1; i < arguments.size(); ++i) command_ += " " + arguments[i];
  }
  void Started(const std::string& exec_id) const {
    Tell("exec_create:" + command_, {{"execID", exec_id}});
    Tell("exec_start:" + command_, {{"execID", exec_id}});
  }
  void Ended(const std::string& exec_id, int exit_code) const {
    Tell("exec_die", {{"execID", exec_id}, {"exitCode", std::to_string(exit_code)}});
  }

 private:
  void Tell(const std::string& action,
            std::vector<std::pair<std::string, std::string>> attributes) const {
    RecordContainerEvent(containers_.layout(), record_, ReplaceNonUtf8(action),
                         std::move(attributes));
  }

  const Containers& containers_;
  const ContainerRecord record_;
  std::string command_;
};

// Whoever ends this program from outside gets the terminal back as it was.
void RestoreAtSignals(std::optional<RawMode>& raw_mode, boost::asio::signal_set& ends) {
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM}) ends.add(number);
  ends.async_wait([&raw_mode](const boost::system::error_code& failed, int number) {
    if (failed) return;
    raw_mode.reset();
    signal(number, SIG_DFL);
    raise(number);
  });
}

int RunSession(ExecSession& session, const ExecFlags& flags, const ExecEvents& events) {
  if (const Status started = session.Start(); !started) {
    PrintError(started.error());
    return ExitCodeOf(started.error());
  }
  events.Started(session.exec_id());
  if (flags.detached) return 0;
  auto* changes = new boost::asio::signal_set(session.io());
  boost::asio::signal_set ends(session.io());
  std::optional<RawMode> raw_mode;
  if (flags.terminal) {
    changes->add(SIGWINCH);
    FollowSize(session, *changes);
    if (flags.interactive) {
      raw_mode.emplace(STDIN_FILENO);
      RestoreAtSignals(raw_mode, ends);
    }
  }
  const Result<ExecSession::Outcome> outcome = session.Run();
  raw_mode.reset();
  if (!outcome) {
    PrintError(outcome.error());
    return kExitFailed;
  }
  if (outcome->how == ExecSession::Ended::kDetached) {
    static_cast<void>(WriteAll(STDERR_FILENO, "read escape sequence\n"));
    return outcome->exit_code;
  }
  events.Ended(session.exec_id(), outcome->exit_code);
  if (outcome->how == ExecSession::Ended::kReaderGone) return kExitSignalBase + SIGPIPE;
  return outcome->exit_code;
}

int Exec(const ExecFlags& flags, const std::vector<std::string>& arguments,
         const GlobalOptions& global) {
  if (flags.terminal && flags.interactive && !flags.detached && isatty(STDIN_FILENO) == 0) {
    PrintError(Error(ErrorCode::kInvalidArgument, "the input device is not a TTY")
                   .WithHint("leave -t out when the input is no terminal"));
    return kExitFailed;
  }
  const Result<HostLayout> layout = FindHostLayout(global.root, global.state);
  if (!layout) {
    PrintError(layout.error());
    return kExitFailed;
  }
  // A pipe that nobody reads any more is an error of one write.
  signal(SIGPIPE, SIG_IGN);
  // Neither is ever destroyed; see ExecSession.
  const auto* containers = new Containers(*layout);
  const Result<ContainerRecord> record = containers->Load(arguments.front());
  Result<ExecPlan> plan = record ? MakePlan(*containers, *record, flags, arguments)
                                 : Result<ExecPlan>(Fail(record.error()));
  if (!plan) {
    PrintError(plan.error());
    return kExitFailed;
  }
  auto* session = new ExecSession(*containers, std::move(*plan));
  return RunSession(*session, flags, ExecEvents(*containers, *record, arguments));
}

Action DeclareExec(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<ExecFlags>();
  app.add_flag("-d,--detach", flags->detached, "Do not wait: the command runs in the background");
  app.add_option("--detach-keys", flags->detach_keys,
                 "Keys that leave a terminal without ending the command (ctrl-p,ctrl-q)")
      ->type_name("KEYS");
  app.add_option("-e,--env", flags->environment, "Set an environment variable")
      ->type_name("NAME[=VALUE]")
      ->take_all();
  app.add_option("--env-file", flags->environment_files, "Read environment variables from a file")
      ->type_name("FILE")
      ->take_all();
  app.add_flag("-i,--interactive", flags->interactive, "Pass standard input on");
  app.add_flag("--privileged", flags->privileged, "Give the command all capabilities");
  app.add_flag("-t,--tty", flags->terminal, "Give the command a terminal");
  app.add_option("-u,--user", flags->user, "User and group: name|uid[:group|gid]")
      ->type_name("USER");
  app.add_option("-w,--workdir", flags->directory, "Directory in the container to run it in")
      ->type_name("PATH");
  return [flags, &global](const std::vector<std::string>& arguments) {
    return Exec(*flags, arguments, global);
  };
}

constexpr Example kExamples[] = {
    {"hull exec web ls /srv", "List a directory of the running container web"},
    {"hull exec -it web sh", "A shell in it"},
    {"hull exec -u www-data -e MODE=test web /srv/check", "Another user, one more variable"},
};

}  // namespace

extern const Command kExec;
constinit const Command kExec = {
    .name = "exec",
    .group = Group::kCommon,
    .aliases = "container exec",
    .summary = "Run a command in a running container",
    .arguments = "[OPTIONS] CONTAINER COMMAND [ARG...]",
    .description =
        "The command has the container's environment, user and directory where no option says "
        "otherwise. It goes straight to the container's machine: ending hull exec by a signal "
        "leaves "
        "the command running.",
    .examples = kExamples,
    .exit_codes = kContainerExitCodes,
    .passes_rest = true,
    .offered = Offered::kRunning,
    .declare = DeclareExec,
};

}  // namespace hull::cli
