"""Saved states: a lab that has booted and waits for its order, kept as a file of QEMU's migration stream.

Continuing from one takes half a second where booting takes three. A state is saved before the host's root is mounted
(a mounted 9p share cannot be saved), so nothing of the host's files is in it. Machines with extra devices always boot.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import time

from . import cache
from .errors import LabError
from .machine import Machine, Running

_PREFIX = "lab-state-"
_KEPT = 6
_BOOT_SECONDS = 120
_SAVE_SECONDS = 60


def get(machine: Machine) -> str:
    """Path of a state for `machine`, made if there is none; empty when such machines have to boot."""
    if machine.devices or machine.kernel_arguments or machine.iommu != "none":
        return ""
    name = _PREFIX + cache.key(*_made_from(machine))
    directory = cache.entry(name, lambda partial: _make(machine, os.path.join(partial, "state")))
    path = os.path.join(directory, "state")
    try:
        os.utime(path)
    except FileNotFoundError:
        return ""  # Another lab's clean-up took it in this moment.
    _clean_up(name)
    return path


def discard(path: str) -> None:
    """Removes a state that did not work."""
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)


def _made_from(machine: Machine) -> list[str]:
    plain = {port: number for number, port in enumerate(("control", "input", "output", "error"), start=10)}
    # Where LAB_OUT is on the host is no part of the machine.
    here = Machine(**{**vars(machine), "out_directory": ""})
    version = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=False).stdout
    with open("/proc/cpuinfo", encoding="utf-8") as handle:
        # The emulated time stamp counter runs at the rate of the real one.
        model = next((line for line in handle if line.startswith("model name")), "")
    return [*here.command(plain, 9), version, model]


def _make(machine: Machine, path: str) -> None:
    with Running(machine, monitor=True) as running:
        _wait_ready(running)
        monitor = _Monitor(running.channels["monitor"])
        monitor.command("migrate", uri="exec:cat > " + shlex.quote(path))
        deadline = time.monotonic() + _SAVE_SECONDS
        while (status := monitor.command("query-migrate").get("status")) != "completed":
            if status == "failed" or time.monotonic() > deadline:
                raise LabError(f"cannot save the lab's state (QEMU says: {status})")
            time.sleep(0.02)
        monitor.command("quit")
        # The saving process is QEMU's child: the file is whole when both are gone.
        running.process.wait(_SAVE_SECONDS)


def _wait_ready(running: Running) -> None:
    control = running.channels["control"]
    control.settimeout(_BOOT_SECONDS)
    try:
        line = control.recv(4096)
    except TimeoutError:
        line = b""
    if line != b"ready\n":
        running.end()
        console = running.console.read(65536).decode("utf-8", "replace")
        raise LabError("the lab did not boot", "\n".join(console.splitlines()[-30:]))


class _Monitor:
    """QEMU's control protocol (QMP)."""

    def __init__(self, channel: socket.socket):
        channel.settimeout(_SAVE_SECONDS)
        self._file = channel.makefile("rw", encoding="utf-8")
        self._file.readline()
        self.command("qmp_capabilities")

    def command(self, name: str, **arguments) -> dict:
        self._file.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self._file.flush()
        while line := self._file.readline():
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise LabError(f"QEMU refuses {name}: {answer['error'].get('desc')}")
        raise LabError(f"QEMU ended during {name}")


def _clean_up(current: str) -> None:
    """Each state takes some 130 MB; the least recently used go."""
    states = []
    for name in os.listdir(cache.root()):
        path = os.path.join(cache.root(), name, "state")
        if name.startswith(_PREFIX) and name != current and os.path.exists(path):
            states.append((os.stat(path).st_mtime, path))
    for _, path in sorted(states, reverse=True)[_KEPT - 1:]:
        discard(path)
