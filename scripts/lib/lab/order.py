"""The order that a lab's init carries out. init/order.h has the other half: the keys must agree."""

import dataclasses
import os
import struct
import time


@dataclasses.dataclass
class Order:
    """What to run, and what the lab must look like around it. Paths are the host's, and the same in the lab."""

    arguments: list[str]
    directory: str = "/"
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    keep: list[str] = dataclasses.field(default_factory=list)
    out: str = ""
    store: str = ""
    modules: str = ""
    terminal: bool = False
    coldplug: bool = False
    rows: int = 0
    columns: int = 0

    def records(self) -> bytes:
        pairs = [("arg", argument) for argument in self.arguments]
        pairs += [("env", f"{name}={value}") for name, value in self.environment.items()]
        pairs += [("keep", path) for path in self.keep]
        pairs += [("cwd", self.directory), ("out", self.out), ("store", self.store), ("modules", self.modules)]
        pairs += [("tty", str(int(self.terminal))), ("coldplug", str(int(self.coldplug)))]
        # A lab may continue from a saved state: it gets the time of now, and randomness that no other lab has.
        pairs += [("time", str(time.time_ns())), ("seed", os.urandom(64).hex())]
        pairs += [("rows", str(self.rows)), ("columns", str(self.columns))]
        return b"".join(f"{key}={value}".encode("utf-8", "surrogateescape") + b"\0" for key, value in pairs)

    def message(self) -> bytes:
        """The records as they go over the control port."""
        records = self.records()
        return struct.pack("<I", len(records)) + records
