"""Running programs of the tests: bounded in time, read line by line, with their last lines kept."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable

CHECKOUT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
_TAIL_LINES = 60
_running: set[subprocess.Popen] = set()


class Ended:
    """How a program ended: `status` as a shell has it, 124 when it was ended for taking too long."""

    def __init__(self, status: int, tail: str):
        self.status = status
        self.tail = tail


def run(command: list[str], *, seconds: float, on_line: Callable[[str], None] | None = None,
        environment: dict[str, str] | None = None, directory: str = CHECKOUT) -> Ended:
    """Runs `command` with standard output and error joined. Its whole process group ends with it."""
    tail: list[str] = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          cwd=directory, env={**os.environ, **(environment or {})}, start_new_session=True) as process:
        late = threading.Event()
        timer = threading.Timer(seconds, _end_late, (process, late))
        timer.start()
        _running.add(process)
        try:
            for data in process.stdout:
                text = data.decode("utf-8", "replace").rstrip("\n")
                tail = [*tail[-_TAIL_LINES:], text]
                if on_line:
                    on_line(text)
            process.wait()
        except BaseException:
            _end_group(process)
            raise
        finally:
            timer.cancel()
            _running.discard(process)
    if late.is_set():
        return Ended(124, "\n".join([*tail, f"(ended: it took more than {seconds:g} s)"]))
    status = process.returncode
    return Ended(status if status >= 0 else 128 - status, "\n".join(tail))


def end_all() -> None:
    """Ends every program under way: for when this one is asked to end."""
    for process in list(_running):
        _end_group(process)


def _end_late(process: subprocess.Popen, late: threading.Event) -> None:
    late.set()
    _end_group(process)


def _end_group(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        os.killpg(process.pid, signal.SIGKILL)
