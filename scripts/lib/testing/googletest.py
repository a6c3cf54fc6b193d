"""Reads GoogleTest's output as it appears."""

import re

from .results import Report

_RUN = re.compile(r"^\[ RUN      \] (\S+)$")
_END = re.compile(r"^\[(       OK |  FAILED  |  SKIPPED )\] (\S+?)(?:, where .*)?(?: \(\d+ ms\))?$")
_KEPT_LINES = 200


class Reader:
    """Takes lines of one GoogleTest program and adds its tests to the report.

    A test that began and did not end counts as failed, so a crash in the middle is not lost.
    """

    def __init__(self, report: Report, suite: str, on_end=None, prefix: str = ""):
        self._report = report
        self._suite = suite
        self._on_end = on_end
        self._prefix = prefix
        self._current = ""
        self._lines: list[str] = []
        self.seen = 0
        self._ok_or_skipped = 0

    def line(self, text: str) -> None:
        begun = _RUN.match(text)
        if begun:
            self._current = begun.group(1)
            self._lines = []
            return
        ended = _END.match(text)
        if not ended and self._current:
            # A test that prints without a last newline has its end on the same line.
            inline = re.search(r"\[(       OK |  FAILED  |  SKIPPED )\] " + re.escape(self._current), text)
            ended = _END.match(text[inline.start():]) if inline else None
        if ended and ended.group(2) == self._current:
            self._end(ended.group(1).strip())
        elif self._current:
            self._lines = [*self._lines[-_KEPT_LINES:], text]

    def close(self, status: int, tail: str) -> None:
        """The program has ended with `status`; `tail` is what it last said outside of tests."""
        if self._current:
            detail = "\n".join([*self._lines, tail, f"(the program ended with status {status} in this test)"])
            self._report.failed(self._suite, self._prefix + self._current, detail)
            self.seen += 1
        elif status != 0 and self.seen == self._ok_or_skipped:
            detail = f"{tail}\n(status {status}, yet no test failed)"
            self._report.failed(self._suite, self._prefix + "the program itself", detail)
            self.seen += 1

    def _end(self, word: str) -> None:
        name, self._current = self._current, ""
        self.seen += 1
        if word == "OK":
            self._report.passed(self._suite, self._prefix + name)
        elif word == "SKIPPED":
            self._report.skipped(self._suite, self._prefix + name, _skip_reason(self._lines))
        else:
            self._report.failed(self._suite, self._prefix + name, "\n".join(self._lines))
        self._ok_or_skipped += word != "FAILED"
        if self._on_end:
            self._on_end(name, word)


def _skip_reason(lines: list[str]) -> str:
    # "file:line: Skipped", then the reason.
    text = [line.strip() for line in lines if line.strip()]
    for number, line in enumerate(text):
        if line.endswith("Skipped") and text[number + 1:]:
            return " ".join(text[number + 1:])
    return " ".join(text) or "no reason given"
