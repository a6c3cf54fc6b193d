// hull version.
#include <sys/utsname.h>

#include <memory>

#include <boost/json/object.hpp>

#include "runtime/cli/command.h"
#include "runtime/cli/output.h"
#include "runtime/format/json_text.h"
#include "runtime/format/template.h"

namespace hull::cli {
namespace {

// In docker's shape. There is no daemon: client and server are the same program.
boost::json::value Describe() {
  utsname host{};
  uname(&host);
  const boost::json::object program{{"Version", HULL_VERSION},
                                    {"Os", "linux"},
                                    {"Arch", "amd64"},
                                    {"KernelVersion", host.release}};
  return {{"Client", program}, {"Server", program}};
}

Result<std::string> Version(const std::string& format) {
  if (format.empty()) return std::string("hull version " HULL_VERSION "\n");
  const boost::json::value version = Describe();
  if (format == "json") return format::WriteJson(version) + "\n";
  HULL_ASSIGN(const format::Template shape, format::Template::Parse(format));
  HULL_ASSIGN(const std::string text, shape.Execute(version));
  return text + "\n";
}

Action DeclareVersion(CLI::App& app, const GlobalOptions&) {
  const auto format = std::make_shared<std::string>();
  app.add_option("-f,--format", *format, "json, or a template of .Client.Version and the like")
      ->type_name("TEMPLATE");
  return [format](const std::vector<std::string>&) { return PrintResult(Version(*format)); };
}

}  // namespace

extern const Command kVersion;
constinit const Command kVersion = {
    .name = "version",
    .group = Group::kSystem,
    .summary = "Show the version",
    .arguments = "[OPTIONS]",
    .declare = DeclareVersion,
};

}  // namespace hull::cli
