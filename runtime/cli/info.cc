// hull info: what there is on this host.
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "images/store/store.h"
#include "runtime/cli/command.h"
#include "runtime/cli/output.h"
#include "runtime/containers.h"
#include "runtime/format/human.h"
#include "runtime/format/json_text.h"
#include "runtime/format/template.h"

namespace hull::cli {
namespace {

namespace json = boost::json;

Result<json::object> Describe(const GlobalOptions& global) {
  HULL_ASSIGN(const HostLayout layout, FindHostLayout(global.root, global.state));
  const Containers containers(layout);
  HULL_ASSIGN(const std::vector<ContainerRecord> all, containers.List());
  HULL_ASSIGN(const images::Store store, images::Store::Open(layout.store_root));
  HULL_ASSIGN(const std::vector<images::Image> all_images, store.List());
  const auto count = [&](ContainerStatus status) {
    return std::count_if(all.begin(), all.end(), [&](const ContainerRecord& record) {
      return record.state.status == status;
    });
  };
  utsname host{};
  uname(&host);
  struct sysinfo memory {};
  sysinfo(&memory);
  return json::object{
      {"Containers", all.size()},
      {"ContainersRunning", count(ContainerStatus::kRunning)},
      {"ContainersPaused", count(ContainerStatus::kPaused)},
      {"ContainersStopped", count(ContainerStatus::kExited) + count(ContainerStatus::kCreated)},
      {"Images", all_images.size()},
      {"Driver", "erofs"},
      {"LoggingDriver", "json-file"},
      {"KernelVersion", host.release},
      {"OSType", "linux"},
      {"Architecture", host.machine},
      {"NCPU", get_nprocs()},
      {"MemTotal", uint64_t{memory.totalram} * memory.mem_unit},
      {"DockerRootDir", layout.store_root},
      {"Name", host.nodename},
      {"ServerVersion", HULL_VERSION},
      {"DefaultRuntime", "hull"},
      {"Hull",
       {{"RunDirectory", layout.run_root},
        {"Kernel", layout.kernel},
        {"GuestRoot", layout.guest_root},
        {"Vmm", layout.vmm_program}}},
  };
}

Result<std::string> Info(const std::string& format, const GlobalOptions& global) {
  HULL_ASSIGN(const json::object info, Describe(global));
  if (format == "json") return format::WriteJson(info) + "\n";
  constexpr std::string_view kPlain =
      "Containers: {{.Containers}}\n Running: {{.ContainersRunning}}\n Paused: "
      "{{.ContainersPaused}}\n Stopped: {{.ContainersStopped}}\nImages: {{.Images}}\nServer "
      "Version: "
      "{{.ServerVersion}}\nStorage Driver: {{.Driver}}\nKernel Version: "
      "{{.KernelVersion}}\nOSType: "
      "{{.OSType}}\nArchitecture: {{.Architecture}}\nCPUs: {{.NCPU}}\nTotal Memory: "
      "{{.MemTotal}}\nName: {{.Name}}\nRoot Dir: {{.DockerRootDir}}\nRun Dir: "
      "{{.Hull.RunDirectory}}\nGuest Kernel: {{.Hull.Kernel}}\nGuest Root: {{.Hull.GuestRoot}}";
  HULL_ASSIGN(const format::Template shape,
              format::Template::Parse(format.empty() ? kPlain : std::string_view(format)));
  HULL_ASSIGN(const std::string text, shape.Execute(info));
  return text + "\n";
}

Action DeclareInfo(CLI::App& app, const GlobalOptions& global) {
  const auto format = std::make_shared<std::string>();
  app.add_option("-f,--format", *format, "json, or a template")->type_name("TEMPLATE");
  return [format, &global](const std::vector<std::string>&) {
    return PrintResult(Info(*format, global));
  };
}

}  // namespace

extern const Command kInfo;
constinit const Command kInfo = {
    .name = "info",
    .group = Group::kSystem,
    .aliases = "system info",
    .summary = "Show what there is on this host",
    .arguments = "[OPTIONS]",
    .declare = DeclareInfo,
};

}  // namespace hull::cli
