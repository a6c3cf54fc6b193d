"""The command line of scripts/lab."""

import argparse
import os
import signal
import sys

from . import cache, initramfs, kernel
from .errors import EXIT_LAB_FAILED, LabError
from .machine import Machine
from .order import Order
from .session import Session

_CHECKOUT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
_IN_LAB_OUT = "/run/lab/out"


def build_directory() -> str:
    return os.path.realpath(os.environ.get("HULL_BUILD") or os.path.join(_CHECKOUT, "build", "release"))


def store_directory() -> str:
    """The image store that labs start with; empty when there is none yet."""
    path = os.environ.get("HULL_LAB_STORE") or os.path.join(cache.root(), "lab-store", "current")
    return os.path.realpath(path) if os.path.isdir(path) else ""


def main() -> int:
    arguments = _parser().parse_args()
    try:
        return arguments.run(arguments)
    except LabError as error:
        if error.log:
            print("lab: the last lines of its console:", error.log, sep="\n", file=sys.stderr)
        print(f"lab: {error}", file=sys.stderr)
        return EXIT_LAB_FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/lab", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    run = commands.add_parser("run", help="run a command in the lab")
    _add_machine_options(run)
    run.add_argument("--timeout", type=float, metavar="S")
    run.add_argument("command", nargs="+", metavar="CMD")
    run.set_defaults(run=_run)
    return parser


def _add_machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--smp", type=int, default=1, metavar="N")
    parser.add_argument("--memory", default="3G", metavar="SIZE")
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--device", action="append", default=[], metavar="SPEC")
    parser.add_argument("--iommu", choices=("intel", "amd", "none"))
    parser.add_argument("--env", action="append", default=[], metavar="K=V")
    parser.add_argument("--out", metavar="DIR")
    parser.add_argument("--verbose", action="store_true")


def _environment(extra: list[str]) -> dict[str, str]:
    build = build_directory()
    path = [os.path.join(build, "bin"), os.path.join(_CHECKOUT, "scripts", "lib", "lab", "bin"), "/usr/local/sbin",
            "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    environment = {"PATH": ":".join(path), "HOME": "/home/lab", "USER": "root", "LOGNAME": "root",
                   "SHELL": "/bin/bash", "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb"),
                   "LAB_OUT": _IN_LAB_OUT, "HULL_LAB": "1", "HULL_BUILD": build}
    for setting in extra:
        name, equals, value = setting.partition("=")
        environment[name] = value if equals else os.environ.get(name, "")
    return environment


def _run(arguments: argparse.Namespace) -> int:
    machine_kernel = kernel.get()
    out = os.path.realpath(arguments.out or os.environ.get("LAB_OUT") or "lab-out")
    made_out = not os.path.isdir(out)
    os.makedirs(out, exist_ok=True)
    order = Order(arguments=arguments.command, directory=os.getcwd(), environment=_environment(arguments.env),
                  keep=[_CHECKOUT, build_directory(), os.getcwd(), cache.root()], out=_IN_LAB_OUT,
                  store=store_directory(), modules=machine_kernel.modules, coldplug=bool(arguments.device))
    machine = Machine(kernel=machine_kernel.vmlinux, initramfs=initramfs.shared_root(machine_kernel),
                      out_directory=out, memory=arguments.memory, processors=arguments.smp, count=arguments.count,
                      iommu=arguments.iommu or ("intel" if arguments.device else "none"), devices=arguments.device)
    session = Session(machine, order, timeout=arguments.timeout, use_input=not os.isatty(0),
                      verbose=arguments.verbose)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: session.signal(received))
    try:
        return session.run()
    finally:
        if made_out:
            _remove_if_empty(out)


def _remove_if_empty(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError:
        pass  # The command left something in it.
