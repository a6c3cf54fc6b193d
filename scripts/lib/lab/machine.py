"""The emulated machine under QEMU: its command line, its process, and the ends of its channels."""

import contextlib
import ctypes
import dataclasses
import os
import re
import signal
import socket
import subprocess

from .errors import LabError

PORTS = ("control", "input", "output", "error")

# Mitigations and clock checks cost time and prove nothing under emulation. Errors alone reach the serial line, where
# each character is slow; a crash raises the level by itself.
_KERNEL_ARGUMENTS = ("console=ttyS0", "quiet", "loglevel=4", "panic=-1", "mitigations=off", "tsc=reliable",
                     "no_timer_check", "nokaslr", "random.trust_cpu=on", "audit=0", "nowatchdog",
                     "lsm=landlock,yama,bpf", "cryptomgr.notests")

# No XSAVE: TCG does not tell KVM when a guest sets its XCR0, so KVM's idea of the guest's state would be wrong, the
# guest's kernel complains of it with a stack trace at every boot, and the host goes on with the guest's XCR0.
_CPU = "max,+svm,+npt,-xsave,-avx,-avx2,-f16c,-fma,-vaes,-vpclmulqdq"

_PR_SET_PDEATHSIG = 1


@dataclasses.dataclass
class Machine:
    """What the emulated host is made of."""

    kernel: str
    initramfs: str
    out_directory: str
    memory_bytes: int = 3 << 30
    processors: int = 1
    count: bool = False
    iommu: str = "none"
    devices: list[str] = dataclasses.field(default_factory=list)
    kernel_arguments: list[str] = dataclasses.field(default_factory=list)

    def command(self, channels: dict[str, int], console: int) -> list[str]:
        """QEMU's command line. `channels` maps each port to an open descriptor, `console` is written to."""
        accelerator = "tcg,thread=single"
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                   "-name", "hull-lab", "-cpu", _CPU, "-m", f"{self.memory_bytes >> 20}M",
                   "-smp", str(self.processors),
                   "-kernel", self.kernel, "-initrd", self.initramfs]
        if self.count:
            # One virtual nanosecond is one instruction; idle time is skipped.
            command += ["-icount", "shift=0,sleep=off", "-rtc", "clock=vm"]
        command += ["-accel", accelerator, "-M", self._model(), "-append", " ".join(self._arguments())]
        command += ["-add-fd", f"fd={console},set=1", "-chardev", "file,id=console,path=/dev/fdset/1,append=on",
                    "-serial", "chardev:console"]
        command += ["-device", "virtio-serial-pci,max_ports=8"]
        for number, port in enumerate(PORTS, start=1):
            command += ["-chardev", f"socket,id={port},fd={channels[port]}",
                        "-device", f"virtserialport,nr={number},chardev={port},name=lab.{port}"]
        command += ["-virtfs", "local,id=root,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap",
                    "-virtfs", f"local,id=out,path={_escape(self.out_directory)},mount_tag=out,security_model=none,"
                    "multidevs=remap", "-device", "virtio-rng-pci"]
        command += self._iommu_options()
        for specification in self.devices:
            command += _device_options(specification)
        return command

    def _model(self) -> str:
        split = ",kernel-irqchip=split" if self.iommu == "intel" else ""
        return "q35,hpet=off,smm=off,vmport=off" + split

    def _iommu_options(self) -> list[str]:
        return {"none": [], "intel": ["-device", "intel-iommu,intremap=on,caching-mode=on"],
                "amd": ["-device", "amd-iommu,intremap=on"]}[self.iommu]

    def _arguments(self) -> list[str]:
        iommu = {"none": [], "intel": ["intel_iommu=on"], "amd": ["amd_iommu=on"]}[self.iommu]
        return [*_KERNEL_ARGUMENTS, *iommu, *self.kernel_arguments]


def _escape(path: str) -> str:
    return path.replace(",", ",,")


def _device_options(specification: str) -> list[str]:
    """`-device`'s value, or with the word `drive:`, `object:`, `netdev:`, `chardev:` or `mon:` before it, that option's."""
    match = re.match(r"^(drive|object|netdev|chardev|device|blockdev|mon):(.+)$", specification)
    if match:
        return ["-" + match.group(1), match.group(2)]
    return ["-device", specification]


def _die_with_parent() -> None:
    # Whatever ends the lab's process, SIGKILL included, ends the machine.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _start(command: list[str], inherited: list[int], output: int) -> subprocess.Popen:
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                start_new_session=True, pass_fds=inherited, preexec_fn=_die_with_parent)
    except FileNotFoundError:
        raise LabError("qemu-system-x86_64 is not installed: run scripts/setup") from None


class Running:
    """A started machine. Use as a context manager: leaving it ends QEMU, whatever happened.

    `state` is a file with the state to continue from, instead of booting; `monitor` gives the machine a control
    socket for QMP as the channel "monitor".
    """

    def __init__(self, machine: Machine, state: str = "", monitor: bool = False):
        self.channels: dict[str, socket.socket] = {}
        far: dict[str, socket.socket] = {}
        for port in PORTS:
            self.channels[port], far[port] = socket.socketpair()
        console_read, console_write = os.pipe()
        self.console = os.fdopen(console_read, "rb", buffering=0)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, console_write)
            for end in far.values():
                stack.callback(end.close)
            descriptors = {port: end.fileno() for port, end in far.items()}
            command = machine.command(descriptors, console_write)
            inherited = [*descriptors.values(), console_write]
            if state:
                source = stack.enter_context(open(state, "rb")).fileno()
                inherited.append(source)
                command += ["-incoming", f"fd:{source}"]
            if monitor:
                self.channels["monitor"], end = socket.socketpair()
                stack.callback(end.close)
                inherited.append(end.fileno())
                command += ["-chardev", f"socket,id=monitor,fd={end.fileno()}", "-mon",
                            "chardev=monitor,mode=control"]
            self.process = _start(command, inherited, console_write)

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_) -> None:
        self.end()

    def end(self) -> None:
        """Ends QEMU at once. Nothing is lost by it: the root is read-only, and LAB_OUT is written through."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
