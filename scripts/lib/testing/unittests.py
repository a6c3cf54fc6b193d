"""Runs the tests of one Python file and prints each result as a line of JSON.

usage: unittests.py FILE [PATTERN]
"""

import importlib.util
import json
import sys
import unittest


class _Printer(unittest.TestResult):
    def _print(self, test: unittest.TestCase, outcome: str, detail: str = "") -> None:
        name = test.id().rpartition(".")[2] if isinstance(test, unittest.TestCase) else str(test)
        print(json.dumps({"test": name, "outcome": outcome, "detail": detail}), flush=True)

    def addSuccess(self, test):
        self._print(test, "passed")

    def addFailure(self, test, err):
        self._print(test, "failed", self._exc_info_to_string(err, test))

    addError = addFailure

    def addSkip(self, test, reason):
        self._print(test, "skipped", reason)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.addFailure(subtest, err)


def main() -> int:
    path, pattern = sys.argv[1], "".join(sys.argv[2:3])
    specification = importlib.util.spec_from_file_location("tests_under_run", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["tests_under_run"] = module
    specification.loader.exec_module(module)
    loader = unittest.TestLoader()
    if pattern:
        loader.testNamePatterns = [f"*{pattern}*"]
    loader.loadTestsFromModule(module).run(_Printer())
    return 0


sys.exit(main())
