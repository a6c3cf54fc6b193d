"""Results of tests, and their sum."""

import dataclasses
import enum
import sys
import threading
import time


class Outcome(enum.Enum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True)
class Result:
    """One test. `detail` is a failure's output or a skip's reason."""

    suite: str
    name: str
    outcome: Outcome
    detail: str = ""


class Report:
    """Takes results from several threads, shows failures as they come, and adds everything up."""

    def __init__(self):
        self._lock = threading.Lock()
        self._results: list[Result] = []
        self._begun = time.monotonic()

    def add(self, result: Result) -> None:
        with self._lock:
            self._results.append(result)
            if result.outcome is Outcome.FAILED:
                print(f"FAILED {result.suite}: {result.name}", result.detail, sep="\n", flush=True)

    def passed(self, suite: str, name: str) -> None:
        self.add(Result(suite, name, Outcome.PASSED))

    def failed(self, suite: str, name: str, detail: str) -> None:
        self.add(Result(suite, name, Outcome.FAILED, detail))

    def skipped(self, suite: str, name: str, reason: str) -> None:
        self.add(Result(suite, name, Outcome.SKIPPED, reason))

    def say(self, text: str) -> None:
        """One line of progress."""
        with self._lock:
            print(f"[{time.monotonic() - self._begun:5.0f} s] {text}", flush=True)

    def count(self, suite: str, outcome: Outcome | None = None) -> int:
        with self._lock:
            return sum(result.suite == suite and outcome in (None, result.outcome) for result in self._results)

    def finish(self) -> int:
        """Prints skips, failures' names and the one line of sums. Returns the exit status."""
        by_outcome = {outcome: [one for one in self._results if one.outcome is outcome] for outcome in Outcome}
        for result in by_outcome[Outcome.SKIPPED]:
            print(f"skipped {result.suite}: {result.name}: {result.detail}")
        for result in by_outcome[Outcome.FAILED]:
            print(f"failed {result.suite}: {result.name}")
        passed, failed, skipped = (len(by_outcome[outcome]) for outcome in Outcome)
        line = f"{passed} passed, {failed} failed"
        print(line + (f", {skipped} skipped" if skipped else ""))
        sys.stdout.flush()
        return 1 if failed or not passed else 0
