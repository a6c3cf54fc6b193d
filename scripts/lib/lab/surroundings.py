"""What a lab finds of the caller's surroundings: the build, the image store, directories and variables."""

import os

from . import cache

CHECKOUT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
OUT_IN_LAB = "/run/lab/out"
HELPERS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "bin")

# These have a fresh tmpfs over them in the lab; only single directories below them are shown.
_COVERED = ("/", "/tmp", "/var/tmp", "/run", "/home/lab")


def build_directory() -> str:
    return os.path.realpath(os.environ.get("HULL_BUILD") or os.path.join(CHECKOUT, "build", "release"))


def store_directory() -> str:
    """The image store that labs start with; empty when there is none yet."""
    path = os.environ.get("HULL_LAB_STORE") or os.path.join(cache.root(), "lab-store", "current")
    return os.path.realpath(path) if os.path.isdir(path) else ""


def shown_directories(extra: list[str]) -> list[str]:
    """Directories that stay visible although they may lie below a covered one."""
    paths = (CHECKOUT, build_directory(), os.getcwd(), cache.root(), *map(os.path.realpath, extra))
    return [path for path in dict.fromkeys(paths) if path not in _COVERED and os.path.isdir(path)]


def environment(extra: list[str]) -> dict[str, str]:
    """The lab's environment. `extra` holds NAME=VALUE, or NAME alone for the caller's own value."""
    build = build_directory()
    path = [os.path.join(build, "bin"), HELPERS, "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin",
            "/sbin", "/bin"]
    variables = {"PATH": ":".join(path), "HOME": "/home/lab", "USER": "root", "LOGNAME": "root",
                 "SHELL": "/bin/bash", "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb"),
                 "LAB_OUT": OUT_IN_LAB, "HULL_LAB": "1", "HULL_BUILD": build}
    samples = os.path.realpath(os.path.join(cache.root(), "lab-store", "samples"))
    if os.path.isdir(samples):
        variables["HULL_SAMPLES"] = samples
    variables.update(_extra(extra))
    return variables


def small_environment(extra: list[str]) -> dict[str, str]:
    """The environment where nothing of the host's is at hand but what was copied (Bochs)."""
    variables = {"PATH": "/hull/bin:/bin", "HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh",
                 "TERM": "dumb", "LAB_OUT": "/tmp", "HULL_LAB": "1"}
    variables.update(_extra(extra))
    return variables


def small_files() -> list[tuple[str, str]]:
    """Hull's programs, guest files and sample/busybox as (source, path in the lab), as far as they are made."""
    build = build_directory()
    wanted = [f"bin/{name}" for name in ("hull", "hull-vmm")]
    guest = os.path.join(build, "lib", "hull")
    if os.path.isdir(guest):
        # Everything is copied there and read slowly, and there is no device to pass through.
        wanted += [f"lib/hull/{name}" for name in sorted(os.listdir(guest)) if not name.startswith("vmlinux-pci")]
    files = [(os.path.join(build, name), f"/hull/{name}") for name in wanted]
    files.append((os.path.join(os.path.realpath(os.path.join(cache.root(), "lab-store", "small")), "images"),
                  "/var/lib/hull/images"))
    return [(source, target) for source, target in files if os.path.exists(source)]


def _extra(settings: list[str]) -> dict[str, str]:
    variables = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        variables[name] = value if equals else os.environ.get(name, "")
    return variables
