#include "vmm/machine/passthrough_devices.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "vmm/base/check.h"
#include "vmm/machine/pinning_room.h"

namespace hull {
namespace {

// The first one is the host bridge.
constexpr uint32_t kFirstSlot = 1;

// The one that `range` lies in.
const HostMappings::Mapping& MappingOf(const std::vector<HostMappings::Mapping>& mappings,
                                       const GuestRange& range) {
  const auto found = std::ranges::find_if(mappings, [&](const HostMappings::Mapping& mapping) {
    return mapping.range.Contains(range.start());
  });
  HULL_CHECK(found != mappings.end());
  return *found;
}

}  // namespace

// A device's interrupts, as KVM makes them.
class PassthroughDevices::VmInterrupts final : public vfio::GuestInterrupts {
 public:
  VmInterrupts(Vm& vm, InterruptLine line) : vm_(vm), line_(line) {}

  Status ConnectLine(int event_fd, int resample_fd) override {
    return vm_.ConnectLevelInterrupt(event_fd, resample_fd, line_);
  }
  void DisconnectLine(int event_fd) override { vm_.DisconnectInterrupt(event_fd, line_); }
  Result<MsiRoute> AllocateRoute() override { return vm_.routes().Allocate(); }
  Status SetRoute(MsiRoute route, const MsiMessage& message) override {
    return vm_.routes().Set(route, message);
  }
  Status ConnectMessage(int event_fd, MsiRoute route) override {
    return vm_.ConnectMessage(event_fd, route);
  }
  void DisconnectMessage(int event_fd, MsiRoute route) override {
    vm_.DisconnectMessage(event_fd, route);
  }

 private:
  Vm& vm_;
  const InterruptLine line_;  // of no meaning for a device that has none
};

Result<std::unique_ptr<PassthroughDevices>> PassthroughDevices::Open(
    const std::vector<api::VfioConfig>& configs, BusDevice& reset_port) {
  std::unique_ptr<PassthroughDevices> devices(new PassthroughDevices(reset_port));
  HULL_ASSIGN(devices->space_,
              vfio::AddressSpace::Create(vfio::Host::Linux(), configs.front().device));
  devices->config_ports_.Insert(0, devices->host_bridge_);
  for (size_t i = 0; i < configs.size(); ++i) {
    HULL_TRY_WITHIN(fmt::format("vfio[{}] ({})", i, configs[i].device),
                    devices->OpenOne(configs[i]));
  }
  return devices;
}

PassthroughDevices::~PassthroughDevices() {
  Stop();
}

Status PassthroughDevices::OpenOne(const api::VfioConfig& config) {
  HULL_ASSIGN(vfio::OpenedDevice opened, space_->Open(config.device));
  HULL_ASSIGN(vfio::Device device,
              vfio::Device::Create(vfio::Host::Linux(), std::move(opened.device), config.device));
  HULL_ASSIGN(std::unique_ptr<vfio::Passthrough> function,
              vfio::Passthrough::Create(std::move(device)));
  members_.push_back({.id = config.id,
                      .kvm_file = opened.kvm_file,
                      .interrupts = nullptr,
                      .function = std::move(function),
                      .watches = {}});
  return {};
}

Status PassthroughDevices::Place(const pci::Windows& windows) {
  std::vector<pci::Bar*> bars;
  for (Member& member : members_) {
    for (pci::Bar& bar : member.function->bars()) bars.push_back(&bar);
  }
  HULL_TRY(pci::PlaceBars(bars, windows));
  tree_.ports = windows.ports;
  tree_.low_memory = windows.low.front();
  uint64_t high_end = windows.high.start().value();
  for (const pci::Bar* const bar : bars) {
    if (bar->kind == pci::BarKind::kMemory64) {
      high_end = std::max(high_end, bar->address + bar->size_bytes);
    }
  }
  tree_.high_memory =
      GuestRange::Make(windows.high.start(), high_end - windows.high.start().value())
          .value_or(GuestRange());
  return {};
}

Status PassthroughDevices::Connect(const Surroundings& surroundings) {
  HULL_TRY(surroundings.ports.Insert(pci::ConfigPorts::kPort, pci::ConfigPorts::kPorts,
                                     config_ports_, "PCI configuration"));
  uint32_t slot = kFirstSlot;
  for (Member& member : members_) {
    HULL_TRY_WITHIN(member.function->name(), ConnectOne(member, slot, surroundings));
    ++slot;
  }
  return {};
}

Status PassthroughDevices::ConnectOne(Member& member, uint32_t slot,
                                      const Surroundings& surroundings) {
  vfio::Passthrough& function = *member.function;
  std::optional<InterruptLine> line;
  if (function.has_line()) {
    line = surroundings.next_line();
    if (line) {
      tree_.lines.push_back({.slot = slot, .interrupt_line = line->number});
    } else if (!function.has_messages()) {
      return Fail(ErrorCode::kExhausted, "no interrupt line is left for it");
    }
  }
  if (member.kvm_file >= 0) HULL_TRY(surroundings.vm.AddVfioFile(member.kvm_file));
  member.interrupts =
      std::make_unique<VmInterrupts>(surroundings.vm, line.value_or(InterruptLine{0}));
  GuestLife& life = surroundings.life;
  HULL_TRY(function.Activate(*member.interrupts, line.has_value(), [&life](const Error& error) {
    life.End(api::Cause::kError, error.ToString());
  }));
  for (const HostMappings::Mapping& mapping : function.mappings()) {
    HULL_TRY(surroundings.vm.AddMapping(mapping));
  }
  for (const vfio::Passthrough::Trap& trap : function.Traps()) {
    Bus& bus = trap.is_ports ? surroundings.ports : surroundings.mmio;
    HULL_TRY(bus.Insert(trap.address, trap.size_bytes, *trap.device, function.name()));
  }
  config_ports_.Insert(slot, function);
  return WatchEvents(member, surroundings);
}

Status PassthroughDevices::WatchEvents(Member& member, const Surroundings& surroundings) {
  const auto watch = [&](int fd, const char* what) -> Status {
    if (fd < 0) return {};
    HULL_ASSIGN(
        std::unique_ptr<Watch> made,
        Watch::Create(surroundings.loop, fd,
                      [&life = surroundings.life, name = member.function->name(), fd, what] {
                        // Taken, or the loop would have it for ever.
                        uint64_t count = 0;
                        static_cast<void>(::read(fd, &count, sizeof(count)) < 0);
                        life.End(api::Cause::kError, fmt::format("{} {}", name, what));
                      }));
    made->WatchReadable(true);
    member.watches.push_back(std::move(made));
    return {};
  };
  HULL_TRY(watch(member.function->error_fd(),
                 "reported an error that it cannot recover from (AER; see the host's kernel log)"));
  return watch(member.function->request_fd(), "is wanted back by the host");
}

void PassthroughDevices::LimitTo(const GuestRange& pool) {
  tree_.dma_pool = pool;
}

// What is in `tree_` the guest has been told, too.
std::vector<HostMappings::Mapping> PassthroughDevices::Reachable(const GuestMemory& memory) const {
  if (tree_.dma_pool.empty()) return HostMappings::Of(memory);
  const auto pool = HostMappings::Of(memory, tree_.dma_pool);
  HULL_CHECK(pool.has_value());
  return {*pool};
}

Status PassthroughDevices::CheckRoom(const GuestMemory& memory) const {
  uint64_t total_bytes = 0;
  for (const HostMappings::Mapping& mapping : Reachable(memory)) {
    total_bytes += mapping.range.size_bytes();
  }
  return PinningRoom::OfThisProcess().Check(total_bytes);
}

void PassthroughDevices::StartPinning(const GuestMemory& memory, MemoryPinner::Events events) {
  const std::vector<HostMappings::Mapping> mappings = Reachable(memory);
  std::vector<GuestRange> ranges;
  uint64_t total_bytes = 0;
  for (const HostMappings::Mapping& mapping : mappings) {
    ranges.push_back(mapping.range);
    total_bytes += mapping.range.size_bytes();
  }
  MemoryPinner::Steps steps = {
      .populate =
          [&memory, mappings](const GuestRange& range) {
            memory.Advise(range, MappingOf(mappings, range).read_only
                                     ? GuestMemory::Hint::kReadSoon
                                     : GuestMemory::Hint::kWriteSoon);
          },
      .pin = [this, mappings](const GuestRange& range) { return Pin(mappings, range); }};
  pinner_ = std::make_unique<MemoryPinner>(ranges, MemoryPinner::ThreadsFor(total_bytes),
                                           std::move(steps), std::move(events));
  pinner_->Start();
}

Status PassthroughDevices::Pin(const std::vector<HostMappings::Mapping>& mappings,
                               const GuestRange& range) {
  const HostMappings::Mapping& mapping = MappingOf(mappings, range);
  return space_->Map(range,
                     mapping.host_address + (range.start().value() - mapping.range.start().value()),
                     mapping.read_only ? vfio::DmaAccess::kReadOnly : vfio::DmaAccess::kReadWrite);
}

void PassthroughDevices::Stop() {
  pinner_.reset();
  for (Member& member : members_) {
    member.watches.clear();
    member.function->Stop();
  }
}

std::vector<api::CounterGroup> PassthroughDevices::Counters() const {
  std::vector<api::CounterGroup> groups;
  for (const Member& member : members_) {
    groups.push_back({.name = member.id, .values = member.function->Counters()});
  }
  return groups;
}

}  // namespace hull
