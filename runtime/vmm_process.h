// A hull-vmm of this process: started, watched, ended.
//
// Lives on the loop of its io_context. The child dies with the thread that started it
// (PR_SET_PDEATHSIG): a supervisor that is killed leaves no virtual machine behind.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include "runtime/process_identity.h"
#include "vmm/api/outcome.h"
#include "vmm/base/result.h"

namespace hull {

struct VmmOptions {
  std::string program;
  std::string config_file;  // relative to the run directory, which is the child's working directory
  std::string log_file;     // likewise: what hull-vmm says on standard output and error
  int run_fd = -1;          // the run directory
  // Standard error stays this process's own.
  bool inherit_stderr = false;
};

class VmmProcess {
 public:
  // Fails when the program cannot be started at all; everything later is an Outcome.
  static Result<std::unique_ptr<VmmProcess>> Start(boost::asio::io_context& io,
                                                   const VmmOptions& options);

  VmmProcess(const VmmProcess&) = delete;
  VmmProcess& operator=(const VmmProcess&) = delete;
  // Ends the child, if it has not ended, and waits for it.
  ~VmmProcess();

  pid_t pid() const;
  // Called on the loop, about once a second, while the machine's memory is being pinned.
  void OnPinning(std::function<void(const api::PinningProgress&)> handler);
  // Called on the loop when the first vCPU is about to run.
  void OnStarted(std::function<void()> handler);
  // Called once, on the loop, when the child has ended and has been waited for. A child that died
  // without a word gives cause kError and what it had said on its log.
  void OnEnded(std::function<void()> handler);
  // Set once the child has ended.
  const std::optional<api::Outcome>& outcome() const;

  // SIGKILL and wait: the virtual machine is gone at once, unflushed. outcome() is then kKilled
  // unless it had ended before. No handler is called.
  void KillNow();

 private:
  class Impl;
  explicit VmmProcess(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<Impl> impl_;
};

}  // namespace hull
