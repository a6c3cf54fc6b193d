"""The suites. Each takes the report and adds its tests to it; one that cannot run adds a failure."""

import json
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from . import googletest, processes
from .processes import CHECKOUT
from .results import Outcome, Report

_BUILD_SECONDS = 1800
_UNIT_SECONDS = 300
_LAB_SECONDS = 1500
_PARITY_SECONDS = 1500
SHARDS = 2
PARITY_SHARDS = 2


def scripts_path(*names: str) -> str:
    return os.path.join(CHECKOUT, "scripts", *names)


def style(report: Report) -> None:
    """tests/style/check prints "ok NAME" or "not ok NAME" for each check; shellcheck looks at our own scripts."""
    seen: list[str] = []

    def line(text: str) -> None:
        if text.startswith("ok "):
            report.passed("style", text.removeprefix("ok "))
            seen.clear()
        elif text.startswith("not ok "):
            report.failed("style", text.removeprefix("not ok "), "\n".join(seen))
            seen.clear()
        else:
            seen.append(text)

    ended = processes.run([os.path.join(CHECKOUT, "tests", "style", "check")], seconds=120, on_line=line)
    if report.count("style") == 0 or (ended.status != 0 and report.count("style", Outcome.FAILED) == 0):
        report.failed("style", "tests/style/check", ended.tail)
    _shell_style(report)


def _shell_style(report: Report) -> None:
    files: list[str] = []
    processes.run(["git", "ls-files", "-z", "scripts", "images", "tests", ".ci"], seconds=60,
                  on_line=lambda text: files.extend(text.split("\0")))
    scripts = [path for path in files if path and _is_shell(os.path.join(CHECKOUT, path))]
    ended = processes.run(["shellcheck", "-S", "warning", "-e", "SC2155", *scripts], seconds=120)
    if ended.status == 0:
        report.passed("style", "shellcheck")
    else:
        report.failed("style", "shellcheck", ended.tail)


def _is_shell(path: str) -> bool:
    try:
        with open(path, "rb") as handle:
            first = handle.readline(80)
    except OSError:
        return False
    return first.startswith(b"#!") and first.rstrip().endswith((b"sh", b"bash"))


def build(report: Report, preset: str) -> bool:
    """Configures and builds a preset."""
    report.say(f"building: {preset}")
    for command in (["cmake", "--preset", preset], ["cmake", "--build", "--preset", preset]):
        ended = processes.run(command, seconds=_BUILD_SECONDS)
        if ended.status != 0:
            report.failed(f"build {preset}", " ".join(command), ended.tail)
            return False
    return True


def unit(report: Report, preset: str, pattern: str) -> None:
    """Every program that ctest knows under the label "unit", two at a time, its tests counted one by one."""
    suite = f"unit {preset}"
    report.say(f"running: unit tests, {preset}")
    lines: list[str] = []
    ended = processes.run(["ctest", "--preset", preset, "--show-only=json-v1"], seconds=60, on_line=lines.append)
    start = next((number for number, text in enumerate(lines) if text.startswith("{")), None)
    if ended.status != 0 or start is None:
        report.failed(suite, "ctest --show-only", ended.tail)
        return
    tests = [test for test in json.loads("\n".join(lines[start:]))["tests"] if "command" in test]
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        list(pool.map(lambda test: _unit_program(report, suite, test, pattern), tests))
    if report.count(suite) == 0 and not pattern:
        report.failed(suite, "no test ran", "ctest lists no test that can be run")


def _unit_program(report: Report, suite: str, test: dict, pattern: str) -> None:
    properties = {entry["name"]: entry["value"] for entry in test.get("properties", [])}
    reader = googletest.Reader(report, suite, prefix=test["name"] + ": ")
    environment = dict(setting.split("=", 1) for setting in properties.get("ENVIRONMENT", []))
    if pattern:
        environment["GTEST_FILTER"] = _gtest_filter(pattern)
    ended = processes.run(test["command"], seconds=_UNIT_SECONDS, on_line=reader.line, environment=environment,
                          directory=properties.get("WORKING_DIRECTORY", CHECKOUT))
    reader.close(ended.status, ended.tail)
    # What is no GoogleTest program counts as one test; the filter is then about its name.
    is_gtest = "[==========]" in ended.tail
    if not is_gtest and reader.seen == 0 and pattern.lower() in test["name"].lower():
        if ended.status == 0:
            report.passed(suite, test["name"])
        else:
            report.failed(suite, test["name"], ended.tail)


def _gtest_filter(pattern: str) -> str:
    return pattern if any(mark in pattern for mark in "*?:.") else f"*{pattern}*"


def lab_shard(report: Report, index: int, pattern: str) -> None:
    """One half of the lab tests, in a lab of its own."""
    _lab_program(report, "hull-lab-tests", f"lab {index + 1}/{SHARDS}", pattern,
                 ["--memory", "10G", "--env", f"GTEST_TOTAL_SHARDS={SHARDS}", "--env", f"GTEST_SHARD_INDEX={index}"])


# The lab of the device tests, by QEMU's names. {disk}: an image of 64 MiB.
_DEVICES = (
    "pcie-root-port,id=port1,chassis=1",
    "drive:file={disk},if=none,id=disk,format=raw,cache=unsafe",
    "nvme,drive=disk,serial=data,bus=port1",
    "e1000e",
    "edu",
    "nvme-subsys,id=subsystem",
    "nvme,serial=virtual,subsys=subsystem,sriov_max_vfs=4,sriov_vq_flexible=8,sriov_vi_flexible=4",
)


def device_lab(report: Report, pattern: str) -> None:
    """The tests that need an IOMMU and devices, in a lab that has them."""
    with tempfile.TemporaryDirectory(prefix="hull-disk-") as directory:
        disk = os.path.join(directory, "disk")
        with open(disk, "wb") as handle:
            handle.truncate(64 << 20)
        devices = [word for spec in _DEVICES for word in ("--device", spec.format(disk=disk))]
        _lab_program(report, "hull-device-lab-tests", "devices", pattern, ["--iommu", "intel", *devices])


def _lab_program(report: Report, name: str, label: str, pattern: str, machine: list[str]) -> None:
    suite = "lab"
    program = os.path.join(CHECKOUT, "build", "release", "tests", name)
    if not os.path.exists(program):
        report.failed(suite, label, f"{program} was not built")
        return
    reader = googletest.Reader(report, suite, on_end=lambda test, word: report.say(f"{label}: {word:7} {test}"))
    with tempfile.TemporaryDirectory(prefix="hull-test-") as out:
        command = [scripts_path("lab"), "run", "--timeout", str(_LAB_SECONDS), "--out", out, *machine]
        if pattern:
            command += ["--env", f"GTEST_FILTER={_gtest_filter(pattern)}"]
        ended = processes.run([*command, "--", program], seconds=_LAB_SECONDS + 180, on_line=reader.line)
    reader.close(ended.status, ended.tail)
    if reader.seen == 0 and not pattern:
        report.failed(suite, f"{label} ran no test", ended.tail)


def _tests(suite: str, *beginnings: str) -> str:
    return ":".join(f"{suite}.{beginning}*" for beginning in beginnings)


# Devices of the lab's host passed through, each entry in a lab of its own: arguments of vfio-lab, and which tests. To guests
# of hull-vmm (tests/integration/vfio_test.cc) and to containers (passthrough*_test.cc). With AMD's IOMMU those to which it makes a
# difference whose the host has, and the one of a region that the other lab has no room for.
VFIO_LABS = {
    "vfio intel": ((), ""),
    "vfio amd": (("--iommu", "amd"), _tests("VfioTest", "Nvme", "Edu", "Interrupts", "Transactions", "Large", "DeviceThat")),
    "passthrough intel": (("--through-hull",), "-" + _tests("PassthroughTest", "RegionsTooLarge")),
    "passthrough amd": (("--through-hull", "--iommu", "amd"),
                        _tests("PassthroughTest", "TheHosts", "ADisk", "Edu", "WhatADevice", "ANetwork", "RegionsTooLarge")),
}


def vfio_lab(report: Report, pattern: str, label: str) -> None:
    """One of VFIO_LABS."""
    arguments, tests = VFIO_LABS[label]
    suite = f"lab {label}"
    reader = googletest.Reader(report, suite, on_end=lambda test, word: report.say(f"{label}: {word:7} {test}"))
    wanted = _gtest_filter(pattern) if pattern else tests
    ended = processes.run([scripts_path("lib", "vfio-lab"), *arguments], seconds=_LAB_SECONDS + 180,
                          on_line=reader.line, environment={"GTEST_FILTER": wanted} if wanted else {})
    reader.close(ended.status, ended.tail)
    if reader.seen == 0 and not pattern:
        report.failed(suite, f"{label} ran no test", ended.tail)


def parity(report: Report, pattern: str, shard: int) -> None:
    """tests/parity: the same command lines through hull and podman, one of PARITY_SHARDS, in a lab of its own."""
    suite = "parity"

    def line(text: str) -> None:
        match = re.fullmatch(r"(ok|FAILED) +(\S+) \(.*\)", text)
        if not match:
            return
        report.say(f"parity: {match[1]:7} {match[2]}")
        if match[1] == "ok":
            report.passed(suite, match[2])

    command = [scripts_path("lab"), "run", "--memory", "10G", "--timeout", str(_PARITY_SECONDS), "--",
               os.path.join(CHECKOUT, "tests", "parity", "run"), "--shard", f"{shard}/{PARITY_SHARDS}"]
    if pattern and not pattern.lower().startswith("parity"):
        return
    ended = processes.run(command, seconds=_PARITY_SECONDS + 180, on_line=line)
    if ended.status != 0:
        report.failed(suite, "agreement with podman", ended.tail)


def script_tests(report: Report, pattern: str) -> None:
    """tests/scripts/*_test.py: the lab and the other scripts."""
    directory = os.path.join(CHECKOUT, "tests", "scripts")
    runner = os.path.join(os.path.dirname(__file__), "unittests.py")
    for name in sorted(os.listdir(directory)):
        if name.endswith("_test.py"):
            _script_program(report, [sys.executable, "-B", runner, os.path.join(directory, name), pattern], name)


def _script_program(report: Report, command: list[str], suite: str) -> None:
    seen = 0

    def line(text: str) -> None:
        nonlocal seen
        if not text.startswith('{"test"'):
            return
        entry = json.loads(text)
        seen += 1
        report.say(f"{suite}: {entry['outcome']:7} {entry['test']}")
        {"passed": lambda: report.passed(suite, entry["test"]),
         "failed": lambda: report.failed(suite, entry["test"], entry["detail"]),
         "skipped": lambda: report.skipped(suite, entry["test"], entry["detail"])}[entry["outcome"]]()

    ended = processes.run(command, seconds=600, on_line=line)
    if ended.status != 0 or (seen == 0 and not command[-1]):
        report.failed(suite, "the program itself", f"{ended.tail}\n(status {ended.status})")


def vtx_smoke(report: Report) -> None:
    """hull on an emulated Intel host: a container, from the store's sample/busybox."""
    suite = "vtx"
    ended = processes.run([scripts_path("lib", "vtx-smoke")], seconds=600, on_line=report.say)
    if ended.status == 0:
        report.passed(suite, "a container runs under VT-x with EPT")
    else:
        report.failed(suite, "a container runs under VT-x with EPT", ended.tail)
