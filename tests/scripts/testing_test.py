#!/usr/bin/python3
"""Tests of what scripts/test makes of the programs it runs: a failure, a crash or a skip must never count as passed."""

import contextlib
import io
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "scripts", "lib"))
sys.dont_write_bytecode = True

from testing import googletest, processes  # noqa: E402  (the path has to be set first)
from testing.results import Outcome, Report  # noqa: E402

_PASSING = ["[==========] Running 1 test from 1 test suite.", "[ RUN      ] A.Passes", "[       OK ] A.Passes (0 ms)"]


def running(pid: int) -> bool:
    """Whether the process is there, and not only waiting for whoever has to reap it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as handle:
            return handle.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class ReportTest(unittest.TestCase):

    def setUp(self):
        self.output = io.StringIO()
        redirection = contextlib.redirect_stdout(self.output)
        redirection.__enter__()
        self.addCleanup(redirection.__exit__, None, None, None)
        self.report = Report()
        self.reader = googletest.Reader(self.report, "s")

    def read(self, lines: list[str], status: int) -> tuple[int, int, int]:
        for line in lines:
            self.reader.line(line)
        self.reader.close(status, "the tail")
        return tuple(self.report.count("s", outcome) for outcome in Outcome)

    def last_line(self) -> str:
        return self.output.getvalue().splitlines()[-1]

    def test_a_passing_test_counts_once(self):
        self.assertEqual(self.read([*_PASSING, "[  PASSED  ] 1 test."], 0), (1, 0, 0))
        self.assertEqual(self.report.finish(), 0)
        self.assertEqual(self.last_line(), "1 passed, 0 failed")

    def test_a_failing_test_counts_once_though_it_is_listed_twice(self):
        lines = [*_PASSING, "[ RUN      ] A.Fails/0", "a.cc:1: Failure",
                 "[  FAILED  ] A.Fails/0, where GetParam() = 3 (1 ms)", "[  FAILED  ] 1 test, listed below:",
                 "[  FAILED  ] A.Fails/0, where GetParam() = 3"]
        self.assertEqual(self.read(lines, 1), (1, 1, 0))
        self.assertEqual(self.report.finish(), 1)
        self.assertIn("a.cc:1: Failure", self.output.getvalue())

    def test_a_crash_in_a_test_fails_that_test(self):
        self.assertEqual(self.read([*_PASSING, "[ RUN      ] A.Crashes"], 139), (1, 1, 0))
        self.assertIn("FAILED s: A.Crashes", self.output.getvalue())

    def test_a_failure_outside_of_tests_fails(self):
        self.assertEqual(self.read(_PASSING, 1), (1, 1, 0))
        self.assertIn("the program itself", self.output.getvalue())

    def test_a_skip_is_listed_with_its_reason(self):
        lines = [*_PASSING, "[ RUN      ] A.Skips", "a.cc:7: Skipped", "no device here", "",
                 "[  SKIPPED ] A.Skips (0 ms)"]
        self.assertEqual(self.read(lines, 0), (1, 0, 1))
        self.assertEqual(self.report.finish(), 0)
        self.assertIn("skipped s: A.Skips: no device here\n", self.output.getvalue())
        self.assertEqual(self.last_line(), "1 passed, 0 failed, 1 skipped")

    def test_an_end_on_the_line_of_output_is_seen(self):
        lines = ["[ RUN      ] A.Prints", "text without an end[       OK ] A.Prints (0 ms)"]
        self.assertEqual(self.read(lines, 0), (1, 0, 0))

    def test_no_test_at_all_is_no_success(self):
        self.assertEqual(self.report.finish(), 1)


class ProcessesTest(unittest.TestCase):

    def test_a_program_that_takes_too_long_is_ended_with_its_children(self):
        ended = processes.run(["sh", "-c", "sleep 100 & echo $!; wait"], seconds=0.5)
        self.assertEqual(ended.status, 124)
        deadline = time.monotonic() + 5
        while running(int(ended.tail.splitlines()[0])) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertFalse(running(int(ended.tail.splitlines()[0])))

    def test_statuses_are_the_shells(self):
        self.assertEqual(processes.run(["false"], seconds=10).status, 1)
        self.assertEqual(processes.run(["sh", "-c", "kill -SEGV $$"], seconds=10).status, 139)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]], verbosity=2)
