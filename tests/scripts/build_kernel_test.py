#!/usr/bin/python3
"""Tests of scripts/build-kernel that build no kernel. The one of the pci profile must be there for those of modules."""

import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest

_SCRIPT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "scripts", "build-kernel")


def build_kernel(*words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([_SCRIPT, *words], capture_output=True, text=True, timeout=300, check=False,
                          env={**os.environ, **environment})


class ArgumentsTest(unittest.TestCase):

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory(prefix="build-kernel-test-"))

    def refused(self, expected: str, *words: str) -> None:
        # An empty cache: what is not refused would begin to build, and be seen to have.
        done = build_kernel(*words, XDG_CACHE_HOME=self.directory, HULL_KERNEL_SOURCE="/nonexistent")
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn(expected, done.stderr)

    def test_an_unknown_profile_is_named(self):
        self.refused("unknown profile 'gpu' (default, pci, debug)", "--profile", "gpu")

    def test_a_kernel_without_modules_has_no_tree_for_them(self):
        self.refused("profile default has no modules; --profile pci has", "--modules-tree", self.directory + "/tree")

    def test_a_tree_is_never_written_over(self):
        self.refused(f"{self.directory} exists already", "--profile", "pci", "--modules-tree", self.directory)

    def test_drivers_need_a_tree_to_go_to(self):
        self.refused("--modules-tree, which is not given", "--profile", "pci", "--with", "/dev/null")

    def test_cached_builds_nothing(self):
        done = build_kernel("--profile", "pci", "--cached", XDG_CACHE_HOME=self.directory)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        self.assertEqual(os.listdir(self.directory), [])


class ModulesTreeTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        if not build_kernel("--profile", "pci", "--cached").stdout:
            raise unittest.SkipTest("the kernel of the pci profile is not built (scripts/lib/steps device-kernel)")
        cls.directory = tempfile.TemporaryDirectory(prefix="build-kernel-test-")
        cls.addClassCleanup(cls.directory.cleanup)
        cls.tree = pathlib.Path(cls.directory.name, "tree")
        done = build_kernel("--profile", "pci", "--modules-tree", str(cls.tree))
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        [modules] = (cls.tree / "lib" / "modules").iterdir()
        cls.modules = modules

    def test_the_display_driver_is_there_with_all_that_it_needs(self):
        entries = dict(line.split(":") for line in (self.modules / "modules.dep").read_text("ascii").splitlines())
        [bochs] = [path for path in entries if path.endswith("/bochs.ko")]
        for path in [bochs, *entries[bochs].split()]:
            self.assertTrue((self.modules / path).is_file(), path)
        self.assertIn("drm_kms_helper.ko", entries[bochs])

    def test_a_module_from_elsewhere_is_made_for_exactly_this_kernel_and_installed(self):
        source = pathlib.Path(self.directory.name, "source")
        source.mkdir()
        (source / "Kbuild").write_text("obj-m := sample.o\n", "ascii")
        (source / "sample.c").write_text(textwrap.dedent("""\
            #include <linux/mmu_notifier.h>
            #include <linux/module.h>
            #include <linux/pci.h>
            MODULE_LICENSE("GPL");
            static int __init start(void)
            {
                    mmu_notifier_synchronize();
                    return pci_dev_present(NULL);
            }
            module_init(start);
            """), "ascii")
        make = ["make", "-C", str(self.tree / "build"), f"M={source}"]
        made = subprocess.run([*make, "modules"], capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertNotIn("undefined", made.stderr)
        environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        subprocess.run([*make, f"INSTALL_MOD_PATH={self.tree}", "modules_install"], capture_output=True, timeout=300,
                       check=True, env=environment)
        [installed] = self.modules.rglob("sample.ko")
        magic = subprocess.run(["modinfo", "-F", "vermagic", str(installed)], capture_output=True, text=True,
                               check=True, env=environment).stdout
        self.assertEqual(magic.split()[0], self.modules.name)
        self.assertIn("sample.ko", (self.modules / "modules.dep").read_text("ascii"))

    def test_the_release_names_the_profile_and_a_hash(self):
        self.assertRegex(self.modules.name, r"^6\.12\.[0-9]+-hull-pci-[0-9a-f]{8}$")

    def test_nothing_in_the_tree_leads_out_of_it(self):
        cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "hull")
        found = subprocess.run(["grep", "-rlI", cache, str(self.tree)], capture_output=True, text=True, check=False)
        self.assertEqual(found.stdout, "")
        for path in self.tree.rglob("*"):
            if path.is_symlink():
                self.assertTrue(path.resolve().is_relative_to(self.tree), f"{path} -> {os.readlink(path)}")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]], verbosity=2)
