// MachineBuilder: makes a Machine, step by step, in the order of the functions below.
#include <elf.h>
#include <sys/random.h>

#include <array>
#include <utility>

#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/entry.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/boot/boot_params.h"
#include "vmm/boot/command_line.h"
#include "vmm/boot/device_tree.h"
#include "vmm/boot/elf_kernel.h"
#include "vmm/kvm/kvm.h"
#include "vmm/machine/images.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/warm_up.h"
#include "vmm/virtio/balloon/balloon.h"
#include "vmm/virtio/block/block.h"
#include "vmm/virtio/pmem/pmem.h"
#include "vmm/virtio/rng/rng.h"

namespace hull {
namespace {

namespace x86 = x86_64;

// What the machine needs the kernel to know:
// reboot=pci   resets by port 0xcf9 (ResetPort), not by a keyboard controller or a triple fault
// panic=-1     resets at once after a panic, so that the VM ends
constexpr std::string_view kMachineCommandLine = "reboot=pci panic=-1";

}  // namespace

class MachineBuilder {
 public:
  MachineBuilder(const api::VmConfig& config, GuestLife& life)
      : config_(config), machine_(new Machine(life)) {}

  Result<std::unique_ptr<Machine>> Build() && {
    HULL_ASSIGN(const Kvm kvm, Kvm::Open());
    if (!config_.vfio.empty()) {
      HULL_ASSIGN(machine_->passthrough_,
                  PassthroughDevices::Open(config_.vfio, machine_->reset_port_));
    }
    HULL_TRY_WITHIN("memory", AddMemory());
    HULL_TRY_WITHIN("kernel", LoadKernel());
    HULL_ASSIGN(machine_->io_, IoThread::Create());
    HULL_TRY(AddDevices());
    HULL_TRY_WITHIN("virtual machine", MakeVm(kvm));
    HULL_TRY(ConnectDevices());
    if (machine_->passthrough_) HULL_TRY(ConnectPassthrough(kvm));
    HULL_TRY_WITHIN("boot parameters", WriteBootData());
    HULL_TRY_WITHIN("virtual CPUs", MakeVcpus(kvm));
    HULL_TRY_WITHIN("memory", WarmUp(PlanWarmUp(kernel_segments_, boot_data_), machine_->memory_,
                                     machine_->vcpus_.front()->vcpu()));
    return std::move(machine_);
  }

 private:
  Status AddMemory() {
    ranges_ = x86::MemoryRanges(config_.memory_bytes);
    for (const GuestRange& range : ranges_) {
      HULL_TRY(machine_->memory_.AddRegion(range, GuestAccess::kReadWrite));
    }
    return {};
  }

  Status LoadKernel() {
    HULL_ASSIGN(const ElfKernel kernel, ElfKernel::Open(config_.kernel.path, EM_X86_64));
    // The first GiB is what the first page tables map; below 1 MiB lies what the VMM hands over.
    if (kernel.segments().front().address < x86::kLegacyEnd ||
        kernel.end() > GuestAddress(x86::kGiB)) {
      return Fail(ErrorCode::kInvalidArgument,
                  "{}: linked for {:#x}, which is not between {:#x} and {:#x}", config_.kernel.path,
                  kernel.segments().front().address.value(), x86::kLegacyEnd.value(), x86::kGiB);
    }
    kernel_entry_ = kernel.entry();
    kernel_segments_ = kernel.segments();
    AdvisePages();
    if (config_.dma_pool_bytes != 0) {
      HULL_ASSIGN(const GuestRange pool,
                  x86::PlaceDmaPool(ranges_.front(), kernel.end(), config_.dma_pool_bytes));
      machine_->passthrough_->LimitTo(pool);
      // Pinning costs by the page, and so does a device's first use of an address.
      machine_->memory_.Advise(pool, GuestMemory::Hint::kHugePages);
    }
    // Pinned memory is the VM's own, a page of a file that it maps becomes a copy, one by one.
    return kernel.Load(machine_->memory_, pins_all_memory() ? ElfKernel::ReadOnlySegments::kCopied
                                                            : ElfKernel::ReadOnlySegments::kMapped);
  }

  bool pins_all_memory() const { return !config_.vfio.empty() && config_.dma_pool_bytes == 0; }

  void AdvisePages() {
    if (pins_all_memory()) {
      // All of it will be pinned, so there is nothing to save, and much to do for each page.
      for (const GuestRange& range : ranges_) {
        machine_->memory_.Advise(range, GuestMemory::Hint::kHugePages);
      }
      return;
    }
    for (const MemoryHint& hint : PlanPages(ranges_, kernel_segments_)) {
      machine_->memory_.Advise(hint.range, hint.hint);
    }
  }

  // In the order in which the guest is to find them.
  Status AddDevices() {
    addresses_.emplace(ranges_.back().end());
    x86::DeviceMemoryAllocator& addresses = *addresses_;
    for (size_t i = 0; i < config_.pmem.size(); ++i) {
      HULL_TRY_WITHIN(fmt::format("pmem[{}]", i), AddPmem(config_.pmem[i], addresses));
    }
    for (size_t i = 0; i < config_.block.size(); ++i) {
      HULL_TRY_WITHIN(fmt::format("block[{}]", i), AddBlock(config_.block[i]));
    }
    if (config_.vsock) HULL_TRY_WITHIN("vsock", AddVsock(*config_.vsock));
    HULL_TRY_WITHIN("console", AddConsole());
    AddDevice(std::make_unique<Rng>());
    if (config_.free_page_reporting) AddDevice(std::make_unique<Balloon>(machine_->memory_));
    return {};
  }

  Status AddPmem(const api::PmemConfig& config, x86::DeviceMemoryAllocator& addresses) {
    HULL_ASSIGN(const OpenedPmem pmem, OpenPmem(config));
    HULL_ASSIGN(const GuestRange window, addresses.Allocate(pmem.content.size_bytes));
    HULL_ASSIGN(const GuestRange range, pmem.content.MapInto(machine_->memory_, window.start()));
    AddDevice(std::make_unique<Pmem>(config.id, range));
    return {};
  }

  Status AddBlock(const api::BlockConfig& config) {
    if (!machine_->disk_engine_) {
      machine_->disk_engine_ = block::DiskEngine::Create(machine_->io_->loop());
    }
    HULL_ASSIGN(DiskContent content, OpenDisk(config));
    HULL_ASSIGN(
        std::unique_ptr<Block> disk,
        Block::Create({.id = config.id, .read_only = config.read_only, .discard = config.discard},
                      std::move(content), *machine_->disk_engine_));
    AddDevice(std::move(disk));
    return {};
  }

  Status AddVsock(const api::VsockConfig& config) {
    HULL_ASSIGN(std::unique_ptr<Vsock> vsock,
                Vsock::Create(config.cid, config.path, machine_->io_->loop()));
    machine_->vsock_ = vsock.get();
    if (config.power_button_port) {
      machine_->power_button_port_ = static_cast<uint32_t>(*config.power_button_port);
    }
    AddDevice(std::move(vsock));
    return {};
  }

  Status AddConsole() {
    Console::Sink sink;
    if (!config_.console.log.empty()) {
      HULL_ASSIGN(machine_->console_log_, ConsoleLog::Open(config_.console.log));
      sink = [log = machine_->console_log_.get()](std::span<const std::byte> data) {
        log->Append(data);
      };
    }
    if (config_.console.early) machine_->debug_port_ = std::make_unique<DebugPort>(sink);
    auto console = std::make_unique<Console>(std::move(sink));
    machine_->console_ = console.get();
    AddDevice(std::move(console));
    return {};
  }

  void AddDevice(std::unique_ptr<VirtioDevice> device) {
    machine_->devices_.push_back(std::move(device));
  }

  Status MakeVm(const Kvm& kvm) {
    HULL_ASSIGN(Vm vm, kvm.CreateVm());
    HULL_TRY(vm.RouteInterrupts());
    HULL_TRY(vm.AddMemory(machine_->memory_));
    machine_->vm_.emplace(std::move(vm));
    return {};
  }

  Status ConnectDevices() {
    for (const auto& device : machine_->devices_) {
      HULL_TRY_WITHIN(device->name(), ConnectDevice(*device));
    }
    Machine& m = *machine_;
    HULL_TRY(m.mmio_.Insert(x86::kSystemControl.value(), SystemControlPage::kSizeBytes,
                            m.system_control_, "system control"));
    // A PCI bus has its ports around the reset port.
    if (!m.passthrough_) {
      HULL_TRY(m.ports_.Insert(ResetPort::kPort, ResetPort::kPorts, m.reset_port_, "reset"));
    }
    HULL_TRY(
        m.ports_.Insert(KeyboardPort::kPort, KeyboardPort::kPorts, m.keyboard_port_, "keyboard"));
    if (m.debug_port_) {
      HULL_TRY(m.ports_.Insert(DebugPort::kPort, DebugPort::kPorts, *m.debug_port_, "debug port"));
    }
    return {};
  }

  Status ConnectDevice(VirtioDevice& device) {
    Machine& m = *machine_;
    const auto number = static_cast<uint32_t>(m.transports_.size());
    const GuestAddress address(x86::kVirtioStart.value() + number * x86::kVirtioStrideBytes);
    const InterruptLine line = {x86::DeviceLine(number)};
    HULL_ASSIGN(std::unique_ptr<VirtioMmio> transport,
                VirtioMmio::Create(device, m.memory_, m.io_->loop()));
    HULL_TRY(m.vm_->ConnectInterrupt(transport->interrupt_fd(), line));
    for (uint16_t queue = 0; queue < transport->queue_count(); ++queue) {
      HULL_TRY(m.vm_->ConnectNotification(transport->notify_fd(QueueIndex(queue)),
                                          GuestAddress(address.value() + VirtioMmio::kNotifyOffset),
                                          VirtioMmio::kNotifyBytes, queue));
    }
    HULL_TRY(m.mmio_.Insert(address.value(), VirtioMmio::kSizeBytes, *transport,
                            std::string(device.name())));
    tree_.virtio.push_back({.address = address,
                            .size_bytes = VirtioMmio::kSizeBytes,
                            .interrupt_line = line.number,
                            .needed_at_boot = device.needed_at_boot()});
    m.transports_.push_back(std::move(transport));
    return {};
  }

  Status ConnectPassthrough(const Kvm& kvm) {
    Machine& m = *machine_;
    HULL_ASSIGN(const std::vector<CpuidEntry> cpuid, kvm.SupportedCpuid());
    const pci::Windows windows = {
        .ports = *GuestRange::Make(GuestAddress(x86::kPciPortsStart),
                                   x86::kPciPortsEnd - x86::kPciPortsStart),
        .low = {*GuestRange::Make(x86::kPciLowStart,
                                  x86::kPciLowEnd.value() - x86::kPciLowStart.value())},
        .high = addresses_->Rest(x86::PhysicalAddressBits(cpuid))};
    HULL_TRY_WITHIN("regions of the devices", m.passthrough_->Place(windows));
    HULL_TRY(m.passthrough_->Connect(
        {.vm = *m.vm_,
         .mmio = m.mmio_,
         .ports = m.ports_,
         .life = m.life_,
         .loop = m.io_->loop(),
         .next_line = [next = static_cast<uint32_t>(m.transports_.size())]() mutable {
           std::optional<InterruptLine> line;
           if (next < x86::kDeviceLines) line = InterruptLine{x86::DeviceLine(next++)};
           return line;
         }}));
    tree_.pci = m.passthrough_->tree();
    return m.passthrough_->CheckRoom(m.memory_);
  }

  Status WriteBootData() {
    tree_.cpus = config_.cpus;
    tree_.local_apic = x86::kLocalApic;
    tree_.io_apic = x86::kIoApic;
    tree_.system_control = {
        .power_address =
            GuestAddress(x86::kSystemControl.value() + SystemControlPage::kPowerOffset),
        .power_bytes = SystemControlPage::kPowerBytes,
        .power_off_offset = 0,
        .power_off_value = SystemControlPage::kPowerOffValue,
        .panic_address =
            GuestAddress(x86::kSystemControl.value() + SystemControlPage::kPanicOffset),
        .panic_bytes = SystemControlPage::kPanicBytes};
    HULL_ASSIGN(const std::vector<std::byte> tree, MakeDeviceTree(tree_));
    HULL_ASSIGN(const std::string command_line,
                AssembleCommandLine(config_.kernel.command_line, kMachineCommandLine));
    BootParamsConfig boot = {.address = x86::kBootParams,
                             .limit = x86::kBootLimit,
                             .ram = x86::UsableRanges(ranges_),
                             .command_line = command_line,
                             .device_tree = tree};
    if (::getrandom(boot.random.data(), boot.random.size(), 0) !=
        static_cast<ssize_t>(boot.random.size())) {
      return FailErrno("getrandom");
    }
    HULL_TRY(x86::WritePageTables(machine_->memory_));
    HULL_ASSIGN(const GuestRange written, WriteBootParams(machine_->memory_, boot));
    // The page tables lie in front.
    boot_data_ =
        *GuestRange::Make(x86::kPageTables, written.end().value() - x86::kPageTables.value());
    return {};
  }

  Status MakeVcpus(const Kvm& kvm) {
    if (config_.cpus > 1) {
      HULL_ASSIGN(const uint32_t most, kvm.MaxVcpus());
      if (config_.cpus > most) {
        return Fail(ErrorCode::kUnsupported, "this host's KVM allows {} in one VM", most);
      }
    }
    HULL_ASSIGN(const std::vector<CpuidEntry> supported, kvm.SupportedCpuid());
    const std::vector<Msr> msrs = x86::MakeMsrs();
    for (uint32_t id = 0; id < config_.cpus; ++id) {
      HULL_ASSIGN(Vcpu vcpu, machine_->vm_->CreateVcpu(id));
      HULL_TRY(vcpu.SetCpuid(x86::FilterCpuid(supported, id, config_.cpus)));
      HULL_TRY(vcpu.SetMsrs(msrs));
      if (id == 0) {
        HULL_TRY(vcpu.SetEntryState(x86::MakeEntryState(kernel_entry_, x86::kBootParams)));
      }
      machine_->vcpus_.push_back(std::make_unique<VcpuThread>(
          std::move(vcpu), id, VcpuThread::Buses{machine_->mmio_, machine_->ports_},
          machine_->life_));
    }
    return {};
  }

  const api::VmConfig& config_;
  std::unique_ptr<Machine> machine_;
  std::vector<GuestRange> ranges_;
  std::optional<x86::DeviceMemoryAllocator> addresses_;
  GuestAddress kernel_entry_;
  std::vector<ElfKernel::Segment> kernel_segments_;
  GuestRange boot_data_;
  DeviceTreeConfig tree_;
};

Result<std::unique_ptr<Machine>> Machine::Build(const api::VmConfig& config, GuestLife& life) {
  return MachineBuilder(config, life).Build();
}

}  // namespace hull
