"""One command in one lab, from the order to its exit status, with its streams."""

import contextlib
import os
import re
import signal
import socket
import struct
import sys
import threading
import time

from . import terminal
from .errors import EXIT_TIMEOUT, LabError, StateError
from .machine import Machine, Running
from .order import Order

_BOOT_SECONDS = 120
_END_SECONDS = 5
_CONSOLE_KEPT_BYTES = 64 << 10
_CHUNK_BYTES = 1 << 20
_TAIL_LINES = 30
_MOST_TAIL_LINES = 200
_CRASH = re.compile(r"sysrq: Trigger a crash|Kernel panic|\b(BUG|Oops|kernel BUG)\b")


class Session:
    """Runs `order` on `machine`. Threads: one per stream; the caller's thread waits and enforces the deadlines."""

    def __init__(self, machine: Machine, order: Order, *, timeout: float | None = None, use_input: bool = True,
                 verbose: bool = False, state: str = ""):
        self._machine = machine
        self._order = order
        self._timeout = timeout
        self._use_input = use_input
        self._verbose = verbose
        self._saved_state = state
        self._changed = threading.Condition()
        self._received = {"output": 0, "error": 0}
        self._state = "booting"  # booting, started, exited, failed
        self._exit: tuple[int, int, int] | None = None
        self._failure = ""
        self._broken_pipe = False
        self._interrupts = 0
        self._console = bytearray()
        self._console_thread: threading.Thread | None = None
        self._running: Running | None = None
        self.boot_seconds = 0.0

    def run(self) -> int:
        """Returns the command's exit status, or 124 after a time-out. Raises LabError when the lab itself failed."""
        begun = time.monotonic()
        with Running(self._machine, self._saved_state) as running:
            self._running = running
            if self._saved_state:
                running.channels["control"].sendall(self._order.message())
            self._console_thread = threading.Thread(target=self._keep_console, daemon=True)
            self._console_thread.start()
            threading.Thread(target=self._read_control, daemon=True).start()
            for port, descriptor in (("output", 1), ("error", 2)):
                threading.Thread(target=self._copy, args=(port, descriptor), daemon=True).start()
            threading.Thread(target=self._watch_process, daemon=True).start()
            return self._wait(begun)

    def signal(self, number: int) -> None:
        """Passes a signal to the command; ends the lab when there is no command yet, or at the third one."""
        self._interrupts += 1
        with self._changed:
            if self._state != "started" or self._interrupts >= 3:
                self._fail("interrupted", code=128 + number)
                return
        self._send_control(f"signal {number}")

    def resize(self, rows: int, columns: int) -> None:
        if self._state == "started":
            self._send_control(f"size {rows} {columns}")

    # What follows runs on the caller's thread.

    def _wait(self, begun: float) -> int:
        if not self._wait_until(lambda: self._state != "booting", begun + _BOOT_SECONDS):
            raise LabError(f"the lab did not start within {_BOOT_SECONDS} s", self._console_tail())
        if self._state == "failed" and self._saved_state:
            raise StateError(self._failure, self._console_tail())
        threading.Thread(target=self._write_input, daemon=True).start()
        self.boot_seconds = time.monotonic() - begun
        if self._verbose:
            print(f"lab: started after {self.boot_seconds:.2f} s", file=sys.stderr)
        with terminal.raw(self.resize) if self._order.terminal else contextlib.nullcontext():
            deadline = time.monotonic() + self._timeout if self._timeout is not None else None
            if not self._wait_until(self._complete, deadline):
                return self._end_late()
            return self._result()

    def _result(self) -> int:
        if self._broken_pipe:
            return 128 + signal.SIGPIPE
        if self._state == "failed":
            raise LabError(self._failure, self._console_tail())
        assert self._exit is not None
        return self._exit[0]

    def _end_late(self) -> int:
        print(f"lab: no end after {self._timeout:g} s; ending it", file=sys.stderr)
        self._send_control(f"signal {int(signal.SIGTERM)}")
        self._wait_until(self._complete, time.monotonic() + _END_SECONDS)
        return EXIT_TIMEOUT

    def _wait_until(self, condition, deadline: float | None) -> bool:
        """Waits for `condition` or for the lab's failure. False when the deadline came first."""
        with self._changed:
            while not condition() and self._state != "failed":
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                # A bounded wait, so that signals are handled in time.
                self._changed.wait(0.2 if left is None else min(left, 0.2))
        return True

    def _complete(self) -> bool:
        return self._exit is not None and self._received["output"] >= self._exit[1] and \
            self._received["error"] >= self._exit[2]

    # What follows runs on threads of its own.

    def _fail(self, message: str, code: int | None = None) -> None:
        with self._changed:
            if self._state == "exited" or self._state == "failed":
                return
            self._failure = message
            if code is not None:
                self._exit = (code, 0, 0)
                self._state = "exited"
            else:
                self._state = "failed"
            self._changed.notify_all()

    def _read_control(self) -> None:
        channel = self._running.channels["control"]
        pending = b""
        while data := _receive(channel):
            pending += data
            *lines, pending = pending.split(b"\n")
            for line in lines:
                self._obey(line.decode("utf-8", "replace"))

    def _obey(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "ready":
            self._running.channels["control"].sendall(self._order.message())
        elif word == "error":
            self._fail(rest)
        with self._changed:
            if word == "started":
                self._state = "started"
            elif word == "exit" and self._exit is None:
                code, output, error = rest.split()
                self._exit = (int(code), int(output), int(error))
                self._state = "exited"
            self._changed.notify_all()

    def _send_control(self, line: str) -> None:
        try:
            self._running.channels["control"].sendall(line.encode() + b"\n")
        except OSError:
            pass  # The machine is gone; whoever waits for it sees that.

    def _copy(self, port: str, descriptor: int) -> None:
        channel = self._running.channels[port]
        while data := _receive(channel):
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(descriptor, view):]
            except BrokenPipeError:
                # As for any filter whose reader has gone.
                self._broken_pipe = True
                self._fail("nobody reads the output")
                return
            except OSError as error:
                self._fail(f"cannot write the command's {port}: {error.strerror}")
                return
            with self._changed:
                self._received[port] += len(data)
                self._changed.notify_all()

    def _write_input(self) -> None:
        channel = self._running.channels["input"]
        try:
            while self._use_input and (data := os.read(0, 128 << 10)):
                channel.sendall(struct.pack("<I", len(data)) + data)
            channel.sendall(struct.pack("<I", 0))
        except OSError:
            pass  # The machine is gone, or standard input is closed: the same as its end.

    def _watch_process(self) -> None:
        code = self._running.process.wait()
        self._console_thread.join(2)
        self._fail("the lab's kernel crashed or switched the machine off" if code == 0 else
                   f"QEMU ended with status {code}")

    def _keep_console(self) -> None:
        while data := self._running.console.read(4096):
            self._console += data
            del self._console[:-_CONSOLE_KEPT_BYTES]
            if self._verbose:
                sys.stderr.buffer.write(data)
                sys.stderr.buffer.flush()

    def _console_tail(self) -> str:
        lines = self._console.decode("utf-8", "replace").replace("\r", "").splitlines()
        # A crash is explained by its first lines, however long the trace below them is.
        crash = next((i for i, line in enumerate(lines) if _CRASH.search(line)), len(lines))
        return "\n".join(lines[max(0, min(crash, len(lines) - _TAIL_LINES)):][:_MOST_TAIL_LINES])


def _receive(channel: socket.socket) -> bytes:
    try:
        return channel.recv(_CHUNK_BYTES)
    except OSError:
        return b""
