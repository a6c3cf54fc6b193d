// hull check: what this host can do, and what to change.
#include <unistd.h>

#include <memory>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "runtime/cli/command.h"
#include "runtime/host_check.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

namespace json = boost::json;

constexpr int kBootLimitSeconds = 20;

struct CheckFlags {
  std::string format;
  bool no_boot = false;
};

std::string AsText(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text +=
        fmt::format("{:<8} {:<24} {}\n", GradeName(finding.grade), finding.name, finding.detail);
    if (!finding.remedy.empty())
      text += fmt::format("{:<8} {:<24} -> {}\n", "", "", finding.remedy);
  }
  return text;
}

std::string AsJson(const std::vector<Finding>& findings) {
  json::array list;
  for (const Finding& finding : findings) {
    list.push_back(json::object{{"name", finding.name},
                                {"grade", json::string_view(GradeName(finding.grade).data(),
                                                            GradeName(finding.grade).size())},
                                {"detail", finding.detail},
                                {"remedy", finding.remedy},
                                {"required", finding.required}});
  }
  return json::serialize(list) + "\n";
}

int Check(const CheckFlags& flags, const GlobalOptions& global) {
  if (!flags.format.empty() && flags.format != "json" && flags.format != "text") {
    PrintError(MakeError(ErrorCode::kInvalidArgument, "--format: '{}' is neither text nor json",
                         flags.format));
    return kExitFailed;
  }
  Result<HostLayout> layout = FindHostLayout(global.root, global.state);
  if (!layout) {
    PrintError(layout.error());
    return kExitFailed;
  }
  std::vector<Finding> findings = CheckHost(*layout);
  bool can_run = true;
  const auto count = [&can_run](const Finding& finding) {
    if (finding.required && finding.grade == Grade::kMissing) can_run = false;
  };
  for (const Finding& finding : findings) count(finding);
  // Without its parts it is known that nothing boots.
  if (can_run && !flags.no_boot) {
    findings.insert(findings.begin() + 1, CheckBoot(*layout, kBootLimitSeconds));
    count(findings[1]);
  }
  const std::string text = flags.format == "json" ? AsJson(findings) : AsText(findings);
  static_cast<void>(WriteAll(STDOUT_FILENO, text));
  return can_run ? 0 : kExitFailed;
}

Action DeclareCheck(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<CheckFlags>();
  app.add_option("--format", flags->format, "text or json")->type_name("FORMAT");
  app.add_flag("--no-boot", flags->no_boot, "Do not boot a guest to see whether KVM works");
  return [flags, &global](const std::vector<std::string>&) { return Check(*flags, global); };
}

}  // namespace

extern const Command kCheck;
constinit const Command kCheck = {
    .name = "check",
    .group = Group::kSystem,
    .summary = "Say what this host can do, and what to change",
    .arguments = "[OPTIONS]",
    .declare = DeclareCheck,
};

}  // namespace hull::cli
