// Interrupts: the way of a passed-through device's interrupts into the guest. The host's kernel
// signals an eventfd, and KVM takes it from there (irqfd): this process is not involved, save when
// the guest sets them up.
//
// A device starts with its line (INTx), where it has one, and leaves it while the guest has MSI or
// MSI-X on. No lock of its own: its function has one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm/interrupt_routes.h"
#include "vmm/pci/msi.h"
#include "vmm/vfio/device.h"

namespace hull::vfio {

// The guest's end of it; KVM's in earnest. One for each device, which it outlives.
class GuestInterrupts {
 public:
  virtual ~GuestInterrupts() = default;

  // The device's line: `event_fd` raises it, and when the guest has handled it `resample_fd` is
  // signalled.
  virtual Status ConnectLine(int event_fd, int resample_fd) = 0;
  virtual void DisconnectLine(int event_fd) = 0;

  virtual Result<MsiRoute> AllocateRoute() = 0;
  virtual Status SetRoute(MsiRoute route, const MsiMessage& message) = 0;
  virtual Status ConnectMessage(int event_fd, MsiRoute route) = 0;
  virtual void DisconnectMessage(int event_fd, MsiRoute route) = 0;
};

class Interrupts {
 public:
  // Told once, when the host fails to do what the guest may ask for. Any thread.
  using OnFailure = std::function<void(Error)>;

  // `device` and `guest` outlive this.
  Interrupts(const Device& device, GuestInterrupts& guest, bool has_line, OnFailure on_failure);
  // Stops.
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  pci::VectorOwner& msi() { return msi_; }
  pci::VectorOwner& msix() { return msix_; }

  Status Start();
  // No interrupt comes any more, whatever the guest does.
  void Stop();

 private:
  // MSI or MSI-X.
  class Messages final : public pci::VectorOwner {
   public:
    Messages(Interrupts& owner, InterruptKind kind) : owner_(owner), kind_(kind) {}

    void OnEnable(uint32_t count) override;
    void OnDisable() override;
    void OnUnmask(uint32_t index, const MsiMessage& message) override;
    void OnMask(uint32_t index) override;

   private:
    struct Vector {
      UniqueFd event_fd;              // made at the first unmasking
      std::optional<MsiRoute> route;  // kept for good once made
      bool connected = false;
    };

    Status Enable(uint32_t count);
    Status Prepare(uint32_t index);
    bool active() const { return owner_.active_ == this; }

    Interrupts& owner_;
    const InterruptKind kind_;
    std::vector<Vector> vectors_;
  };

  Status StartLine();
  void StopLine();
  void Fail(Error error);

  const Device& device_;
  GuestInterrupts& guest_;
  const bool has_line_;
  const OnFailure on_failure_;
  bool stopped_ = false;
  UniqueFd line_;      // valid while the line is in use
  UniqueFd resample_;  // the same
  Messages msi_;
  Messages msix_;
  Messages* active_ = nullptr;  // which of them is on
};

}  // namespace hull::vfio
