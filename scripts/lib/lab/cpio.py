"""Writes initramfs archives (cpio "newc"), reproducibly: the same members give the same bytes."""

import os
import stat


class Archive:
    """Collects members and renders them. Parent directories are made as needed."""

    def __init__(self):
        self._members: dict[str, tuple[int, bytes]] = {}

    def directory(self, path: str, mode: int = 0o755) -> None:
        self._add(path, stat.S_IFDIR | mode, b"")

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self._add(path, stat.S_IFREG | mode, data)

    def symlink(self, path: str, target: str) -> None:
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def copy(self, source: str, path: str) -> None:
        """Adds a file, link or whole directory of this machine, with its permissions."""
        information = os.lstat(source)
        mode = stat.S_IMODE(information.st_mode)
        if stat.S_ISDIR(information.st_mode):
            self.directory(path, mode)
            for name in sorted(os.listdir(source)):
                self.copy(os.path.join(source, name), f"{path}/{name}")
        elif stat.S_ISLNK(information.st_mode):
            self.symlink(path, os.readlink(source))
        elif stat.S_ISREG(information.st_mode):
            with open(source, "rb") as handle:
                self.file(path, handle.read(), mode)

    def __contains__(self, path: str) -> bool:
        return path.strip("/") in self._members

    def _add(self, path: str, mode: int, data: bytes) -> None:
        path = path.strip("/")
        if not path:
            return
        parent = os.path.dirname(path)
        if parent and parent not in self._members:
            self.directory(parent)
        self._members[path] = (mode, data)

    def render(self) -> bytes:
        parts: list[bytes] = []
        for number, (path, (mode, data)) in enumerate(self._members.items(), start=1):
            parts.append(_entry(number, path, mode, data))
        parts.append(_entry(0, "TRAILER!!!", 0, b""))
        return b"".join(parts)


def _pad(size: int) -> bytes:
    return b"\0" * (-size % 4)


def _entry(number: int, path: str, mode: int, data: bytes) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return header + _pad(len(header)) + data + _pad(len(data))
