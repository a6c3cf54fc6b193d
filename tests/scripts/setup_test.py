#!/usr/bin/python3
"""Tests of scripts/setup that install nothing."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

_SCRIPTS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "scripts")


class SetupTest(unittest.TestCase):

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="setup-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        os.chmod(self.directory, 0o755)
        os.mkdir(os.path.join(self.directory, "lib"))
        self.setup = shutil.copy(os.path.join(_SCRIPTS, "setup"), self.directory)

    def run_setup(self, packages: str, *words: str, **options) -> subprocess.CompletedProcess:
        with open(os.path.join(self.directory, "lib", "packages"), "w", encoding="ascii") as handle:
            handle.write(packages)
        return subprocess.run([self.setup, *words], capture_output=True, text=True, timeout=60, check=False, **options)

    def test_nothing_missing_takes_less_than_a_second(self):
        begun = time.monotonic()
        done = subprocess.run([os.path.join(_SCRIPTS, "setup")], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "setup: nothing to install\n"), done.stderr)
        self.assertLess(time.monotonic() - begun, 1)

    def test_comments_and_empty_lines_are_no_packages(self):
        done = self.run_setup("# a comment\n\nbash  # the shell\n", "--list")
        self.assertEqual((done.returncode, done.stdout), (0, "bash\n"))

    @unittest.skipIf(os.geteuid() != 0, "becoming another user needs root")
    def test_a_missing_package_without_root_is_named_and_fails(self):
        done = self.run_setup("bash\nno-such-package-of-hull\n", user=65534, group=65534, extra_groups=[],
                              env={"PATH": os.environ["PATH"]})
        self.assertEqual(done.returncode, 1)
        self.assertIn("no-such-package-of-hull", done.stdout)
        self.assertNotIn("bash", done.stdout)
        self.assertIn("needs root", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]], verbosity=2)
