#include "vmm/machine/options.h"

#include <charconv>
#include <optional>
#include <string_view>

namespace hull {

const char kUsage[] = R"(usage: hull-vmm --config FILE [--status-fd N] [--log-level LEVEL] [--check]

Makes and runs one virtual machine, and ends with it.

  --config FILE      the machine's configuration, a JSON document ("-": standard input)
  --status-fd N      write "started" and "ended" there, one JSON object a line
  --log-level LEVEL  debug, info, warn (default) or error; the log goes to standard error
  --check            only check the configuration
  --version          print the version
  --help             print this

Exit codes: 0 the guest switched itself off or asked for a reboot, 20 killed, 21 the guest's kernel
panicked, 22 the guest crashed, 23 the host failed, 24 the machine could not be made.
)";

namespace {

Result<log::Level> ParseLevel(std::string_view name) {
  if (name == "debug") return log::Level::kDebug;
  if (name == "info") return log::Level::kInfo;
  if (name == "warn") return log::Level::kWarn;
  if (name == "error") return log::Level::kError;
  return Fail(ErrorCode::kInvalidArgument, "--log-level {}: not one of debug, info, warn, error",
              name);
}

Result<int> ParseDescriptor(std::string_view text) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) {
    return Fail(ErrorCode::kInvalidArgument, "--status-fd {}: not the number of a descriptor",
                text);
  }
  return number;
}

// Walks over arguments of the forms "--name", "--name value" and "--name=value".
class Arguments {
 public:
  explicit Arguments(std::span<char* const> arguments) : rest_(arguments) {}

  bool done() const { return rest_.empty(); }
  std::string_view NextName() {
    std::string_view argument = rest_.front();
    rest_ = rest_.subspan(1);
    value_.reset();
    if (const size_t equals = argument.find('='); equals != std::string_view::npos) {
      value_ = argument.substr(equals + 1);
      argument = argument.substr(0, equals);
    }
    return argument;
  }
  Result<std::string_view> Value(std::string_view name) {
    if (value_) return *value_;
    if (rest_.empty()) return Fail(ErrorCode::kInvalidArgument, "{} needs a value", name);
    const std::string_view value = rest_.front();
    rest_ = rest_.subspan(1);
    return value;
  }
  bool has_value() const { return value_.has_value(); }

 private:
  std::span<char* const> rest_;
  std::optional<std::string_view> value_;
};

}  // namespace

Result<Options> ParseOptions(std::span<char* const> arguments) {
  Options options;
  for (Arguments rest(arguments); !rest.done();) {
    const std::string_view name = rest.NextName();
    if (name == "--config") {
      HULL_ASSIGN(options.config_path, rest.Value(name));
    } else if (name == "--status-fd") {
      HULL_ASSIGN(const std::string_view value, rest.Value(name));
      HULL_ASSIGN(options.status_fd, ParseDescriptor(value));
    } else if (name == "--log-level") {
      HULL_ASSIGN(const std::string_view value, rest.Value(name));
      HULL_ASSIGN(options.log_level, ParseLevel(value));
    } else if (rest.has_value()) {
      return Fail(ErrorCode::kInvalidArgument, "{}: unknown, or takes no value", name);
    } else if (name == "--check") {
      options.action = Options::Action::kCheck;
    } else if (name == "--version") {
      options.action = Options::Action::kVersion;
    } else if (name == "--help" || name == "-h") {
      options.action = Options::Action::kHelp;
    } else {
      return Fail(ErrorCode::kInvalidArgument, "unknown argument {}", name);
    }
  }
  const bool needs_config =
      options.action == Options::Action::kRun || options.action == Options::Action::kCheck;
  if (needs_config && options.config_path.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "--config is missing");
  }
  return options;
}

}  // namespace hull
