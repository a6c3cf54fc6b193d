#include "vmm/machine/vcpu_thread.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <mutex>
#include <string>

namespace hull {
namespace {

int KickSignal() {
  return SIGRTMIN;
}

// The signal does nothing but interrupt KVM_RUN.
void InstallKickHandler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    ::sigaction(KickSignal(), &action, nullptr);
  });
}

// A string instruction's items go to the port one after the other; `access` handles one and says
// whether a device answered.
template <typename Access>
uint64_t ForEachItem(const VcpuExit& exit, Access access) {
  uint64_t unanswered = 0;
  for (size_t at = 0; at + exit.item_bytes <= exit.data.size(); at += exit.item_bytes) {
    if (!access(exit.data.subspan(at, exit.item_bytes))) ++unanswered;
  }
  return unanswered;
}

}  // namespace

VcpuThread::VcpuThread(Vcpu vcpu, uint32_t number, Buses buses, GuestLife& life)
    : vcpu_(std::move(vcpu)), number_(number), buses_(buses), life_(life) {}

VcpuThread::~VcpuThread() {
  if (!thread_.joinable()) return;
  RequestStop();
  Join();
}

void VcpuThread::Start() {
  InstallKickHandler();
  thread_ = std::thread([this] { Run(); });
}

void VcpuThread::RequestStop() {
  vcpu_.RequestExit();
  if (thread_.joinable()) ::pthread_kill(thread_.native_handle(), KickSignal());
}

void VcpuThread::Join() {
  if (thread_.joinable()) thread_.join();
}

void VcpuThread::Run() {
  ::pthread_setname_np(::pthread_self(), fmt::format("vcpu{}", number_).c_str());
  while (!life_.ending()) {
    const VcpuExit exit = vcpu_.Run();
    exits_[static_cast<size_t>(exit.kind)].fetch_add(1, std::memory_order_relaxed);
    if (!Handle(exit)) return;
  }
}

bool VcpuThread::Handle(const VcpuExit& exit) {
  uint64_t unanswered = 0;
  switch (exit.kind) {
    case ExitKind::kInterrupted:
      return true;
    case ExitKind::kPortRead:
      unanswered = ForEachItem(
          exit, [&](std::span<std::byte> item) { return buses_.ports.Read(exit.address, item); });
      break;
    case ExitKind::kPortWrite:
      unanswered = ForEachItem(
          exit, [&](std::span<std::byte> item) { return buses_.ports.Write(exit.address, item); });
      break;
    case ExitKind::kMmioRead:
      unanswered = buses_.mmio.Read(exit.address, exit.data) ? 0 : 1;
      break;
    case ExitKind::kMmioWrite:
      unanswered = buses_.mmio.Write(exit.address, exit.data) ? 0 : 1;
      break;
    default:
      return ReportEnd(exit);
  }
  if (unanswered != 0) unanswered_.fetch_add(unanswered, std::memory_order_relaxed);
  return true;
}

bool VcpuThread::ReportEnd(const VcpuExit& exit) {
  const uint64_t instruction = vcpu_.InstructionPointer();
  switch (exit.kind) {
    case ExitKind::kShutdown:
      life_.End(api::Cause::kCrash,
                fmt::format("the guest crashed (triple fault on vCPU {} at {:#x})", number_,
                            instruction));
      break;
    case ExitKind::kFailed:
      life_.End(api::Cause::kError, fmt::format("vCPU {}: {}", number_, exit.Describe()));
      break;
    default:
      life_.End(api::Cause::kCrash, fmt::format("vCPU {} cannot run: {}, at {:#x}", number_,
                                                exit.Describe(), instruction));
  }
  return false;
}

api::CounterGroup VcpuThread::Counters() const {
  api::CounterGroup group = {.name = fmt::format("vcpu{}", number_), .values = {}};
  uint64_t total = 0;
  for (size_t kind = 0; kind < kExitKinds; ++kind) {
    const uint64_t count = exits_[kind].load(std::memory_order_relaxed);
    group.values.emplace_back(ExitKindName(static_cast<ExitKind>(kind)), count);
    total += count;
  }
  group.values.emplace_back("user_exits", total);
  group.values.emplace_back("unanswered", unanswered_.load(std::memory_order_relaxed));
  return group;
}

}  // namespace hull
