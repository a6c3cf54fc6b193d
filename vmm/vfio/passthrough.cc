#include "vmm/vfio/passthrough.h"

#include <linux/pci_regs.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <algorithm>

#include "vmm/base/log.h"
#include "vmm/vfio/vfio_header.h"

namespace hull::vfio {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr InterruptKind kErrors = {VFIO_PCI_ERR_IRQ_INDEX};
constexpr InterruptKind kRequests = {VFIO_PCI_REQ_IRQ_INDEX};

// Of the command register: the device has these as the guest sets them ...
constexpr uint32_t kPassedCommand =
    PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE;
// ... and these always, so that a mapping of its memory never points to nothing.
constexpr uint32_t kForcedCommand = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;

// What makes the device tell the host of its errors: stays on where the host had it on, since they
// are the host's affair.
constexpr uint32_t kErrorCommand = PCI_COMMAND_PARITY | PCI_COMMAND_SERR;
constexpr uint32_t kErrorControl =
    PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE;

uint64_t PageDown(uint64_t value) {
  return value & ~(kPageBytes - 1);
}
uint64_t PageUp(uint64_t value) {
  return PageDown(value + kPageBytes - 1);
}

// `piece` without [start, end).
std::vector<Device::Piece> Without(const Device::Piece& piece, uint64_t start, uint64_t end) {
  const uint64_t piece_end = piece.offset_bytes + piece.size_bytes;
  std::vector<Device::Piece> rest;
  const uint64_t before_end = std::min(piece_end, start);
  if (before_end > piece.offset_bytes) {
    rest.push_back({piece.offset_bytes, before_end - piece.offset_bytes});
  }
  const uint64_t after_start = std::max(piece.offset_bytes, end);
  if (piece_end > after_start) rest.push_back({after_start, piece_end - after_start});
  return rest;
}

}  // namespace

class Passthrough::RegionTrap final : public BusDevice {
 public:
  RegionTrap(Passthrough& owner, const pci::Bar& bar, uint64_t offset, uint64_t size_bytes)
      : owner_(owner), bar_(bar), offset_(offset), size_bytes_(size_bytes) {}

  Trap Describe() {
    return {.is_ports = bar_.kind == pci::BarKind::kPorts,
            .address = bar_.address + offset_,
            .size_bytes = size_bytes_,
            .device = this};
  }
  void Read(uint64_t offset, std::span<std::byte> data) override {
    owner_.ReadRegion(bar_, offset_ + offset, data);
  }
  void Write(uint64_t offset, std::span<const std::byte> data) override {
    owner_.WriteRegion(bar_, offset_ + offset, data);
  }

 private:
  Passthrough& owner_;
  const pci::Bar bar_;
  const uint64_t offset_;  // in the region
  const uint64_t size_bytes_;
};

Result<std::unique_ptr<Passthrough>> Passthrough::Create(Device device) {
  HULL_ASSIGN(VisibleConfig config, VisibleConfig::Read(device));
  return std::unique_ptr<Passthrough>(new Passthrough(std::move(device), std::move(config)));
}

Passthrough::Passthrough(Device device, VisibleConfig config)
    : device_(std::move(device)), config_(std::move(config)) {}

Passthrough::~Passthrough() {
  Stop();
  for (const auto& [address, size_bytes] : mapped_) device_.host().Unmap(address, size_bytes);
}

Status Passthrough::Activate(GuestInterrupts& guest, bool use_line,
                             Interrupts::OnFailure on_failure) {
  pci::ConfigSpace& space = config_.space();
  forced_command_ = kForcedCommand | (device_.ReadConfig(PCI_COMMAND, 2) & kErrorCommand);
  if (const auto control = config_.express_control()) {
    kept_control_ = device_.ReadConfig(*control, 2) & kErrorControl;
  }
  device_.WriteConfig(PCI_COMMAND, 2, forced_command_);
  space.Set(PCI_COMMAND, 2, 0);
  if (!use_line) space.Set(PCI_INTERRUPT_PIN, 1, 0);
  for (const pci::Bar& bar : config_.bars()) {
    pci::BarRegisters::Show(bar, space);
  }
  interrupts_ = std::make_unique<Interrupts>(device_, guest, use_line && config_.has_line(),
                                             std::move(on_failure));
  if (config_.msi()) {
    msi_ = std::make_unique<pci::MsiCapability>(*config_.msi(), space, interrupts_->msi());
  }
  if (config_.msix()) {
    msix_ = std::make_unique<pci::MsixCapability>(*config_.msix(), space, interrupts_->msix());
  }
  for (const pci::Bar& bar : config_.bars()) HULL_TRY(MapBar(bar));
  HULL_TRY(WatchEvents());
  return interrupts_->Start();
}

Status Passthrough::MapBar(const pci::Bar& bar) {
  const Device::Region& region = device_.bar(bar.index);
  if (bar.kind == pci::BarKind::kPorts) {
    AddTrap(bar, 0, bar.size_bytes);
    return {};
  }
  // The table's pages are answered here, whatever the host would allow.
  uint64_t table_start = 0;
  uint64_t table_end = 0;
  if (msix_ && msix_->shape().table_bar == bar.index) {
    table_start = PageDown(msix_->shape().table_offset);
    table_end = PageUp(uint64_t{msix_->shape().table_offset} + msix_->shape().table_bytes());
  }
  const uint64_t end = PageUp(bar.size_bytes);
  std::vector<Device::Piece> mapped;
  for (const Device::Piece& piece : region.mappable) {
    if (piece.offset_bytes % kPageBytes != 0 || piece.size_bytes % kPageBytes != 0 ||
        piece.offset_bytes > end || piece.size_bytes > end - piece.offset_bytes) {
      return Fail(ErrorCode::kUnsupported, "region {} cannot be mapped as the host says",
                  bar.index);
    }
    std::ranges::copy(Without(piece, table_start, table_end), std::back_inserter(mapped));
  }
  std::ranges::sort(mapped, {}, &Device::Piece::offset_bytes);
  uint64_t at = 0;
  for (const Device::Piece& piece : mapped) {
    if (piece.offset_bytes < at) {
      return Fail(ErrorCode::kUnsupported, "parts of region {} overlap", bar.index);
    }
    if (piece.offset_bytes > at) AddTrap(bar, at, piece.offset_bytes - at);
    HULL_TRY(MapPiece(bar, piece));
    at = piece.offset_bytes + piece.size_bytes;
  }
  if (at < bar.size_bytes) AddTrap(bar, at, bar.size_bytes - at);
  return {};
}

Status Passthrough::MapPiece(const pci::Bar& bar, const Device::Piece& piece) {
  const auto range =
      GuestRange::Make(GuestAddress(bar.address + piece.offset_bytes), piece.size_bytes);
  if (!range) return Fail(ErrorCode::kInvalidArgument, "region {} wraps", bar.index);
  HULL_ASSIGN(
      void* const address,
      device_.host().Map(device_.fd(), device_.bar(bar.index).file_offset + piece.offset_bytes,
                         piece.size_bytes, PROT_READ | PROT_WRITE));
  mapped_.emplace_back(address, piece.size_bytes);
  mappings_.push_back({.range = *range,
                       // SAFETY: a number for KVM; nobody here reads or writes there.
                       .host_address = reinterpret_cast<uintptr_t>(address),
                       .read_only = false});
  return {};
}

void Passthrough::AddTrap(const pci::Bar& bar, uint64_t offset, uint64_t size_bytes) {
  traps_.push_back(std::make_unique<RegionTrap>(*this, bar, offset, size_bytes));
}

std::vector<Passthrough::Trap> Passthrough::Traps() {
  std::vector<Trap> traps;
  for (const auto& trap : traps_) traps.push_back(trap->Describe());
  return traps;
}

Status Passthrough::WatchEvents() {
  const auto watch = [&](InterruptKind kind, UniqueFd& fd) -> Status {
    if (device_.InterruptsOf(kind).count == 0) return {};
    fd.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd.valid()) return FailErrno("eventfd");
    return device_.Signal(kind, 0, fd.get());
  };
  HULL_TRY(watch(kErrors, error_fd_));
  return watch(kRequests, request_fd_);
}

void Passthrough::Stop() {
  const std::lock_guard lock(mutex_);
  if (stopped_) return;
  stopped_ = true;
  if (interrupts_) interrupts_->Stop();
  // First of all no more transactions: what the reset makes of the device is its own affair.
  device_.WriteConfig(PCI_COMMAND, 2, forced_command_ | PCI_COMMAND_INTX_DISABLE);
  if (error_fd_.valid()) device_.Silence(kErrors);
  if (request_fd_.valid()) device_.Silence(kRequests);
  if (!device_.can_reset()) return;
  if (const Status status = device_.Reset(); !status) {
    // It is bus master no more, and the host resets it again when it is closed.
    log::Warn("{}: {}", device_.name(), status.error().ToString());
  }
}

uint32_t Passthrough::ReadConfig(uint32_t offset, size_t size_bytes) {
  config_accesses_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  uint32_t value = config_.space().Read(offset, size_bytes);
  const uint32_t device_bytes = config_.DeviceBytes(offset, size_bytes);
  if (device_bytes != 0 && !stopped_) {
    value = (value & ~device_bytes) | (device_.ReadConfig(offset, size_bytes) & device_bytes);
  }
  // The device says whether its own list has something; ours may be empty.
  if (pci::Touches(offset, size_bytes, PCI_STATUS, 1)) {
    const uint32_t shift = 8 * (PCI_STATUS - offset);
    const uint32_t bit = uint32_t{PCI_STATUS_CAP_LIST} << shift;
    const bool has_list = config_.space().Read(PCI_CAPABILITY_LIST, 1) != 0;
    value = has_list ? value | bit : value & ~bit;
  }
  return value;
}

void Passthrough::WriteConfig(uint32_t offset, size_t size_bytes, uint32_t value) {
  config_accesses_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (stopped_) return;
  config_.space().Write(offset, size_bytes, value);
  // The bits are in the register's lower byte.
  if (const auto control = config_.express_control();
      control && *control >= offset && *control - offset < size_bytes) {
    value |= kept_control_ << (8 * (*control - offset));
  }
  // Runs of bytes that are the device's, each in one piece.
  const uint32_t device_bytes = config_.DeviceBytes(offset, size_bytes);
  for (uint32_t i = 0; i < size_bytes;) {
    if (((device_bytes >> (8 * i)) & 0xffU) == 0) {
      ++i;
      continue;
    }
    uint32_t length = 1;
    while (i + length < size_bytes && ((device_bytes >> (8 * (i + length))) & 0xffU) != 0) ++length;
    device_.WriteConfig(offset + i, length, value >> (8 * i));
    i += length;
  }
  AfterWrite(offset, size_bytes);
}

void Passthrough::AfterWrite(uint32_t offset, size_t size_bytes) {
  pci::ConfigSpace& space = config_.space();
  if (pci::Touches(offset, size_bytes, PCI_COMMAND, 2)) {
    const uint32_t command = space.Read(PCI_COMMAND, 2);
    device_.WriteConfig(PCI_COMMAND, 2, (command & kPassedCommand) | forced_command_);
  }
  for (const pci::Bar& bar : config_.bars()) {
    pci::BarRegisters::AfterWrite(bar, space, offset, size_bytes);
  }
  if (msi_ && pci::Touches(offset, size_bytes, config_.msi()->offset,
                           pci::MsiCapability::SizeBytes(*config_.msi()))) {
    msi_->AfterWrite();
  }
  if (msix_ && pci::Touches(offset, size_bytes, config_.msix()->offset,
                            pci::MsixCapability::kCapabilityBytes)) {
    msix_->AfterWrite();
  }
}

Passthrough::TableAccess Passthrough::ClassifyAccess(const pci::Bar& bar, uint64_t offset,
                                                     size_t size_bytes) const {
  if (!msix_ || msix_->shape().table_bar != bar.index) return TableAccess::kNone;
  const uint64_t start = msix_->shape().table_offset;
  const uint64_t end = start + msix_->shape().table_bytes();
  if (offset + size_bytes <= start || offset >= end) return TableAccess::kNone;
  return offset >= start && offset + size_bytes <= end ? TableAccess::kWhole : TableAccess::kPart;
}

void Passthrough::ReadRegion(const pci::Bar& bar, uint64_t offset, std::span<std::byte> data) {
  region_accesses_.fetch_add(1, std::memory_order_relaxed);
  switch (ClassifyAccess(bar, offset, data.size())) {
    case TableAccess::kNone:
      device_.ReadBar(bar.index, offset, data);
      break;
    case TableAccess::kWhole: {
      const std::lock_guard lock(mutex_);
      msix_->ReadTable(static_cast<uint32_t>(offset) - msix_->shape().table_offset, data);
      break;
    }
    case TableAccess::kPart:
      std::ranges::fill(data, std::byte{0xff});
      break;
  }
}

void Passthrough::WriteRegion(const pci::Bar& bar, uint64_t offset,
                              std::span<const std::byte> data) {
  region_accesses_.fetch_add(1, std::memory_order_relaxed);
  switch (ClassifyAccess(bar, offset, data.size())) {
    case TableAccess::kNone:
      device_.WriteBar(bar.index, offset, data);
      break;
    case TableAccess::kWhole: {
      const std::lock_guard lock(mutex_);
      if (!stopped_) {
        msix_->WriteTable(static_cast<uint32_t>(offset) - msix_->shape().table_offset, data);
      }
      break;
    }
    case TableAccess::kPart:
      break;
  }
}

std::vector<std::pair<std::string, uint64_t>> Passthrough::Counters() const {
  return {{"config_accesses", config_accesses_.load(std::memory_order_relaxed)},
          {"region_accesses", region_accesses_.load(std::memory_order_relaxed)}};
}

}  // namespace hull::vfio
