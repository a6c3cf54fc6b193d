#include "vmm/vfio/interrupts.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

#include "vmm/base/log.h"
#include "vmm/vfio/vfio_header.h"

namespace hull::vfio {
namespace {

constexpr InterruptKind kLine = {VFIO_PCI_INTX_IRQ_INDEX};
constexpr InterruptKind kMsi = {VFIO_PCI_MSI_IRQ_INDEX};
constexpr InterruptKind kMsix = {VFIO_PCI_MSIX_IRQ_INDEX};

Result<UniqueFd> MakeEventFd() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return FailErrno("eventfd");
  return fd;
}

}  // namespace

Interrupts::Interrupts(const Device& device, GuestInterrupts& guest, bool has_line,
                       OnFailure on_failure)
    : device_(device),
      guest_(guest),
      has_line_(has_line),
      on_failure_(std::move(on_failure)),
      msi_(*this, kMsi),
      msix_(*this, kMsix) {}

Interrupts::~Interrupts() {
  Stop();
}

Status Interrupts::Start() {
  return StartLine();
}

void Interrupts::Stop() {
  if (stopped_) return;
  stopped_ = true;
  if (active_ != nullptr) active_->OnDisable();
  StopLine();
}

Status Interrupts::StartLine() {
  if (!has_line_ || line_.valid()) return {};
  HULL_ASSIGN(UniqueFd line, MakeEventFd());
  HULL_ASSIGN(UniqueFd resample, MakeEventFd());
  HULL_TRY(guest_.ConnectLine(line.get(), resample.get()));
  Status status = device_.Signal(kLine, 0, line.get());
  if (status) status = device_.UnmaskBy(kLine, resample.get());
  if (!status) {
    device_.Silence(kLine);
    guest_.DisconnectLine(line.get());
    return status;
  }
  line_ = std::move(line);
  resample_ = std::move(resample);
  return {};
}

void Interrupts::StopLine() {
  if (!line_.valid()) return;
  device_.Silence(kLine);
  guest_.DisconnectLine(line_.get());
  line_.Reset();
  resample_.Reset();
}

void Interrupts::Fail(Error error) {
  if (on_failure_) on_failure_(std::move(error).Within("interrupts of " + device_.name()));
}

void Interrupts::Messages::OnEnable(uint32_t count) {
  // Both kinds at once are not allowed to a driver: the first one stays.
  if (owner_.stopped_ || owner_.active_ != nullptr) return;
  owner_.StopLine();
  if (Status status = Enable(count); !status) {
    owner_.Fail(std::move(status).error());
    return;
  }
  owner_.active_ = this;
}

Status Interrupts::Messages::Enable(uint32_t count) {
  const Device::Interrupts has = owner_.device_.InterruptsOf(kind_);
  count = std::min(count, has.count);
  if (count == 0) {
    return hull::Fail(ErrorCode::kUnsupported, "the host has no vectors for it");
  }
  vectors_.resize(std::max<size_t>(vectors_.size(), count));
  // Where vectors can be added later, one is enough to begin with. MSI's come all at once.
  const bool grows = has.can_grow && kind_.index == VFIO_PCI_MSIX_IRQ_INDEX;
  return owner_.device_.Signal(kind_, grows ? 0 : count - 1, -1);
}

void Interrupts::Messages::OnDisable() {
  if (!active()) return;
  for (Vector& vector : vectors_) {
    if (vector.connected) owner_.guest_.DisconnectMessage(vector.event_fd.get(), *vector.route);
    vector.connected = false;
  }
  owner_.device_.Silence(kind_);
  for (Vector& vector : vectors_) vector.event_fd.Reset();
  owner_.active_ = nullptr;
  if (owner_.stopped_) return;
  if (Status status = owner_.StartLine(); !status) owner_.Fail(std::move(status).error());
}

Status Interrupts::Messages::Prepare(uint32_t index) {
  Vector& vector = vectors_[index];
  if (!vector.route) {
    HULL_ASSIGN(vector.route, owner_.guest_.AllocateRoute());
  }
  if (!vector.event_fd.valid()) {
    HULL_ASSIGN(UniqueFd event_fd, MakeEventFd());
    HULL_TRY(owner_.device_.Signal(kind_, index, event_fd.get()));
    vector.event_fd = std::move(event_fd);
  }
  return {};
}

void Interrupts::Messages::OnUnmask(uint32_t index, const MsiMessage& message) {
  if (!active() || index >= vectors_.size()) return;
  Status status = Prepare(index);
  if (!status) {
    owner_.Fail(std::move(status).error());
    return;
  }
  Vector& vector = vectors_[index];
  if (status = owner_.guest_.SetRoute(*vector.route, message); !status) {
    // No interrupt of this machine's: whoever set it up goes without.
    static log::RateLimit limit;
    if (limit.Allow()) {
      log::Warn("{}: interrupt {} to {:#x} with {:#x} is none: {}", owner_.device_.name(), index,
                message.address, message.data, status.error().ToString());
    }
    return;
  }
  if (vector.connected) return;
  if (status = owner_.guest_.ConnectMessage(vector.event_fd.get(), *vector.route); !status) {
    owner_.Fail(std::move(status).error());
    return;
  }
  vector.connected = true;
}

void Interrupts::Messages::OnMask(uint32_t index) {
  if (!active() || index >= vectors_.size() || !vectors_[index].connected) return;
  // What comes now stays in the eventfd, and KVM looks there when it is connected again.
  owner_.guest_.DisconnectMessage(vectors_[index].event_fd.get(), *vectors_[index].route);
  vectors_[index].connected = false;
}

}  // namespace hull::vfio
