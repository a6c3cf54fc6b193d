// hull run: a new container in a virtual machine of its own, in the foreground or not.
#include <stdlib.h>
#include <unistd.h>

#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/foreground.h"
#include "runtime/cli/new_container.h"
#include "runtime/cli/run_options.h"
#include "runtime/events.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

constexpr int kExitTerminalNeeded = 1;  // docker's

Result<ForegroundPlan> MakePlan(const RunRequest& request, const std::string& id) {
  ForegroundPlan plan;
  plan.id = id;
  plan.terminal = request.container.terminal;
  plan.input = !request.detach && request.container.interactive && request.container.attach.input;
  plan.output = !request.detach && request.container.attach.output;
  plan.errors = !request.detach && request.container.attach.errors;
  plan.signal_proxy = !request.detach && request.signal_proxy;
  HULL_ASSIGN(plan.detach_keys, DetachKeys::Parse(request.detach_keys));
  // Where no key is typed there is none to look for.
  if (!plan.terminal) plan.detach_keys = {};
  return plan;
}

Result<int> Execute(const RunRequest& request, const GlobalOptions& global) {
  HULL_ASSIGN(HostLayout layout, FindHostLayout(global.root, global.state));
  // These three live until the process ends, as Foreground does.
  const auto* containers = new Containers(std::move(layout));
  const auto* phases = new PhaseLog(request.container.debug);
  HULL_ASSIGN(NewContainer container, PrepareNewContainer(*containers, request));
  const std::string id = container.record.id;
  HULL_ASSIGN(ForegroundPlan plan, MakePlan(request, id));
  // Until here a signal ends hull as it ends any program; from here it is the container's, or ends
  // the sandbox.
  HULL_ASSIGN(Foreground * foreground, Foreground::Make(*containers, *phases, std::move(plan)));
  // First the run directory: a container that is to leave nothing is known by it to be half started
  // if this process is killed.
  HULL_ASSIGN(RunDirectory run, containers->LockRunDirectory(id));
  const Result<ContainerRecord> record =
      MakeNewContainer(*containers, request, std::move(container), &run);
  if (!record) {
    rmdir(run.path.c_str());
    return Fail(record.error());
  }
  if (!request.detach) RecordContainerEvent(containers->layout(), *record, "attach");
  HULL_TRY(foreground->Launch(std::move(run)));
  // While the guest boots.
  containers->Sweep();
  if (!request.detach) return foreground->Run();
  const int exit_code = foreground->AwaitStarted();
  if (exit_code == 0) static_cast<void>(WriteAll(STDOUT_FILENO, id + "\n"));
  return exit_code;
}

int RunMain(const RunFlags& flags, const std::vector<std::string>& rest,
            const GlobalOptions& global) {
  const Result<RunRequest> request =
      InterpretRunFlags(flags, rest, [](const char* name) -> const char* { return getenv(name); });
  if (!request) {
    PrintError(request.error());
    return kExitHullFailed;
  }
  if (!request->detach && request->container.terminal && request->container.interactive &&
      isatty(STDIN_FILENO) == 0) {
    PrintError(Error(ErrorCode::kInvalidArgument, "the input device is not a TTY")
                   .WithHint("leave -t out when the input is no terminal"));
    return kExitTerminalNeeded;
  }
  const Result<int> exit_code = Execute(*request, global);
  if (exit_code) return *exit_code;
  PrintError(exit_code.error());
  return kExitHullFailed;
}

Action DeclareRun(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<RunFlags>();
  DeclareRunFlags(app, *flags, RunVerb::kRun, global.arguments);
  return [flags, &global](const std::vector<std::string>& rest) {
    return RunMain(*flags, rest, global);
  };
}

constexpr Example kExamples[] = {
    {"hull run --rm sample/busybox echo hello", "Run a command, and leave nothing behind"},
    {"hull run -d --name web -m 512m sample/busybox sleep 1000", "Run one in the background"},
    {"hull run --rm --device pci=0000:01:00.0 sample/busybox ls /dev",
     "Give it a PCI device that hull device bind has taken from the host"},
    {"hull run --rm --gpus all IMAGE", "Give it all GPUs that are bound"},
};

}  // namespace

extern const Command kRun;
constinit const Command kRun = {
    .name = "run",
    .group = Group::kCommon,
    .aliases = "container run",
    .summary = "Run a command in a new container in its own virtual machine",
    .arguments = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .description =
        "A device that is passed through is the virtual machine's own: its driver is the guest's, "
        "and "
        "the IOMMU keeps it to that machine's memory, all of which is pinned for it. hull device "
        "ls shows "
        "devices, hull device bind takes one from the host; pci=ADDRESS[,...] names it, "
        "vfio=/dev/vfio/GROUP all of an IOMMU group, and vendor.com/class=name what a file in "
        "/etc/cdi or "
        "/var/run/cdi says. --annotation hull.modules=NAME[,...] loads kernel modules out of the "
        "image's "
        "/lib/modules for it. --annotation hull.dma-pool=SIZE (2m to 256m) lets devices reach so "
        "much of the memory alone: only that is pinned, the start costs little more than without "
        "a device, and free memory goes back to the host; each buffer is copied, and drivers that "
        "want memory of their own in large pieces, as those of GPUs do, do not work with it.",
    .examples = kExamples,
    .exit_codes = kContainerExitCodes,
    .passes_rest = true,
    .declare = DeclareRun,
};

}  // namespace hull::cli
