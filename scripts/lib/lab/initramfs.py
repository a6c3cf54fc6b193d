"""Makes the lab's initramfs: its init program and the few modules without which it cannot reach the host's files."""

import glob
import lzma
import os
import subprocess

from . import cache, cpio
from .errors import LabError
from .kernel import Kernel

_SOURCES = os.path.join(os.path.dirname(__file__), "init")
_COMPILE = ("g++", "-std=c++20", "-O2", "-static", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion",
            "-Werror")

# In the order in which they are loaded; what they depend on comes first by itself. Everything else is loaded by name
# from /lib/modules when it is first used.
MODULES_QEMU = ("9pnet_virtio", "9p", "overlay", "kvm-amd")
MODULES_BOCHS = ("overlay", "kvm-intel")


def init_program() -> str:
    """Path of the compiled init, from the cache."""
    sources = sorted(glob.glob(os.path.join(_SOURCES, "*.cc")) + glob.glob(os.path.join(_SOURCES, "*.h")))
    texts = []
    for path in sources:
        with open(path, "rb") as handle:
            texts.append(handle.read())
    name = "lab-init-" + cache.key(" ".join(_COMPILE), *texts)

    def make(directory: str) -> None:
        command = [*_COMPILE, "-o", os.path.join(directory, "init"), *[s for s in sources if s.endswith(".cc")]]
        done = subprocess.run(command, text=True, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise LabError(f"cannot compile the lab's init:\n{done.stderr}")
        subprocess.run(["strip", os.path.join(directory, "init")], check=True)

    return os.path.join(cache.entry(name, make), "init")


def base_archive(kernel: Kernel, modules: tuple[str, ...]) -> cpio.Archive:
    """The archive with /init, the modules and the list of them."""
    archive = cpio.Archive()
    for directory in ("dev", "proc", "sys", "run", "tmp"):
        archive.directory(directory)
    with open(init_program(), "rb") as handle:
        archive.file("init", handle.read(), 0o755)
    tree = os.path.join(kernel.modules, kernel.release)
    listed = []
    for path in _with_dependencies(tree, modules):
        name = os.path.basename(path).removesuffix(".xz")
        with open(os.path.join(tree, path), "rb") as handle:
            data = handle.read()
        archive.file(f"modules/{name}", lzma.decompress(data) if path.endswith(".xz") else data)
        listed.append(f"/modules/{name}")
    archive.file("modules.list", ("\n".join(listed) + "\n").encode())
    return archive


def shared_root(kernel: Kernel) -> str:
    """Path of the initramfs of a lab whose root is the host's, from the cache."""
    name = "lab-" + cache.key(kernel.name, os.path.dirname(init_program()), " ".join(MODULES_QEMU), "1")

    def make(directory: str) -> None:
        with open(os.path.join(directory, "initramfs"), "wb") as handle:
            handle.write(base_archive(kernel, MODULES_QEMU).render())

    return os.path.join(cache.entry(name, make), "initramfs")


def _with_dependencies(tree: str, modules: tuple[str, ...]) -> list[str]:
    needs = {}
    with open(os.path.join(tree, "modules.dep"), encoding="utf-8") as handle:
        for line in handle:
            path, _, rest = line.partition(":")
            needs[path] = rest.split()
    by_name = {os.path.basename(path).split(".")[0].replace("-", "_"): path for path in needs}
    ordered: list[str] = []
    for module in modules:
        path = by_name.get(module.replace("-", "_"))
        if path is None:
            raise LabError(f"the lab's kernel has no module {module}")
        # modules.dep lists the nearest dependency first.
        for one in [*reversed(needs[path]), path]:
            if one not in ordered:
                ordered.append(one)
    return ordered
