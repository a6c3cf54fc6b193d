#!/usr/bin/python3
"""Tests of the lab itself: streams, exit statuses, deadlines, what comes back, and that nothing is left behind."""

import glob
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

_HERE = os.path.dirname(os.path.realpath(__file__))
_LAB = os.path.join(_HERE, "..", "..", "scripts", "lab")
_DEADLINE = 300


def lab(*words: str, **options) -> subprocess.CompletedProcess:
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    return subprocess.run([_LAB, *words], capture_output=True, timeout=_DEADLINE, check=False, **options)


def children_named(name: str) -> list[int]:
    """Process ids of this program's descendants with that name."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], check=True, capture_output=True, text=True).stdout
    parents, names = {}, {}
    for line in listing.splitlines():
        pid, parent, command = line.split(None, 2)
        parents[int(pid)], names[int(pid)] = int(parent), command
    found = []
    for pid, command in names.items():
        ancestor = pid
        while ancestor in parents and ancestor != os.getpid():
            ancestor = parents[ancestor]
        if ancestor == os.getpid() and command.startswith(name):
            found.append(pid)
    return found


class LabTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="lab-test-")
        cls.hello = os.path.join(cls.directory, "kvm_hello")
        subprocess.run(["g++", "-std=c++20", "-O1", "-static", "-o", cls.hello, os.path.join(_HERE, "kvm_hello.cc")],
                       check=True)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        self.place = os.path.join(self.directory, self.id().rpartition(".")[2])
        os.mkdir(self.place)
        os.chdir(self.place)

    def test_streams_stay_apart_and_the_exit_status_is_the_commands(self):
        done = lab("run", "--", "sh", "-c", "echo out; echo error >&2; pwd; exit 42")
        self.assertEqual(done.stdout.decode(), f"out\n{self.place}\n")
        self.assertEqual(done.stderr.decode(), "error\n")
        self.assertEqual(done.returncode, 42)
        self.assertFalse(os.path.exists("lab-out"))

    def test_a_command_killed_by_a_signal_gives_128_and_the_signal(self):
        self.assertEqual(lab("run", "--", "sh", "-c", "kill -KILL $$").returncode, 137)

    def test_a_missing_command_gives_127(self):
        done = lab("run", "--", "no-such-command")
        self.assertEqual(done.returncode, 127)
        self.assertIn(b"no-such-command", done.stderr)

    def test_binary_data_passes_both_ways_unchanged(self):
        sent = os.urandom(50 << 20)
        done = lab("run", "--", "tee", "/dev/stderr", input=sent)
        self.assertEqual(done.returncode, 0)
        wanted = hashlib.sha256(sent).hexdigest()
        self.assertEqual(hashlib.sha256(done.stdout).hexdigest(), wanted)
        self.assertEqual(hashlib.sha256(done.stderr).hexdigest(), wanted)

    def test_output_appears_while_the_command_runs(self):
        with open("now", "w", encoding="ascii") as handle:
            handle.write("now\n")
        # Not a shell: dash, between two commands, takes a SIGINT and forgets it.
        with subprocess.Popen([_LAB, "run", "--timeout", "90", "--", "tail", "-f", "now"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE) as process:
            begun = time.monotonic()
            self.assertEqual(process.stdout.readline(), b"now\n")
            self.assertLess(time.monotonic() - begun, 50)
            # Ctrl-C goes to the command, which ends by it.
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(20), 130)

    def test_a_timeout_gives_124_and_leaves_no_machine_and_no_files(self):
        os.mkdir("temporary")
        done = lab("run", "--timeout", "1", "--", "sleep", "100", env={**os.environ, "TMPDIR": "temporary"})
        self.assertEqual(done.returncode, 124)
        self.assertIn(b"no end after 1 s", done.stderr)
        self.assertEqual(children_named("qemu"), [])
        self.assertEqual((os.listdir("temporary"), os.listdir(".")), ([], ["temporary"]))

    def test_two_labs_differ_in_randomness_and_have_the_hosts_time(self):
        script = "cat /proc/sys/kernel/random/uuid; date +%s"
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda _: lab("run", "--", "sh", "-c", script).stdout.split(), range(2))
        self.assertEqual(len(first[0]), 36)
        self.assertNotEqual(first[0], second[0])
        self.assertLess(abs(int(first[1]) - time.time()), 30)

    def test_a_broken_saved_state_is_replaced_by_a_boot(self):
        cache = os.path.join(self.place, "cache")
        real = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "hull")
        os.makedirs(os.path.join(cache, "hull"))
        for name in os.listdir(real):
            if name.startswith(("lab-kernel-", "lab-init-")):
                os.symlink(os.path.join(real, name), os.path.join(cache, "hull", name))
        environment = {**os.environ, "XDG_CACHE_HOME": cache}
        self.assertEqual(lab("run", "--memory", "512M", "--", "true", env=environment).returncode, 0)
        states = glob.glob(os.path.join(cache, "hull", "lab-state-*", "state"))
        self.assertEqual(len(states), 1)
        os.truncate(states[0], 1 << 20)
        done = lab("run", "--memory", "512M", "--", "echo", "ran", env=environment)
        self.assertEqual((done.returncode, done.stdout), (0, b"ran\n"), done.stderr)
        self.assertIn(b"the saved state does not work", done.stderr)
        self.assertEqual(glob.glob(os.path.join(cache, "hull", "lab-state-*")), [])

    def test_killing_the_lab_ends_its_machine(self):
        with subprocess.Popen([_LAB, "run", "--", "sh", "-c", "echo up; sleep 100"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            machines = children_named("qemu")
            self.assertEqual(len(machines), 1)
            process.kill()
            process.wait()
        deadline = time.monotonic() + 10
        while os.path.exists(f"/proc/{machines[0]}/exe") and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertFalse(os.path.exists(f"/proc/{machines[0]}/exe"))

    def test_a_crash_of_the_labs_kernel_gives_125_and_its_last_words(self):
        done = lab("run", "--", "sh", "-c", "echo c > /proc/sysrq-trigger; sleep 60")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"sysrq_handle_crash", done.stderr)
        self.assertIn(b"lab: the lab's kernel crashed", done.stderr)

    def test_files_in_lab_out_come_back_and_others_do_not(self):
        marker = os.path.join(self.place, "written-in-the-lab")
        done = lab("run", "--out", "results", "--", "sh", "-c", f"echo kept > $LAB_OUT/file; echo lost > {marker}")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        with open("results/file", encoding="ascii") as handle:
            self.assertEqual(handle.read(), "kept\n")
        self.assertFalse(os.path.exists(marker))

    def test_a_guest_runs_under_kvm_and_counts_are_given(self):
        done = lab("run", "--count", "--show", self.directory, "--", "lab-count", "-o", "/run/lab/out/counts",
                   self.hello)
        self.assertEqual((done.returncode, done.stdout), (0, b"hello\n"), done.stderr)
        with open("lab-out/counts", encoding="ascii") as handle:
            counts = json.load(handle)
        self.assertEqual(counts["exit_status"], 0)
        # Five characters and the halt are an exit each; page faults and the like add a few.
        self.assertTrue(6 <= counts["vm_exits"] < 40, counts)
        self.assertTrue(0.1 < counts["virtual_ms"] < 20, counts)
        self.assertTrue(10 < counts["system_calls"] < 200, counts)

    def test_what_containers_need_of_a_host_is_there(self):
        script = ("set -e; unshare --user --map-root-user --pid --fork --mount-proc true; "
                  "grep -qw memory /sys/fs/cgroup/cgroup.subtree_control; test -d /sys/kernel/debug/kvm; "
                  "test -e /sys/kernel/tracing/events/kvm; ip link show lo | grep -q UP; "
                  "touch /etc/a /var/lib/hull/b /tmp/c $HOME/d; exec 3<>/dev/net/tun; nproc")
        done = lab("run", "--smp", "2", "--memory", "1G", "--", "bash", "-c", script)
        self.assertEqual((done.returncode, done.stdout), (0, b"2\n"), done.stderr)

    def test_an_extra_device_has_its_driver_and_can_be_given_to_vfio(self):
        with open("disk", "wb") as disk:
            disk.truncate(16 << 20)
        script = ("set -e; device=$(readlink -f /sys/class/nvme/nvme0/device); name=${device##*/}; "
                  "modprobe vfio-pci; echo vfio-pci > $device/driver_override; echo $name > $device/driver/unbind; "
                  "echo $name > /sys/bus/pci/drivers_probe; ls /dev/vfio/$(basename $(readlink $device/iommu_group))")
        done = lab("run", "--device", f"drive:file={self.place}/disk,if=none,id=d,format=raw", "--device",
                   "nvme,drive=d,serial=1", "--", "bash", "-c", script)
        self.assertRegex(done.stdout, rb"^/dev/vfio/\d+\n$", done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_terminal_has_the_callers_size(self):
        done = subprocess.run(["script", "-qec", f"stty rows 33 cols 77; {_LAB} run --tty -- sh -c 'tty; stty size'",
                               "/dev/null"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_DEADLINE,
                              check=False)
        self.assertIn(b"/dev/pts/0\r\n33 77\r\n", done.stdout)
        self.assertEqual(done.returncode, 0)

    def test_the_intel_lab_runs_a_guest_and_brings_back_both_streams(self):
        done = lab("vtx", "--file", f"{self.hello}:/bin/kvm_hello", "--timeout", "60", "--", "sh", "-c",
                   "kvm_hello; cat /sys/module/kvm_intel/parameters/ept; echo error >&2; exit 3")
        self.assertEqual((done.stdout, done.returncode), (b"hello\nY\n", 3), done.stderr)
        self.assertEqual(done.stderr, b"error\n")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]], verbosity=2)
