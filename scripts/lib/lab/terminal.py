"""The caller's terminal, while a command in the lab has it."""

import contextlib
import fcntl
import os
import signal
import struct
import termios
import tty
from collections.abc import Callable, Iterator


def size() -> tuple[int, int]:
    """Rows and columns; 24 by 80 when they are not known."""
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))
    except OSError:
        rows, columns = 0, 0
    return (rows or 24, columns or 80)


@contextlib.contextmanager
def raw(on_resize: Callable[[int, int], None]) -> Iterator[None]:
    """Every key goes to the lab as it is, Ctrl-C too; the old settings come back whatever happens."""
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    old_handler = signal.signal(signal.SIGWINCH, lambda *_: on_resize(*size()))
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, old_handler)
