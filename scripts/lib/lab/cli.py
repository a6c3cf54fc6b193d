"""The command line of scripts/lab."""

import argparse
import os
import re
import signal
import sys

from . import bochs, initramfs, kernel, state, surroundings, terminal
from .errors import EXIT_LAB_FAILED, LabError, StateError
from .machine import Machine
from .order import Order
from .session import Session

_DESCRIPTION = """\
Runs commands in hull's lab: an emulated host with a working /dev/kvm, for machines that have none.
"""

_RUN_DESCRIPTION = """\
Boots an emulated host (QEMU's TCG; AMD-V with nested paging; Debian's 6.12 kernel) and runs CMD in it.

The lab's root is this machine's, under a layer in memory: all files are there under their usual paths and can be
written to, and nothing lasts but what goes to $LAB_OUT. hull's programs are on the PATH, from $HULL_BUILD (default
build/release); /var/lib/hull starts as a copy of $HULL_LAB_STORE (default: the cache's lab-store/current). The working
directory is the caller's; /tmp, /var/tmp, /run and $HOME are empty. There is no network but loopback.

Standard output and error come back as they appear, apart from each other; standard input goes in unless it is a
terminal. Ctrl-C goes to the command; the third one ends the lab.

exit status:
  CMD's own; 128+n when signal n ended it; 126 or 127 when it could not be started
  124  --timeout passed
  125  the lab itself failed; its last console lines are shown

in the lab, beside the usual variables: HULL_LAB=1, HULL_BUILD, HULL_SAMPLES (the sample images as an OCI layout,
docker and OCI archives), LAB_OUT; and the program
  lab-count [-o FILE] CMD...   runs CMD and prints what it and its children cost, as JSON: virtual_ms (CPU time; with
                               --count, one million instructions each), vm_exits, system_calls
"""

_VTX_DESCRIPTION = """\
Boots an emulated Intel computer with VT-x and EPT (Bochs) and runs CMD in it. About half a minute to start.

There is nothing of this machine in there but busybox, hull's programs (/hull/bin, on the PATH), its guest files
(/hull/lib/hull), sample/busybox in the store, and what --file adds. There is no standard input. Exit status as for
`run`.
"""


def main() -> int:
    parser = _parser()
    arguments = parser.parse_args()
    command = getattr(arguments, "command", None)
    if command is not None:
        arguments.command = command = command[1:] if command[:1] == ["--"] else command
        if not command:
            parser.error("no command given")
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        return arguments.run(arguments)
    except LabError as error:
        if error.log:
            print("lab: the last lines of its console:", error.log, sep="\n", file=sys.stderr)
        print(f"lab: {error}", file=sys.stderr)
        return EXIT_LAB_FAILED
    except _Interrupted as interruption:
        return 128 + interruption.number
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


class _Interrupted(BaseException):
    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def _interrupt(number: int, _frame) -> None:
    raise _Interrupted(number)


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="scripts/lab", description=_DESCRIPTION, formatter_class=raw)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run a command in the lab", description=_RUN_DESCRIPTION,
                              formatter_class=raw)
    _add_machine_options(run)
    run.add_argument("-t", "--tty", action="store_true", help="give the command a terminal, and this one to it")
    run.set_defaults(run=_run)

    shell = commands.add_parser("shell", help="a prompt in the lab", formatter_class=raw,
                                description="The same as `run --tty -- bash`.")
    _add_machine_options(shell)
    shell.set_defaults(run=_run, tty=True, command=["bash", "-l"])

    vtx = commands.add_parser("vtx", help="run a command on an emulated Intel CPU", description=_VTX_DESCRIPTION,
                              formatter_class=raw)
    vtx.add_argument("--file", action="append", default=[], metavar="SRC[:DST]",
                     help="copy a file or directory into the lab, to the same path or to DST")
    vtx.add_argument("--memory", type=_size, default=1 << 30, metavar="SIZE", help="at most 3G (default 1G)")
    vtx.set_defaults(run=_run_vtx)

    prepare = commands.add_parser("prepare", help="make what the lab needs (done by itself when missing)")
    prepare.set_defaults(run=_prepare)

    release = commands.add_parser("kernel-release", help="print the release of the lab's kernel")
    release.set_defaults(run=_print_release)

    for one in (run, vtx):
        one.add_argument("--timeout", type=float, metavar="S", help="end CMD after S seconds, with exit status 124")
        # REMAINDER, so that options of the command need no "--" before them, and its own "--" stays.
        one.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD...")
    shell.set_defaults(timeout=None)
    for one in (run, shell, vtx):
        one.add_argument("--env", action="append", default=[], metavar="K[=V]",
                         help="set a variable in the lab, or pass the caller's")
        one.add_argument("--verbose", action="store_true", help="show the lab's console and timings on standard error")
    return parser


def _add_machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--smp", type=int, default=1, metavar="N", help="CPUs of the lab (default 1: fastest, since "
                        "one thread emulates them all)")
    parser.add_argument("--memory", type=_size, default=3 << 30, metavar="SIZE", help="as 512M or 10G (default 3G)")
    parser.add_argument("--count", action="store_true", help="one virtual nanosecond is one instruction; idle time "
                        "is skipped, so read CPU time and not the clock")
    parser.add_argument("--device", action="append", default=[], metavar="SPEC", help="a QEMU -device; with drive:, "
                        "netdev:, object:, chardev: or blockdev: before it that option instead. Brings an IOMMU")
    parser.add_argument("--iommu", choices=("intel", "amd", "none"), help="default: intel with --device, else none")
    parser.add_argument("--kernel-argument", action="append", default=[], metavar="ARG",
                        help="add to the lab kernel's command line")
    parser.add_argument("--boot", action="store_true", help="boot, rather than continue from a saved state of a booted "
                        "lab (machines with --device, --iommu or --kernel-argument always boot)")
    parser.add_argument("--show", action="append", default=[], metavar="DIR", help="a directory below /tmp, /var/tmp "
                        "or /run of this machine that the command needs (the checkout, the build and the working "
                        "directory are there anyway)")
    parser.add_argument("--out", metavar="DIR", help="where files of $LAB_OUT come to (default $LAB_OUT, or lab-out)")


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMGT]?)(i?B)?", text, re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512M or 10G")
    # As for QEMU, a bare number is in MiB.
    return int(match.group(1)) << {"": 20, "K": 10, "M": 20, "G": 30, "T": 40}[match.group(2).upper()]


def _run(arguments: argparse.Namespace) -> int:
    machine_kernel = kernel.get()
    out = os.path.realpath(arguments.out or os.environ.get("LAB_OUT") or "lab-out")
    made_out = not os.path.isdir(out)
    os.makedirs(out, exist_ok=True)
    rows, columns = terminal.size() if arguments.tty else (0, 0)
    order = Order(arguments=arguments.command, directory=os.getcwd(),
                  environment=surroundings.environment(arguments.env),
                  keep=surroundings.shown_directories(arguments.show),
                  out=surroundings.OUT_IN_LAB, store=surroundings.store_directory(), modules=machine_kernel.modules,
                  coldplug=bool(arguments.device), terminal=arguments.tty, rows=rows, columns=columns)
    machine = Machine(kernel=machine_kernel.vmlinux, initramfs=initramfs.shared_root(machine_kernel),
                      out_directory=out, memory_bytes=arguments.memory, processors=arguments.smp,
                      count=arguments.count, iommu=arguments.iommu or ("intel" if arguments.device else "none"),
                      devices=arguments.device, kernel_arguments=arguments.kernel_argument)
    try:
        return _run_session(arguments, machine, order)
    finally:
        if made_out:
            _remove_if_empty(out)


def _run_session(arguments: argparse.Namespace, machine: Machine, order: Order) -> int:
    saved = "" if arguments.boot else state.get(machine)
    for one in (saved, "") if saved else ("",):
        session = Session(machine, order, timeout=arguments.timeout, use_input=arguments.tty or not os.isatty(0),
                          verbose=arguments.verbose, state=one)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda received, _, session=session: session.signal(received))
        try:
            return session.run()
        except StateError as error:
            print(f"lab: the saved state does not work ({error}); booting instead", file=sys.stderr)
            state.discard(saved)
    raise AssertionError("a lab that boots has no saved state to fail")


def _remove_if_empty(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError:
        pass  # The command left something in it.


def _run_vtx(arguments: argparse.Namespace) -> int:
    files = surroundings.small_files()
    for setting in arguments.file:
        source, _, target = setting.partition(":")
        if not os.path.exists(source):
            raise LabError(f"--file {setting}: {source} does not exist")
        files.append((source, target or os.path.abspath(source)))
    order = Order(arguments=arguments.command, environment=surroundings.small_environment(arguments.env))
    return bochs.run(kernel.get(), order, files, megabytes=arguments.memory >> 20, timeout=arguments.timeout,
                     verbose=arguments.verbose)


def _prepare(_arguments: argparse.Namespace) -> int:
    initramfs.shared_root(kernel.get())
    return 0


def _print_release(_arguments: argparse.Namespace) -> int:
    print(kernel.get().release)
    return 0
