#include "guest-agent/devices/module_job.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <utility>

#include <boost/asio/steady_timer.hpp>

#include "guest-agent/archive/in_root.h"
#include "guest-agent/devices/module_index.h"
#include "guest-agent/spawn.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {
namespace {

constexpr size_t kMaxModules = 32;
constexpr size_t kMaxAnswerBytes = 8192;
constexpr std::chrono::seconds kLimit{60};
constexpr char kFirmwarePath[] = "/sys/module/firmware_class/parameters/path";
constexpr size_t kMaxFirmwarePath = 255;  // fw_path_para in the kernel, less its NUL

// What is under way; the first of end and time-out answers.
struct Job {
  explicit Job(boost::asio::io_context& io) : timer(io) {}
  void Finish(Status status) {
    if (!done) return;
    timer.cancel();
    std::exchange(done, nullptr)(std::move(status));
  }
  boost::asio::steady_timer timer;
  std::function<void(Status)> done;
};

Status Outcome(const ExitStatus& exit, const std::string& scratch) {
  if (exit.code == 0) return {};
  const Result<std::string> text = ReadFile(scratch, kMaxAnswerBytes);
  if (exit.signal != 0 || !text || text->empty()) {
    return Fail(ErrorCode::kFailed, "loading modules ended with {} without a word", exit.code);
  }
  return Fail(Error(exit.code == 2 ? ErrorCode::kInvalidArgument : ErrorCode::kFailed,
                    EscapeControl(*text)));
}

}  // namespace

Status ValidateModules(const std::vector<std::string>& modules) {
  if (modules.size() > kMaxModules) {
    return Fail(ErrorCode::kInvalidArgument, "modules: {}; at most {} are possible", modules.size(),
                kMaxModules);
  }
  for (const std::string& name : modules) {
    if (IsModuleName(name)) continue;
    return Fail(ErrorCode::kInvalidArgument, "modules: '{}' is not a module's name",
                EscapeControl(name.substr(0, 64)));
  }
  return {};
}

void RunModuleJob(boost::asio::io_context& io, Reaper& reaper, const std::string& rootfs,
                  const std::vector<std::string>& modules, const std::string& scratch,
                  std::function<void(Status)> done) {
  const Result<UniqueFd> root = OpenFile(rootfs, O_PATH | O_DIRECTORY);
  if (!root) return done(Fail(root.error()));
  const Result<UniqueFd> answer = OpenFile(scratch, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!answer) return done(Fail(answer.error()));
  std::vector<std::string> arguments = {"/proc/self/exe", "load-modules"};
  arguments.insert(arguments.end(), modules.begin(), modules.end());
  const Result<pid_t> pid = Spawn(arguments, {.output = answer->get(), .third = root->get()});
  if (!pid) return done(Fail(pid.error()));

  auto job = std::make_shared<Job>(io);
  job->done = std::move(done);
  job->timer.expires_after(kLimit);
  job->timer.async_wait([job, pid = *pid](const boost::system::error_code& cancelled) {
    if (cancelled || !job->done) return;
    // It may hang in a driver, deaf to this: then it stays until the machine ends.
    ::kill(pid, SIGKILL);
    job->Finish(
        Fail(ErrorCode::kTimedOut, "the modules were not loaded within {} s", kLimit.count()));
  });
  reaper.Watch(*pid, [job, scratch](const ExitStatus& exit) {
    Status outcome = Outcome(exit, scratch);
    ::unlink(scratch.c_str());
    job->Finish(std::move(outcome));
  });
}

Status OfferFirmware(const std::string& rootfs, const std::string& target) {
  HULL_ASSIGN(const UniqueFd root, OpenFile(rootfs, O_PATH | O_DIRECTORY));
  const Result<UniqueFd> firmware = archive::OpenInRoot(
      root.get(), "lib/firmware", O_PATH | O_DIRECTORY, archive::Links::kInRoot);
  if (!firmware) return {};
  if (::access(kFirmwarePath, W_OK) != 0) return {};  // a kernel that loads none
  if (target.size() > kMaxFirmwarePath) {
    return Fail(ErrorCode::kFailed, "{} is too long for the kernel", target);
  }
  // The kernel resolves the path in the guest's root, where the image's links would lead elsewhere.
  const UniqueFd tree(
      ::open_tree(firmware->get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
  if (!tree.valid()) return FailErrno("firmware of the image");
  if (::mkdir(target.c_str(), 0755) != 0 && errno != EEXIST) return FailErrno("make {}", target);
  if (::move_mount(tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return FailErrno("firmware of the image");
  }
  HULL_ASSIGN(const UniqueFd parameter, OpenFile(kFirmwarePath, O_WRONLY));
  return WriteAll(parameter.get(), target);
}

void UnmountFirmware(const std::string& target) {
  ::umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
}

}  // namespace hull::agent
