// hull run: an image's container in a virtual machine of its own, in the foreground.
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <memory>

#include <boost/asio/steady_timer.hpp>

#include "images/store/store.h"
#include "runtime/cli/command.h"
#include "runtime/cli/foreground.h"
#include "runtime/cli/pull_image.h"
#include "runtime/cli/run_options.h"
#include "runtime/container_id.h"
#include "runtime/image_process.h"
#include "runtime/machine_size.h"
#include "runtime/oci_config.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kShutdownGrace{1000};
constexpr milliseconds kShutdownLimit{30'000};
constexpr milliseconds kConsoleInterval{50};
constexpr int kExitTerminalNeeded = 1;  // docker's

// Everything about one run, in the order in which it comes to be.
class Run {
 public:
  Run(HostLayout layout, RunRequest request)
      : layout_(std::move(layout)),
        request_(std::move(request)),
        phases_(request_.container.debug),
        io_(1),
        signals_(io_),
        console_timer_(io_) {}

  // The exit code of hull.
  int Execute();

 private:
  Result<images::Image> FindImage();
  Status Launch();
  Status TakeName();
  Result<ForegroundPlan> MakePlan();
  void RecordLaunch();
  int Finish(Foreground& foreground, Result<ForegroundResult> result);
  int ExitCodeOf(const Error& error, int signal) const;
  void StopInOrder();
  Status CleanUp(const OldContainerState& state);
  void FollowConsole();
  void ShowConsole();

  HostLayout layout_;
  RunRequest request_;
  PhaseLog phases_;
  boost::asio::io_context io_;
  SignalSource signals_;
  OldContainerState state_;
  ImageProcess process_;
  std::unique_ptr<Sandbox> sandbox_;
  boost::asio::steady_timer console_timer_;
  uint64_t console_shown_ = 0;
};

Result<images::Image> Run::FindImage() {
  HULL_ASSIGN(images::Store store, images::Store::Open(layout_.store_root));
  if (request_.pull != PullPolicy::kAlways) {
    Result<images::Image> image = store.Resolve(request_.image);
    if (image || image.error().code() != ErrorCode::kNotFound) return image;
    if (request_.pull == PullPolicy::kNever) return image;
    static_cast<void>(WriteAll(STDERR_FILENO, fmt::format("Unable to find image '{}' locally\n",
                                                          ShownName(request_.image))));
  }
  return PullImage(store, request_.image, images::PullOptions());
}

Status Run::Launch() {
  HULL_ASSIGN(const images::Image image, FindImage());
  HULL_ASSIGN(process_, ParseImageProcess(image.config));
  // What can be wrong with the request is found before anything is made.
  HULL_TRY(CommandLine(process_, request_.container));
  SandboxSpec spec;
  HULL_ASSIGN(spec.id, NewContainerId());
  uint64_t layer_bytes = 0;
  for (const images::Layer& layer : image.layers) {
    spec.layers.push_back({layer.diff_id, layer.path, layer.size_bytes});
    layer_bytes += layer.size_bytes;
  }
  HULL_ASSIGN(const MachineSize size,
              SizeMachine(request_.container, layer_bytes, static_cast<uint32_t>(get_nprocs())));
  spec.cpus = size.cpus;
  spec.memory_bytes = size.memory_bytes;
  spec.name =
      request_.container.name.empty() ? spec.id.substr(0, kShortIdLength) : request_.container.name;
  spec.storage = request_.container.storage;
  spec.scratch = request_.container.remove_at_exit ? ScratchKind::kThrowaway : ScratchKind::kKept;
  spec.layer_transport = request_.container.layer_transport;
  spec.debug = request_.container.debug;

  state_.id = spec.id;
  state_.name = spec.name;
  state_.image = request_.image;
  state_.image_id = image.id;
  state_.remove_at_exit = request_.container.remove_at_exit;
  state_.created_at_ns = NowNs();
  if (!request_.container.name.empty()) HULL_TRY(TakeName());
  // Until here a signal ends hull as it ends any program; from here it is the container's, or ends
  // the sandbox.
  HULL_TRY(signals_.Start({}));
  Result<std::unique_ptr<Sandbox>> sandbox = Sandbox::Launch(io_, layout_, spec);
  if (!sandbox) {
    if (!request_.container.name.empty()) ReleaseName(layout_, state_.name);
    return Fail(std::move(sandbox).error());
  }
  sandbox_ = std::move(*sandbox);
  return {};
}

// The holder of a name may be dead and not cleared away yet.
Status Run::TakeName() {
  Status claimed = ClaimName(layout_, state_.name, state_.id);
  if (claimed || claimed.error().code() != ErrorCode::kAlreadyExists) return claimed;
  HULL_ASSIGN(const int cleared, SweepDeadSandboxes(layout_, state_.id));
  return cleared == 0 ? claimed : ClaimName(layout_, state_.name, state_.id);
}

// While the guest boots: what others need to find, and what dead ones left.
void Run::RecordLaunch() {
  if (const Result<ProcessIdentity> self = IdentifyProcess(getpid())) state_.supervisor = *self;
  if (const Result<ProcessIdentity> vmm = IdentifyProcess(sandbox_->vmm().pid())) state_.vmm = *vmm;
  if (const Status written = sandbox_->directory().WriteState(state_); !written) {
    log::Warn("{}", written.error().ToString());
  }
  if (const Result<int> swept = SweepDeadSandboxes(layout_, state_.id); !swept) {
    log::Warn("{}", swept.error().ToString());
  }
}

Result<ForegroundPlan> Run::MakePlan() {
  ForegroundPlan plan;
  HULL_ASSIGN(plan.oci_config, MakeOciConfig(state_.id, process_, request_.container));
  plan.user = request_.container.user.value_or(process_.user);
  plan.options = request_.container;
  plan.state = state_;
  return plan;
}

int Run::Execute() {
  if (const Status status = Launch(); !status) {
    PrintError(status.error());
    return kExitHullFailed;
  }
  phases_.Mark("started hull-vmm");
  if (phases_.enabled()) FollowConsole();
  RecordLaunch();
  Result<ForegroundPlan> plan = MakePlan();
  if (!plan) {
    static_cast<void>(CleanUp(state_));
    PrintError(plan.error());
    return kExitHullFailed;
  }
  Foreground foreground(io_, *sandbox_, signals_, phases_, std::move(*plan));
  return Finish(foreground, foreground.Run());
}

int Run::Finish(Foreground& foreground, Result<ForegroundResult> result) {
  int exit_code =
      result ? result->exit_code : ExitCodeOf(result.error(), foreground.cancel_signal());
  OldContainerState state = foreground.state();
  state.status = OldContainerStatus::kStopped;
  state.stopped_at_ns = NowNs();
  state.exit_code = exit_code;
  state.out_of_memory = result && result->out_of_memory;
  const std::string tail = result ? std::string() : sandbox_->ConsoleTail();
  const bool died = !result && result.error().code() == ErrorCode::kUnavailable;
  if (phases_.enabled()) ShowConsole();
  if (const Status cleaned = CleanUp(state); !cleaned) {
    PrintError(cleaned.error());
    if (exit_code == 0) exit_code = kExitHullFailed;
  }
  phases_.Mark("cleaned up");
  if (!result) {
    if (foreground.cancel_signal() == 0 || result.error().code() != ErrorCode::kCancelled) {
      PrintError(result.error());
    }
    const bool useful = died || result.error().code() == ErrorCode::kTimedOut;
    if (useful && !tail.empty() && !phases_.enabled()) {
      static_cast<void>(WriteAll(STDERR_FILENO, "the guest's last words:\n" + tail));
    }
  } else if (state.out_of_memory) {
    static_cast<void>(
        WriteAll(STDERR_FILENO,
                 "hull: the container ran out of memory and was killed; --memory gives it more\n"));
  }
  return exit_code;
}

int Run::ExitCodeOf(const Error& error, int signal) const {
  if (signal != 0) return kExitSignalBase + signal;
  if (error.code() == ErrorCode::kNotFound) return kExitNotFound;
  if (error.code() == ErrorCode::kPermissionDenied) return kExitCannotRun;
  return kExitHullFailed;
}

// A kept container's disk is written back before its virtual machine ends.
void Run::StopInOrder() {
  if (sandbox_->vmm().outcome()) return;
  if (sandbox_->agent().Shutdown(kShutdownGrace)) sandbox_->WaitEnded(kShutdownLimit);
}

Status Run::CleanUp(const OldContainerState& state) {
  console_timer_.cancel();
  const bool keep = !state.remove_at_exit && state.started_at_ns != 0;
  if (!keep) {
    HULL_TRY(sandbox_->Destroy(SandboxDirectory::Keep::kNothing));
    if (!request_.container.name.empty()) ReleaseName(layout_, state.name);
    return {};
  }
  StopInOrder();
  OldContainerState record = state;
  record.supervisor.reset();
  record.vmm.reset();
  HULL_TRY(sandbox_->directory().WriteRecord(record));
  return sandbox_->Destroy(SandboxDirectory::Keep::kContainer);
}

void Run::ShowConsole() {
  const std::string text = sandbox_->ConsoleSince(console_shown_);
  console_shown_ += text.size();
  if (!text.empty()) phases_.Guest(text);
}

void Run::FollowConsole() {
  console_timer_.expires_after(kConsoleInterval);
  console_timer_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    ShowConsole();
    FollowConsole();
  });
}

int RunMain(const RunFlags& flags, const std::vector<std::string>& rest,
            const GlobalOptions& global) {
  Result<RunRequest> request =
      InterpretRunFlags(flags, rest, [](const char* name) -> const char* { return getenv(name); });
  if (!request) {
    PrintError(request.error());
    return kExitHullFailed;
  }
  if (request->container.terminal && request->container.interactive && isatty(STDIN_FILENO) == 0) {
    PrintError(Error(ErrorCode::kInvalidArgument, "the input device is not a TTY")
                   .WithHint("leave -t out when the input is no terminal"));
    return kExitTerminalNeeded;
  }
  Result<HostLayout> layout = FindHostLayout(global.root, global.state);
  if (!layout) {
    PrintError(layout.error());
    return kExitHullFailed;
  }
  // Never destroyed: a thread that waits for the user's input may still tell the loop of it, until
  // the process has ended.
  Run* run = new Run(std::move(*layout), std::move(*request));
  return run->Execute();
}

Action DeclareRun(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<RunFlags>();
  DeclareRunFlags(app, *flags, RunVerb::kRun, global.arguments);
  return [flags, &global](const std::vector<std::string>& rest) {
    return RunMain(*flags, rest, global);
  };
}

}  // namespace

extern const Command kRun;
constinit const Command kRun = {
    .name = "run",
    .group = Group::kCommon,
    .aliases = "container run",
    .summary = "Run a command in a new container in its own virtual machine",
    .arguments = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .exit_codes = kContainerExitCodes,
    .passes_rest = true,
    .declare = DeclareRun,
};

}  // namespace hull::cli
