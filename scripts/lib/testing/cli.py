"""The command line of scripts/test."""

import argparse
import os
import signal
from concurrent.futures import ThreadPoolExecutor

from . import processes, suites
from .results import Report

_DESCRIPTION = """\
Runs hull's tests and ends with one line: N passed, N failed (, N skipped).

Without options: style, unit tests (release, and under AddressSanitizer and UBSan), the tests of the scripts, and the
lab tests: hull's programs driven as a user would, in two emulated hosts at once; in hosts with an IOMMU and devices
(Intel's, AMD's): devices passed through to virtual machines and containers; and a smoke run on an emulated Intel host
with VT-x. The exit status is 0 only if every suite ran and nothing failed.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/test", description=_DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--unit", action="store_true", help="style and unit tests only")
    which.add_argument("--lab", action="store_true", help="lab tests only")
    which.add_argument("--quick", action="store_true", help="style and unit tests of the release build only")
    parser.add_argument("filter", nargs="?", default="", help="only tests whose name contains this (or a GoogleTest "
                        "filter, if it has one of * ? : .)")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    return _run(arguments)


def _interrupt(number: int, _frame) -> None:
    print("interrupted", flush=True)
    processes.end_all()
    # Not sys.exit(): threads that wait for what has just been ended would be waited for.
    os._exit(128 + number)


def _run(arguments: argparse.Namespace) -> int:
    report = Report()
    everything = not (arguments.unit or arguments.lab or arguments.quick)
    if suites.build(report, "release"):
        if not arguments.lab:
            _unit(report, arguments)
        if everything or arguments.lab:
            _lab(report, arguments.filter, with_scripts=everything)
    return report.finish()


def _unit(report: Report, arguments: argparse.Namespace) -> None:
    if not arguments.filter:
        suites.style(report)
    suites.unit(report, "release", arguments.filter)
    if not arguments.quick and suites.build(report, "asan"):
        suites.unit(report, "asan", arguments.filter)


def _lab(report: Report, pattern: str, with_scripts: bool) -> None:
    report.say("making: guest kernels, guest root, sample images")
    # The kernel for devices goes before the images: one of them has modules for it.
    ended = processes.run([suites.scripts_path("lib", "steps"), "kernel", "device-kernel", "guest", "images"], seconds=3600,
                          on_line=report.say)
    if ended.status != 0:
        report.failed("lab", "preparation", ended.tail)
        return
    # A lab is one thread of emulation: as many at once as there are processors, and two at least.
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        jobs = [pool.submit(suites.lab_shard, report, index, pattern) for index in range(suites.SHARDS)]
        jobs.append(pool.submit(suites.device_lab, report, pattern))
        jobs += [pool.submit(suites.vfio_lab, report, pattern, label) for label in suites.VFIO_LABS]
        jobs += [pool.submit(suites.parity, report, pattern, shard) for shard in range(suites.PARITY_SHARDS)]
        if not pattern:
            jobs.append(pool.submit(suites.vtx_smoke, report))
        if with_scripts:
            jobs.append(pool.submit(suites.script_tests, report, pattern))
        for job in jobs:
            job.result()
