"""The lab on an emulated Intel CPU: Bochs, with VT-x and EPT.

There are no shares with the host here. The command, and every file that it needs, travels in the initramfs; what it
writes comes back over one serial line as frames (init/relay.h); the kernel's console is a second line.
"""

import ctypes
import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

from . import cpio, initramfs
from .errors import EXIT_TIMEOUT, LabError
from .kernel import Kernel
from .order import Order

_ISOLINUX = "/usr/lib/ISOLINUX/isolinux.bin"
_LDLINUX = "/usr/lib/syslinux/modules/bios/ldlinux.c32"
_FIRMWARE = "/usr/share/bochs"
_START_SECONDS = 300
_PR_SET_PDEATHSIG = 1

_KERNEL_ARGUMENTS = ("console=ttyS1", "quiet", "loglevel=4", "panic=-1", "mitigations=off", "nokaslr",
                     "tsc=reliable", "no_timer_check", "edd=off", "random.trust_cpu=on", "audit=0", "nowatchdog",
                     "lsm=landlock,yama,bpf", "cryptomgr.notests")

_CONFIGURATION = """\
romimage: file={firmware}/BIOS-bochs-latest
vgaromimage: file={firmware}/VGABIOS-lgpl-latest
display_library: term
megs: {megabytes}
cpu: model=corei7_skylake_x, count=1, ips=50000000, reset_on_triple_fault=0
clock: sync=none
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path="{iso}", status=inserted
boot: cdrom
plugin_ctrl: speaker=0
com1: enabled=1, mode=file, dev="{frames}"
com2: enabled=1, mode=file, dev="{console}"
log: {log}
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""


def run(kernel: Kernel, order: Order, files: list[tuple[str, str]], *, megabytes: int, timeout: float | None,
        verbose: bool) -> int:
    """Runs `order` in Bochs with `files` (source, path in the lab) at hand. Returns its exit status."""
    with tempfile.TemporaryDirectory(prefix="hull-vtx-") as directory:
        _write_disc(directory, kernel, order, files)
        machine = _Bochs(directory, megabytes)
        try:
            return _Reader(machine, timeout, verbose).run()
        finally:
            machine.end()


def _write_disc(directory: str, kernel: Kernel, order: Order, files: list[tuple[str, str]]) -> None:
    archive = initramfs.base_archive(kernel, initramfs.MODULES_BOCHS)
    _add_busybox(archive)
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    archive.file("etc/group", b"root:x:0:\n")
    archive.directory("root")
    for source, target in files:
        archive.copy(os.path.realpath(source), target)
    archive.file("order", order.records())
    content = os.path.join(directory, "disc")
    os.mkdir(content)
    with open(os.path.join(content, "initrd"), "wb") as handle:
        handle.write(archive.render())
    shutil.copy(kernel.vmlinuz, os.path.join(content, "linux"))
    for source in (_ISOLINUX, _LDLINUX):
        if not os.path.exists(source):
            raise LabError(f"{source} is not there: run scripts/setup")
        shutil.copy(source, content)
    with open(os.path.join(content, "isolinux.cfg"), "w", encoding="ascii") as handle:
        handle.write("default lab\nprompt 0\ntimeout 0\nlabel lab\n kernel /linux\n initrd /initrd\n append "
                     + " ".join(_KERNEL_ARGUMENTS) + "\n")
    command = ["genisoimage", "-quiet", "-o", os.path.join(directory, "lab.iso"), "-b", "isolinux.bin", "-c",
               "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", content]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"genisoimage failed: {done.stdout}")


def _add_busybox(archive: cpio.Archive) -> None:
    archive.copy(os.path.realpath("/bin/busybox"), "bin/busybox")
    applets = subprocess.run(["busybox", "--list"], check=True, text=True, stdout=subprocess.PIPE).stdout.split()
    for applet in applets:
        if applet != "busybox":
            archive.symlink(f"bin/{applet}", "busybox")


class _Bochs:
    """The emulator's process. It is a debugger and draws a screen, so it runs on a terminal of its own."""

    def __init__(self, directory: str, megabytes: int):
        self.frames = os.path.join(directory, "frames")
        self.console = os.path.join(directory, "console")
        self.log = os.path.join(directory, "log")
        for path in (self.frames, self.console):
            with open(path, "wb"):
                pass
        configuration = os.path.join(directory, "bochsrc")
        with open(configuration, "w", encoding="utf-8") as handle:
            handle.write(_CONFIGURATION.format(firmware=_FIRMWARE, megabytes=megabytes, log=self.log,
                                               iso=os.path.join(directory, "lab.iso"), frames=self.frames,
                                               console=self.console))
        self.terminal, far = pty.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
        environment = {**os.environ, "TERM": "vt100", "LTDL_LIBRARY_PATH": ""}
        environment.pop("LTDL_LIBRARY_PATH")
        try:
            self.process = subprocess.Popen(
                ["bochs", "-q", "-f", configuration], stdin=far, stdout=far, stderr=far, env=environment,
                start_new_session=True, preexec_fn=_prepare_child)
        except FileNotFoundError:
            raise LabError("bochs is not installed: run scripts/setup") from None
        finally:
            os.close(far)
        os.write(self.terminal, b"c\n")
        os.set_blocking(self.terminal, False)

    def drain_terminal(self) -> None:
        """Throws away what Bochs draws; it would stop when nobody reads it."""
        try:
            while os.read(self.terminal, 65536):
                pass
        except OSError:
            pass

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.terminal)


def _prepare_child() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class _Reader:
    """Takes frames out of the serial line's file as they are written."""

    def __init__(self, machine: _Bochs, timeout: float | None, verbose: bool):
        self._machine = machine
        self._timeout = timeout
        self._verbose = verbose
        self._pending = b""
        self._started = 0.0
        self._status: int | None = None

    def run(self) -> int:
        begun = time.monotonic()
        with open(self._machine.frames, "rb", buffering=0) as frames:
            while True:
                ended = self._machine.process.poll() is not None
                while data := frames.read(1 << 20):
                    self._take(data)
                if self._status is not None:
                    self._progress(begun, last=True)
                    return self._status
                now = time.monotonic()
                if ended:
                    raise LabError("Bochs ended before the command did", self._tail())
                if not self._started and now - begun > _START_SECONDS:
                    raise LabError(f"the lab did not start within {_START_SECONDS} s", self._tail())
                if self._started and self._timeout is not None and now - self._started > self._timeout:
                    print(f"lab: no end after {self._timeout:g} s; ended it", file=sys.stderr)
                    return EXIT_TIMEOUT
                self._progress(begun)
                select.select([self._machine.terminal], [], [], 0.1)
                self._machine.drain_terminal()

    def _take(self, data: bytes) -> None:
        self._pending += data
        while len(self._pending) >= 5:
            size = struct.unpack_from("<I", self._pending, 1)[0]
            if len(self._pending) < 5 + size:
                return
            tag, body = self._pending[:1], self._pending[5:5 + size]
            self._pending = self._pending[5 + size:]
            if tag == b"O":
                _write_all(1, body)
            elif tag == b"E":
                _write_all(2, body)
            elif tag == b"C":
                self._obey(body.decode("utf-8", "replace").strip())
            else:
                raise LabError(f"the serial line carries something else than frames: {tag + body[:40]!r}",
                               self._tail())

    def _obey(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "started":
            self._started = time.monotonic()
        elif word == "exit":
            self._status = int(rest.split()[0])

    def _progress(self, begun: float, last: bool = False) -> None:
        if not sys.stderr.isatty() or self._started and not last:
            return
        text = "" if last else f"lab: Bochs is booting, {time.monotonic() - begun:.0f} s"
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def _tail(self) -> str:
        lines = []
        for path in (self._machine.console, self._machine.log):
            with open(path, "rb") as handle:
                lines += handle.read().decode("utf-8", "replace").replace("\r", "").splitlines()[-30:]
        return "\n".join(lines)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]
