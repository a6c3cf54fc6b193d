"""The lab's kernel: Debian's own 6.12 for machines, unpacked into the cache and never installed."""

import os
import re
import shutil
import struct
import subprocess
import sys

from . import cache
from .errors import LabError

_PACKAGE = re.compile(r"^linux-image-6\.12\.(\d+)\+deb12-amd64-unsigned$")
_ENTRY = re.compile(r"^lab-kernel-6\.12\.(\d+)\+deb12-amd64-unsigned$")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Kernel:
    """An unpacked kernel package: `directory` holds vmlinux, vmlinuz, config and lib/modules/<release>."""

    def __init__(self, directory: str):
        self.directory = directory
        self.vmlinux = os.path.join(directory, "vmlinux")
        self.vmlinuz = os.path.join(directory, "vmlinuz")
        self.modules = os.path.join(directory, "lib", "modules")
        self.release = os.listdir(self.modules)[0]

    @property
    def name(self) -> str:
        return os.path.basename(self.directory)


def get() -> Kernel:
    """The newest kernel in the cache; downloads one when there is none."""
    present = [name for name in os.listdir(cache.root()) if _ENTRY.match(name)]
    if present:
        newest = max(present, key=lambda name: int(_ENTRY.match(name).group(1)))
        return Kernel(os.path.join(cache.root(), newest))
    package = _newest_package()
    print(f"lab: fetching {package} (once; about 100 MB)", file=sys.stderr)
    name = package.replace("linux-image-", "lab-kernel-")
    return Kernel(cache.entry(name, lambda directory: _unpack(package, directory)))


def _newest_package() -> str:
    names = subprocess.run(["apt-cache", "pkgnames", "linux-image-6.12"], check=True, text=True,
                           capture_output=True).stdout.split()
    packages = [name for name in names if _PACKAGE.match(name)]
    if not packages:
        raise LabError("apt knows no package linux-image-6.12.*+deb12-amd64-unsigned: run apt-get update, "
                       "or scripts/setup")
    return max(packages, key=lambda name: int(_PACKAGE.match(name).group(1)))


def _unpack(package: str, directory: str) -> None:
    unpacked = os.path.join(directory, "package")
    os.mkdir(unpacked)
    # apt drops privileges for downloads and wants to write here.
    os.chmod(directory, 0o755)
    options = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    done = subprocess.run(["apt-get", "-q", *options, "download", package], cwd=directory, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    archives = [name for name in os.listdir(directory) if name.endswith(".deb")]
    if done.returncode != 0 or len(archives) != 1:
        raise LabError(f"apt-get download {package} failed:\n{done.stdout}")
    archive = os.path.join(directory, archives[0])
    subprocess.run(["dpkg", "-x", archive, unpacked], check=True)
    os.unlink(archive)
    boot = os.path.join(unpacked, "boot")
    for name in os.listdir(boot):
        for wanted in ("vmlinuz", "config"):
            if name.startswith(wanted + "-"):
                os.rename(os.path.join(boot, name), os.path.join(directory, wanted))
    modules = os.path.join(unpacked, "lib", "modules")
    release = os.listdir(modules)[0]
    subprocess.run(["depmod", "-b", unpacked, release], check=True)
    os.rename(os.path.join(unpacked, "lib"), os.path.join(directory, "lib"))
    shutil.rmtree(unpacked)
    _extract(os.path.join(directory, "vmlinuz"), os.path.join(directory, "vmlinux"))


def _extract(image: str, target: str) -> None:
    """Takes the ELF kernel out of a bzImage: QEMU starts it directly, which saves unpacking it in emulation."""
    with open(image, "rb") as handle:
        data = handle.read()
    # Linux x86 boot protocol: setup_sects at 0x1f1, payload_offset and payload_length at 0x248 and 0x24c.
    setup_sectors = data[0x1F1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = data[start:start + length]
    if not payload.startswith(_ZSTD_MAGIC):
        raise LabError(f"{image}: the kernel inside is not compressed with zstd")
    # The last four bytes are the unpacked size, not part of the stream.
    done = subprocess.run(["zstd", "-dcq"], input=payload[:-4], stdout=subprocess.PIPE, check=True)
    if not done.stdout.startswith(b"\x7fELF"):
        raise LabError(f"{image}: no ELF kernel inside")
    with open(target, "wb") as handle:
        handle.write(done.stdout)
