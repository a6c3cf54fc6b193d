#include "vmm/virtio/virtio_mmio.h"

#include <linux/virtio_config.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "vmm/virtio/ring_layout.h"

namespace hull {
namespace {

constexpr uint32_t kMagic = 0x74726976;     // "virt", 4.2.2
constexpr uint32_t kVersion = 2;            // not legacy
constexpr uint32_t kVendorId = 0x4c4c5548;  // "HULL"
constexpr uint32_t kRegisterBytes = 4;

constexpr uint64_t Bit(unsigned bit) {
  return uint64_t{1} << bit;
}

constexpr uint64_t kTransportFeatures =
    Bit(VIRTIO_F_VERSION_1) | Bit(VIRTIO_RING_F_INDIRECT_DESC) | Bit(VIRTIO_RING_F_EVENT_IDX);

Result<UniqueFd> MakeEventFd() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return FailErrno("make an eventfd");
  return fd;
}

void Ring(int event_fd) {
  const uint64_t one = 1;
  // Fails only when 2^64 - 2 events wait already: then there is nothing to add.
  [[maybe_unused]] const ssize_t ignored = ::write(event_fd, &one, sizeof(one));
}

// The half that a feature-select register chooses.
uint32_t Half(uint64_t features, uint32_t select) {
  if (select > 1) return 0;
  return static_cast<uint32_t>(features >> (32 * select));
}

void SetLow(GuestAddress& address, uint32_t value) {
  address = GuestAddress((address.value() & ~uint64_t{UINT32_MAX}) | value);
}

void SetHigh(GuestAddress& address, uint32_t value) {
  address = GuestAddress((address.value() & UINT32_MAX) | uint64_t{value} << 32U);
}

}  // namespace

Result<std::unique_ptr<VirtioMmio>> VirtioMmio::Create(VirtioDevice& device,
                                                       const GuestMemory& memory,
                                                       EventLoop& io_loop) {
  std::unique_ptr<VirtioMmio> transport(new VirtioMmio(device, memory, io_loop));
  HULL_ASSIGN_WITHIN(device.name(), transport->interrupt_fd_, MakeEventFd());
  for (const uint16_t size : device.queue_sizes()) {
    Queue& queue = transport->queues_.emplace_back();
    queue.config.maximum_size = size;
    HULL_ASSIGN_WITHIN(device.name(), queue.notify_fd, MakeEventFd());
  }
  return transport;
}

VirtioMmio::~VirtioMmio() {
  StopWatching();
}

int VirtioMmio::notify_fd(QueueIndex queue) const {
  return queues_.at(static_cast<size_t>(queue)).notify_fd.get();
}

void VirtioMmio::Read(uint64_t offset, std::span<std::byte> data) {
  const Lock lock(mutex_);
  if (offset >= VIRTIO_MMIO_CONFIG) {
    device_.ReadConfig(offset - VIRTIO_MMIO_CONFIG, data);
    return;
  }
  // 4.2.2.2: registers are read and written whole. Anything else reads as zero.
  std::ranges::fill(data, std::byte{0});
  if (data.size() != kRegisterBytes || offset % kRegisterBytes != 0) return;
  const uint32_t value = ReadRegister(offset);
  std::memcpy(data.data(), &value, sizeof(value));
}

void VirtioMmio::Write(uint64_t offset, std::span<const std::byte> data) {
  Lock lock(mutex_);
  if (resetting_) return;
  if (offset >= VIRTIO_MMIO_CONFIG) {
    device_.WriteConfig(offset - VIRTIO_MMIO_CONFIG, data);
    return;
  }
  if (data.size() != kRegisterBytes || offset % kRegisterBytes != 0) return;
  uint32_t value = 0;
  std::memcpy(&value, data.data(), sizeof(value));
  WriteRegister(offset, value, lock);
}

CounterReadings VirtioMmio::Counters() const {
  CounterReadings readings = {{"notifications", notifications_.value()},
                              {"interrupts", interrupts_.value()},
                              {"resets", resets_.value()},
                              {"faults", faults_.value()}};
  const CounterReadings device_readings = device_.Counters();
  readings.insert(readings.end(), device_readings.begin(), device_readings.end());
  return readings;
}

uint32_t VirtioMmio::ReadRegister(uint64_t offset) const {
  switch (offset) {
    case VIRTIO_MMIO_MAGIC_VALUE:
      return kMagic;
    case VIRTIO_MMIO_VERSION:
      return kVersion;
    case VIRTIO_MMIO_DEVICE_ID:
      return device_.device_id();
    case VIRTIO_MMIO_VENDOR_ID:
      return kVendorId;
    case VIRTIO_MMIO_DEVICE_FEATURES:
      return Half(OfferedFeatures(), device_features_select_);
    case VIRTIO_MMIO_QUEUE_NUM_MAX:
    case VIRTIO_MMIO_QUEUE_READY:
      return ReadQueueRegister(offset);
    case VIRTIO_MMIO_INTERRUPT_STATUS:
      return interrupt_status_.load();
    case VIRTIO_MMIO_STATUS:
      return resetting_ ? uint32_t{VIRTIO_CONFIG_S_NEEDS_RESET} : status_;
    case VIRTIO_MMIO_CONFIG_GENERATION:
      return config_generation_.load();
    case VIRTIO_MMIO_SHM_LEN_LOW:
    case VIRTIO_MMIO_SHM_LEN_HIGH:
    case VIRTIO_MMIO_SHM_BASE_LOW:
    case VIRTIO_MMIO_SHM_BASE_HIGH:
      return UINT32_MAX;  // 4.2.2: no such region of shared memory
    default:
      return 0;
  }
}

uint32_t VirtioMmio::ReadQueueRegister(uint64_t offset) const {
  if (queue_select_ >= queues_.size()) return 0;  // no such queue
  const VirtQueueConfig& config = queues_[queue_select_].config;
  return offset == VIRTIO_MMIO_QUEUE_NUM_MAX ? config.maximum_size : uint32_t{config.ready};
}

void VirtioMmio::WriteRegister(uint64_t offset, uint32_t value, Lock& lock) {
  switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
      device_features_select_ = value;
      break;
    case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
      driver_features_select_ = value;
      break;
    case VIRTIO_MMIO_DRIVER_FEATURES:
      WriteDriverFeatures(value);
      break;
    case VIRTIO_MMIO_QUEUE_SEL:
      queue_select_ = value;
      break;
    case VIRTIO_MMIO_QUEUE_NOTIFY:
      Notify(value);
      break;
    case VIRTIO_MMIO_INTERRUPT_ACK:
      interrupt_status_.fetch_and(~value);
      break;
    case VIRTIO_MMIO_STATUS:
      WriteStatus(value, lock);
      break;
    default:
      WriteQueueRegister(offset, value);
      break;
  }
}

void VirtioMmio::WriteQueueRegister(uint64_t offset, uint32_t value) {
  // 3.1.1: queues are set up between FEATURES_OK and DRIVER_OK; 4.2.2.2: not while they are ready.
  constexpr uint32_t kNotNow =
      VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;
  if ((status_ & VIRTIO_CONFIG_S_FEATURES_OK) == 0 || (status_ & kNotNow) != 0) return;
  if (queue_select_ >= queues_.size()) return;
  VirtQueueConfig& config = queues_[queue_select_].config;
  if (offset == VIRTIO_MMIO_QUEUE_READY) {
    config.ready = value == 1;
    return;
  }
  if (config.ready) return;
  switch (offset) {
    case VIRTIO_MMIO_QUEUE_NUM:
      config.size = value;
      break;
    case VIRTIO_MMIO_QUEUE_DESC_LOW:
      SetLow(config.descriptor_table, value);
      break;
    case VIRTIO_MMIO_QUEUE_DESC_HIGH:
      SetHigh(config.descriptor_table, value);
      break;
    case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
      SetLow(config.available_ring, value);
      break;
    case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
      SetHigh(config.available_ring, value);
      break;
    case VIRTIO_MMIO_QUEUE_USED_LOW:
      SetLow(config.used_ring, value);
      break;
    case VIRTIO_MMIO_QUEUE_USED_HIGH:
      SetHigh(config.used_ring, value);
      break;
    default:
      break;  // not a register, or not one to write
  }
}

void VirtioMmio::WriteDriverFeatures(uint32_t value) {
  if ((status_ & VIRTIO_CONFIG_S_DRIVER) == 0 || (status_ & VIRTIO_CONFIG_S_FEATURES_OK) != 0) {
    return;
  }
  if (driver_features_select_ > 1) return;
  const unsigned shift = 32 * driver_features_select_;
  driver_features_ &= ~(uint64_t{UINT32_MAX} << shift);
  driver_features_ |= uint64_t{value} << shift;
}

void VirtioMmio::WriteStatus(uint32_t value, Lock& lock) {
  if (value == 0) {
    ResetDevice(lock);
    return;
  }
  constexpr uint32_t kDriverBits = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                                   VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK |
                                   VIRTIO_CONFIG_S_FAILED;
  // 2.1.1: a driver never clears a bit, save all of them by a reset.
  uint32_t added = value & kDriverBits & ~status_;
  if ((added & VIRTIO_CONFIG_S_FEATURES_OK) != 0) {
    const bool agreed = (driver_features_ & ~OfferedFeatures()) == 0 &&
                        (driver_features_ & Bit(VIRTIO_F_VERSION_1)) != 0;
    const bool has_driver = ((status_ | added) & VIRTIO_CONFIG_S_DRIVER) != 0;
    // 2.2.2: the driver reads the status back and finds that the bit is not there.
    if (!agreed || !has_driver) added &= ~uint32_t{VIRTIO_CONFIG_S_FEATURES_OK};
  }
  status_ |= added;
  if ((added & VIRTIO_CONFIG_S_DRIVER_OK) == 0) return;
  if ((status_ & VIRTIO_CONFIG_S_FEATURES_OK) == 0) {
    MarkBroken(MakeError(ErrorCode::kInvalidArgument, "DRIVER_OK without FEATURES_OK"));
  } else if ((status_ & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)) == 0) {
    StartDevice(lock);
  }
}

void VirtioMmio::StartDevice(Lock& lock) {
  VirtioDevice::Activation activation{.features = driver_features_, .queues = {}, .driver = this};
  activation.queues.reserve(queues_.size());
  for (size_t index = 0; index < queues_.size(); ++index) {
    Result<VirtQueue> queue = queues_[index].config.Activate(memory_, driver_features_, *this);
    if (!queue) {
      MarkBroken(std::move(queue).error().Within(fmt::format("queue {}", index)));
      return;
    }
    activation.queues.push_back(std::move(queue).value());
  }
  started_ = true;
  lock.unlock();
  // Not waited for: a notification that comes before the loop gets there waits in its eventfd.
  RunOnLoop(
      [this, activation = std::move(activation)]() mutable { Activate(std::move(activation)); });
}

void VirtioMmio::ResetDevice(Lock& lock) {
  resets_.Add();
  if (!started_) {  // as when the driver is first loaded: nobody to wait for
    ClearRegisters();
    return;
  }
  resetting_ = true;
  lock.unlock();
  RunOnLoop([this] {
    StopWatching();
    device_.Reset([this] { FinishReset(); });
  });
  // The loop's own thread (a test without threads) would wait for itself.
  if (io_loop_.IsCurrent()) return;
  lock.lock();
  if (!reset_done_.wait_for(lock, kResetLimit, [this] { return !resetting_; })) {
    log::Error("{}: reset is not done after {} s", device_.name(), kResetLimit.count());
  }
}

void VirtioMmio::ClearRegisters() {
  status_ = 0;
  device_features_select_ = 0;
  driver_features_select_ = 0;
  driver_features_ = 0;
  queue_select_ = 0;
  for (Queue& queue : queues_) {
    const uint16_t maximum_size = queue.config.maximum_size;
    queue.config = VirtQueueConfig();
    queue.config.maximum_size = maximum_size;
  }
  interrupt_status_.store(0);
}

void VirtioMmio::MarkBroken(const Error& why) {
  if ((status_ & VIRTIO_CONFIG_S_NEEDS_RESET) != 0) return;
  status_ |= VIRTIO_CONFIG_S_NEEDS_RESET;
  faults_.Add();
  if (fault_log_limit_.Allow()) {
    log::Warn("{}: the guest's driver is at fault, the device stops: {}", device_.name(),
              why.ToString());
  }
  // 2.1.2: told by a configuration change, once the driver listens.
  if ((status_ & VIRTIO_CONFIG_S_DRIVER_OK) != 0) Interrupt(VIRTIO_MMIO_INT_CONFIG);
}

uint64_t VirtioMmio::OfferedFeatures() const {
  return device_.features() | kTransportFeatures;
}

void VirtioMmio::Notify(uint32_t queue) const {
  if (queue < queues_.size()) Ring(queues_[queue].notify_fd.get());
}

void VirtioMmio::RunOnLoop(Task task) {
  if (io_loop_.IsCurrent()) {
    task();
  } else {
    io_loop_.Post(std::move(task));
  }
}

void VirtioMmio::Activate(VirtioDevice::Activation activation) {
  Status activated = device_.Activate(std::move(activation));
  if (activated) activated = WatchQueues();
  if (!activated) NeedsReset(std::move(activated).error().Within("activate"));
}

Status VirtioMmio::WatchQueues() {
  for (size_t index = 0; index < queues_.size(); ++index) {
    Queue& queue = queues_[index];
    HULL_ASSIGN(queue.watch, Watch::Create(io_loop_, queue.notify_fd.get(), [this, index] {
                  OnNotified(static_cast<QueueIndex>(index));
                }));
    queue.watch->WatchReadable(true);
  }
  return {};
}

void VirtioMmio::StopWatching() {
  for (Queue& queue : queues_) queue.watch.reset();
}

void VirtioMmio::OnNotified(QueueIndex queue) {
  uint64_t count = 0;
  const int fd = notify_fd(queue);
  // Nothing there means that somebody has read it before: no notification.
  if (::read(fd, &count, sizeof(count)) != static_cast<ssize_t>(sizeof(count))) return;
  notifications_.Add();
  if (Status status = device_.OnQueueNotified(queue); !status) {
    NeedsReset(
        std::move(status).error().Within(fmt::format("queue {}", static_cast<unsigned>(queue))));
  }
}

void VirtioMmio::FinishReset() {
  const Lock lock(mutex_);
  ClearRegisters();
  started_ = false;
  resetting_ = false;
  reset_done_.notify_all();
}

void VirtioMmio::ConfigChanged() {
  config_generation_.fetch_add(1);
  Interrupt(VIRTIO_MMIO_INT_CONFIG);
}

void VirtioMmio::NeedsReset(const Error& why) {
  StopWatching();
  const Lock lock(mutex_);
  if (!resetting_) MarkBroken(why);
}

void VirtioMmio::Interrupt(uint32_t cause) {
  interrupt_status_.fetch_or(cause);
  interrupts_.Add();
  Ring(interrupt_fd_.get());
}

}  // namespace hull
