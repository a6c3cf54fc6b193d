"""The cache outside the checkout: what is expensive to make, named by a hash of what it is made from."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator


def root() -> str:
    """The cache directory, made if needed."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = os.path.join(base, "hull")
    os.makedirs(path, exist_ok=True)
    return path


def key(*parts: str | bytes) -> str:
    """A short name for what is made from `parts`."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the cache's lock `name`, so that two runs at once do the work once. Dies with the process."""
    with open(os.path.join(root(), f".{name}.lock"), "w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def entry(name: str, make: Callable[[str], None]) -> str:
    """Returns the directory `name` of the cache; if it is not there, `make(directory)` fills it first.

    An entry is complete or absent: it is filled under another name and renamed.
    """
    path = os.path.join(root(), name)
    if os.path.isdir(path):
        return path
    with locked(name):
        if os.path.isdir(path):
            return path
        partial = tempfile.mkdtemp(prefix=f".{name}.", dir=root())
        try:
            make(partial)
            os.chmod(partial, 0o755)
            os.rename(partial, path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return path
