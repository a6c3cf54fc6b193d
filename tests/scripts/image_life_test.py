#!/usr/bin/python3
"""The life of images on this host, without a virtual machine: kills at random moments, full disks, what is fetched,
and every kind of file compared with what umoci unpacks. HULL_BUILD: another build than build/release.
HULL_KILLS: how many kills (200). HULL_SLOW=1: 100,000 files and a file of 2 GiB."""

import gzip
import hashlib
import http.client
import http.server
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest

_CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_BUILD = pathlib.Path(os.environ.get("HULL_BUILD", _CHECKOUT / "build" / "release")).resolve()
_HULL = _BUILD / "bin" / "hull"
_KILLS = int(os.environ.get("HULL_KILLS", "200"))
_SLOW = os.environ.get("HULL_SLOW") == "1"
_DEADLINE = 300


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def tar_of(entries) -> bytes:
    """entries: (name, settings of tarfile.TarInfo, content); a name may be bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        for name, settings, content in entries:
            info = tarfile.TarInfo(os.fsdecode(name))
            info.mode, info.mtime = 0o644, 1_600_000_000
            for key, value in settings.items():
                setattr(info, key, value)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Layout:
    """An OCI layout in the making."""

    def __init__(self, path: pathlib.Path):
        self.path, self.manifests = path, []
        (path / "blobs/sha256").mkdir(parents=True)

    def blob(self, data: bytes, media_type: str) -> dict:
        (self.path / "blobs/sha256" / digest(data)[7:]).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": digest(data), "size": len(data)}

    def add(self, name: str, tars: list) -> dict:
        layers = [self.blob(gzip.compress(tar, 1, mtime=0), "layer.v1.tar+gzip") for tar in tars]
        config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
                  "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]}}
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": self.blob(json.dumps(config).encode(), "config.v1+json"), "layers": layers}
        entry = self.blob(json.dumps(manifest).encode(), "manifest.v1+json")
        self.manifests.append({**entry, "annotations": {"org.opencontainers.image.ref.name": name}})
        (self.path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.manifests}))
        return manifest


class ImageTest(unittest.TestCase):
    def setUp(self):
        if not _HULL.exists():
            self.fail(f"{_HULL} was not built")
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="hull-images-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.root = self.work / "root"

    def command(self, *words) -> list:
        return [str(_HULL), "--root", str(self.root), "--state", str(self.work / "run"), *map(str, words)]

    def hull(self, *words, ok=True, **options) -> subprocess.CompletedProcess:
        ended = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=_DEADLINE, check=False,
                               stdin=options.pop("stdin", subprocess.DEVNULL), **options)
        if ok:
            self.assertEqual(ended.returncode, 0, f"{words}: {ended.stderr}")
        return ended

    def start_registry(self) -> str:
        config = self.work / "registry.yml"
        config.write_text("version: 0.1\nlog: {level: info, formatter: text}\n"
                          f"storage: {{filesystem: {{rootdirectory: {self.work}/registry}}}}\n"
                          'http: {addr: "127.0.0.1:0"}\n')
        self.registry_log = self.work / "registry.log"
        with open(self.registry_log, "wb") as log:
            registry = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
        self.addCleanup(registry.wait)
        self.addCleanup(registry.kill)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if found := re.search(rb"listening on (127\.0\.0\.1:\d+)", self.registry_log.read_bytes()):
                return found.group(1).decode()
            time.sleep(0.05)
        self.fail("the registry did not start")

    def push(self, layout: Layout, name: str, target: str):
        subprocess.run(["skopeo", "copy", "--quiet", "--insecure-policy", "--preserve-digests",
                        "--dest-tls-verify=false", f"oci:{layout.path}:{name}", f"docker://{target}"],
                       check=True, timeout=_DEADLINE)

    def check_store(self, after: str):
        """Nothing broken, nothing left: the state of the store after a command."""
        images = self.root / "images"
        if not images.exists():
            return
        for folder in ("tmp", "locks"):
            self.assertEqual(os.listdir(images / folder), [], f"{folder} after {after}")
        layers, blobs, ids = set(), set(), set()
        for path in (images / "images").iterdir():
            record = json.loads(path.read_text())
            ids.add(record["id"])
            blobs |= {record["id"][7:], record["manifest_digest"][7:]}
            for diff_id, variant in zip(record["diff_ids"], record["variants"]):
                layers.add(diff_id[7:])
                name = f"sha256-{diff_id[7:]}" + (f"-{variant}" if variant else "") + ".erofs"
                self.assertTrue((images / "layers" / name).exists(), f"{name} after {after}")
                self.assertTrue((images / "layers" / f"sha256-{diff_id[7:]}.recipe").exists(), after)
        self.assertEqual({name[7:71] for name in os.listdir(images / "layers")}, layers, f"layers after {after}")
        self.assertEqual({name[7:] for name in os.listdir(images / "blobs")}, blobs, f"blobs after {after}")
        if (images / "names.json").exists():
            names = json.loads((images / "names.json").read_text())["names"]
            self.assertLessEqual({entry["id"] for entry in names.values()}, ids, f"names after {after}")


def session_members(session: int) -> list:
    members = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.getsid(int(entry)) == session:
                state = pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[0]
                if state != "Z":
                    members.append(int(entry))
        except OSError:
            pass
    return members


class KillTest(ImageTest):
    def kill_at(self, words, delay: float):
        with open(os.devnull, "r+b") as null:
            child = subprocess.Popen(self.command(*words), stdin=null, stdout=null, stderr=null,
                                     start_new_session=True)
        time.sleep(delay)
        child.kill()
        child.wait()
        until = time.monotonic() + 10
        while session_members(child.pid) and time.monotonic() < until:
            time.sleep(0.005)
        self.assertEqual(session_members(child.pid), [], f"processes of {words} live on")

    def test_helpers_die_with_a_command_that_waits(self):
        read, write = os.pipe()
        with open(os.devnull, "r+b") as null:
            child = subprocess.Popen(self.command("load"), stdin=read, stdout=null, stderr=null, start_new_session=True)
        os.close(read)
        self.addCleanup(os.close, write)
        os.write(write, tar_of([("a", {}, b"x")])[:1024])
        until = time.monotonic() + 30
        names = lambda: {pathlib.Path(f"/proc/{pid}/comm").read_text().strip() for pid in session_members(child.pid)}
        while "hull-import" not in names() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.2)  # until it is confined
        child.kill()
        child.wait()
        until = time.monotonic() + 5
        while session_members(child.pid) and time.monotonic() < until:
            time.sleep(0.01)
        self.assertEqual(session_members(child.pid), [])

    def test_kill_at_random_moments_of_every_command(self):
        layout = Layout(self.work / "layout")
        base = tar_of([("base", {}, noise(3 << 20, 1))])
        for name in ("one", "two"):
            layout.add(f"s/{name}:1", [base, tar_of([(name, {}, noise(2 << 20, len(name)))]),
                                       tar_of([(f"tmp/{name}", {}, name.encode())])])
        layout.add("s/keep:1", [base, tar_of([("keep", {}, b"this stays")])])
        registry = self.start_registry()
        self.push(layout, "s/one:1", f"{registry}/s/one:1")
        self.hull("pull", f"oci:{layout.path}:s/keep:1")
        kept = self.hull("images", "-q", "--no-trunc", "s/keep").stdout
        archive, saved = self.work / "archive.tar", self.work / "saved.tar"
        self.hull("pull", f"oci:{layout.path}:s/two:1")
        self.hull("save", "-o", archive, "s/two:1", "s/keep:1")
        laid_out = self.work / "laid-out.tar"
        self.hull("save", "--format", "oci-archive", "-o", laid_out, "s/two:1")
        packed = self.work / "archive.tar.gz"
        packed.write_bytes(gzip.compress(archive.read_bytes(), 1))
        policy = self.work / "policy.json"  # under which skopeo reads the archive
        policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}], "transports": {
            "docker": {"example.org": [{"type": "reject"}]}}}))
        # Where skopeo would unpack it by itself.
        other_temporary = lambda: {name for name in os.listdir("/var/tmp") if re.match("docker-tar|oci|storage", name)}
        elsewhere = other_temporary()
        one, two = ["--tls-verify=false", f"{registry}/s/one:1"], f"oci:{layout.path}:s/two:1"
        # (what has to be there before, what is killed)
        cases = [([], ["pull", *one]), ([], ["pull", two]), ([], ["load", "-i", archive]),
                 ([], ["pull", f"docker-archive:{packed}:s/two:1"]),
                 ([], ["pull", "--signature-policy", policy, f"oci-archive:{laid_out}"]),
                 ([["pull", two]], ["rmi", "s/two:1"]), ([["pull", two]], ["tag", "s/two:1", "s/again:1"]),
                 ([["pull", two]], ["save", "-o", saved, "s/two:1"]), ([["pull", two]], ["image", "prune", "-af"])]
        rest = {"pull": 0.3, "load": 0.3}
        chance = random.Random(os.environ.get("HULL_SEED", "1"))
        for number in range(_KILLS):
            before, words = cases[number % len(cases)]
            self.hull("rmi", "-f", "s/two:1", "s/again:1", f"{registry}/s/one:1", ok=False)
            self.hull("image", "prune", "-f")  # those without a name
            self.hull("pull", f"oci:{layout.path}:s/keep:1")
            for command in before:
                self.hull(*command)
            start = time.monotonic()
            self.kill_at(words, chance.random() * rest.get(words[0], 0.05))
            after = f"{' '.join(map(str, words))} killed after {time.monotonic() - start:.3f} s ({number})"
            self.hull("images")  # the next command
            self.check_store(after)
            if words[0] != "image":
                self.assertEqual(self.hull("images", "-q", "--no-trunc", "s/keep").stdout, kept, after)
            self.assertEqual([path for path in self.work.iterdir() if ".part" in path.name], [], after)
            self.assertEqual(other_temporary() - elsewhere, set(), after)
            if saved.exists():  # complete, or not there at all
                with tarfile.open(saved) as complete:
                    self.assertIn("manifest.json", complete.getnames(), after)
                saved.unlink()
        self.hull("pull", *one)
        self.hull("load", "-i", archive)
        self.check_store("all")


class FetchTest(ImageTest):
    def test_only_missing_layers_are_fetched_and_two_pulls_do_the_work_once(self):
        layout = Layout(self.work / "layout")
        shared = tar_of([("shared", {}, noise(1 << 20, 1))])
        first = layout.add("s/a:1", [shared, tar_of([("a", {}, b"a")])])
        second = layout.add("s/b:1", [shared, tar_of([("b", {}, noise(1 << 20, 2))])])
        registry = self.start_registry()
        for name in "ab":
            self.push(layout, f"s/{name}:1", f"{registry}/s/{name}:1")
        fetched = lambda entry: len(re.findall(rb'"GET /v2/[^"]*' + entry["digest"].encode(),
                                               self.registry_log.read_bytes()))
        pulls = [subprocess.Popen(self.command("pull", "--tls-verify=false", f"{registry}/s/a:1"),
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
        words = "".join(pull.communicate(timeout=_DEADLINE)[0] for pull in pulls)
        self.assertEqual([pull.returncode for pull in pulls], [0, 0], words)
        self.assertEqual(words.count("Pull complete"), 2, words)
        self.assertEqual([fetched(layer) for layer in first["layers"]], [1, 1])
        ended = self.hull("pull", "--tls-verify=false", f"{registry}/s/b:1")
        self.assertEqual([fetched(layer) for layer in second["layers"]], [1, 1], "the shared layer was there already")
        self.assertIn("Already exists", ended.stderr)
        self.assertEqual(self.hull("pull", "-aq", "--tls-verify=false", f"{registry}/s/a").stdout, f"{registry}/s/a\n")
        self.check_store("the pulls")


    def test_a_connection_that_breaks_is_tried_again(self):
        layout = Layout(self.work / "layout")
        empty = tar_of([])
        layout.add("s/a:1", [empty, tar_of([("a", {}, noise(1 << 20, 1))]), empty, tar_of([("b", {}, b"b")]), empty])
        registry = self.start_registry()
        self.push(layout, "s/a:1", f"{registry}/s/a:1")
        broken = []

        class Breaking(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                upstream = http.client.HTTPConnection(registry)
                upstream.request("GET", self.path, headers={"Accept": ", ".join(self.headers.get_all("Accept") or [])})
                answer = upstream.getresponse()
                body = answer.read()
                upstream.close()
                self.send_response(answer.status)
                for name in ("Content-Type", "Docker-Content-Digest", "Docker-Distribution-Api-Version"):
                    if answer.getheader(name):
                        self.send_header(name, answer.getheader(name))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                large = len(body) > 1 << 20
                self.wfile.write(body[: len(body) // 2] if large and len(broken) < 2 else body)
                if large:
                    broken.append(self.path)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Breaking)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.hull("pull", "--tls-verify=false", f"127.0.0.1:{server.server_port}/s/a:1")
        self.assertEqual(len(broken), 3, broken)
        self.check_store("the pull")

    def test_registries_conf_says_what_has_no_tls(self):
        layout = Layout(self.work / "layout")
        layout.add("s/a:1", [tar_of([("a", {}, b"a")])])
        registry = self.start_registry()
        self.push(layout, "s/a:1", f"{registry}/s/a:1")
        self.assertIn("insecure = true", self.hull("pull", f"{registry}/s/a:1", ok=False).stderr)
        home = self.work / "home"
        (home / ".config/containers").mkdir(parents=True)
        (home / ".config/containers/registries.conf").write_text(
            f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n'
            f'[[registry]]\nlocation = "mirrored.example"\n'
            f'[[registry.mirror]]\nlocation = "{registry}"\ninsecure = true\n')
        for name in (f"{registry}/s/a:1", "mirrored.example/s/a:1"):
            self.hull("pull", name, env={**os.environ, "HOME": str(home)})
        refused = self.hull("pull", "--tls-verify=true", f"{registry}/s/a:1", ok=False,
                            env={**os.environ, "HOME": str(home)})
        self.assertEqual(refused.returncode, 1, "what the flag says counts")


@unittest.skipIf(os.geteuid() != 0, "mounting needs root")
class FullDiskTest(ImageTest):
    def small_disk(self, size: str, *words) -> subprocess.CompletedProcess:
        """Runs hull with its root on a tmpfs that is as small as that; prints the files that are left."""
        script = (f'mount -t tmpfs -o size={size} small "$1" && shift && '
                  '"$@"; status=$?; find "$SMALL" -type f ! -name names.json; exit $status')
        self.root.mkdir(exist_ok=True)
        return subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", str(self.root), *self.command(*words)],
                              capture_output=True, text=True, timeout=_DEADLINE, check=False,
                              env={**os.environ, "SMALL": str(self.root)})

    def test_full_disk_is_said_and_leaves_nothing(self):
        layout = Layout(self.work / "layout")
        layout.add("s/big:1", [tar_of([("small", {}, b"x")]), tar_of([("big", {}, noise(3 << 20, 1))])])
        self.hull("pull", f"oci:{layout.path}:s/big:1")
        archive = self.work / "archive.tar"
        self.hull("save", "-o", archive, "s/big:1")
        shutil.rmtree(self.root)
        for words in (["pull", f"oci:{layout.path}:s/big:1"], ["load", "-i", archive]):
            ended = self.small_disk("1m", *words)
            self.assertEqual(ended.returncode, 1, ended)
            self.assertIn("no space left on device", ended.stderr.lower())
            self.assertIn("free some space", ended.stderr)
            self.assertEqual(ended.stdout, "", "files are left")
        self.hull("load", "-i", archive)
        target = self.work / "target"
        target.mkdir()
        script = 'mount -t tmpfs -o size=1m small "$1" && "$2" --root "$3" save -o "$1/file" s/big:1; s=$?; ls -A "$1"; exit $s'
        ended = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", str(target), str(_HULL), str(self.root)],
                               capture_output=True, text=True, timeout=_DEADLINE, check=False)
        self.assertEqual((ended.returncode, ended.stdout), (1, ""), ended)
        self.assertIn("no space left on device", ended.stderr.lower())
        self.check_store("a save on a full disk")


def describe(root: pathlib.Path) -> dict:
    """Everything that can be seen of a tree, by path."""
    seen, links = {}, {}
    pending = [b""]
    while pending:
        directory = pending.pop()
        path = os.path.join(os.fsencode(root), directory)
        for name in os.listdir(path):
            relative = os.path.join(directory, name)
            full = os.path.join(os.fsencode(root), relative)
            info = os.lstat(full)
            entry = {"mode": oct(info.st_mode), "owner": (info.st_uid, info.st_gid), "mtime": info.st_mtime_ns,
                     "xattrs": {key: os.getxattr(full, key, follow_symlinks=False)
                                for key in os.listxattr(full, follow_symlinks=False)}}
            if stat.S_ISDIR(info.st_mode):
                pending.append(relative)
            else:
                entry["links"] = info.st_nlink
                links.setdefault(info.st_ino, set()).add(relative)
            if stat.S_ISREG(info.st_mode):
                with open(full, "rb") as content:
                    entry["content"] = hashlib.file_digest(content, "sha256").hexdigest()
                entry["size"] = info.st_size
            if stat.S_ISLNK(info.st_mode):
                entry["target"] = os.readlink(full)
            if stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
                entry["device"] = (os.major(info.st_rdev), os.minor(info.st_rdev))
            seen[relative] = entry
    for names in links.values():
        for name in names:
            seen[name]["same file as"] = sorted(names)
    return seen


@unittest.skipIf(os.geteuid() != 0, "mounting and unpacking need root")
class FidelityTest(ImageTest):
    def odd_files(self) -> list:
        files = 100_000 if _SLOW else 3_000
        capability = (0x02000001).to_bytes(4, "little") + (1 << 10).to_bytes(4, "little") + bytes(12)
        pax = lambda name, value: {"pax_headers": {f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape")}}
        entries = [("dir", {"type": tarfile.DIRTYPE, "mode": 0o1777, "uid": 7, "gid": 8}, b""),
                   ("dir/setuid", {"mode": 0o6755, "uid": 12345, "gid": 4_000_000_000}, b"#!/bin/sh\n"),
                   ("dir/link", {"type": tarfile.SYMTYPE, "linkname": "../some/where" * 20, "mode": 0o777}, b""),
                   ("dir/hard", {"type": tarfile.LNKTYPE, "linkname": "dir/setuid"}, b""),
                   ("dir/hard-link-to-link", {"type": tarfile.LNKTYPE, "linkname": "dir/link"}, b""),
                   ("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3, "mode": 0o666}, b""),
                   ("disk", {"type": tarfile.BLKTYPE, "devmajor": 259, "devminor": 70_000, "mode": 0o660}, b""),
                   ("fifo", {"type": tarfile.FIFOTYPE, "mode": 0o600}, b""),
                   ("attribute", pax("user.some", b"value \xff\x00x"[:7]), b"x"),
                   ("capable", {"mode": 0o755, **pax("security.capability", capability)}, b"x"),
                   (b"not-utf8-\xff\xfe", {}, b"x"), ("n" * 255, {}, b"x"), ("line\nbreak \\ and \t", {}, b"x"),
                   ("empty", {}, b""), ("fraction", {"mtime": 1_600_000_000.25}, b"x"), ("ancient", {"mtime": 1}, b"x"),
                   ("block", {}, noise(4096, 3)), ("replaced", {}, b"first"), ("replaced", {}, b"second"),
                   ("large", {}, (bytes(1 << 20) + noise(1 << 20, 4)) * (1024 if _SLOW else 16))]
        deep = ""
        while len(deep) < 4_000:
            deep += ("/" if deep else "") + "d" * 200
        # Longer than this umoci cannot: it puts the bundle's path before it.
        entries += [(deep + "/" + "f" * 20, {}, b"deep")]
        entries += [(f"many/{number % 100}/{number}", {"mtime": 1_500_000_000 + number}, str(number).encode())
                    for number in range(files)]
        return entries

    def sparse_tar(self, form: str) -> bytes:
        (self.work / "sparse").mkdir(exist_ok=True)
        with open(self.work / "sparse/holes", "wb") as holes:
            for offset in (0, 5 << 20, 9 << 20):
                holes.seek(offset)
                holes.write(noise(5000, offset))
            holes.truncate(12 << 20)
        return subprocess.run(["tar", "-C", self.work / "sparse", "--sparse", f"--format={form}", "-cf", "-", "holes"],
                              check=True, capture_output=True).stdout

    def test_every_kind_of_file_is_as_umoci_unpacks_it(self):
        if "erofs" not in pathlib.Path("/proc/filesystems").read_text():
            self.skipTest("this kernel has no EROFS")
        layout = Layout(self.work / "layout")
        tars = (tar_of(self.odd_files()), self.sparse_tar("posix"), self.sparse_tar("gnu"))
        for number, tar in enumerate(tars):
            # A tar has no entry for what is only above others; mkdir's time is not the same twice.
            layout.add(f"s/odd:{number}", [tar])
            bundle, mounted = self.work / f"bundle{number}", self.work / f"mounted{number}"
            unpacked = bundle / "rootfs"
            if number == 2:  # umoci knows no sparse files of GNU's older kind
                unpacked = self.work / "sparse"
            else:
                subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", f"oci:{layout.path}:s/odd:{number}",
                                f"oci:{self.work}/umoci:odd{number}"], check=True)
                subprocess.run(["umoci", "--log=error", "unpack", "--image", f"{self.work}/umoci:odd{number}", bundle],
                               check=True, timeout=_DEADLINE)
            self.hull("pull", f"oci:{layout.path}:s/odd:{number}")
            mounted.mkdir()
            layer = self.root / "images/layers" / f"sha256-{digest(tar)[7:]}.erofs"
            subprocess.run(["mount", "-t", "erofs", "-o", "ro,loop", layer, mounted], check=True)
            self.addCleanup(subprocess.run, ["umount", str(mounted)], check=False)
            ours, theirs = describe(mounted), describe(unpacked)
            self.assertEqual(ours.keys(), theirs.keys())
            implied = {path for path in ours if path.split(b"/")[0] in (b"many", b"d" * 200)
                       and ours[path]["mode"].startswith("0o4")}
            for path, entry in ours.items():
                if number == 2:  # GNU's older headers have whole seconds
                    theirs[path]["mtime"] -= theirs[path]["mtime"] % 1_000_000_000
                if path in implied:
                    entry.pop("mtime")
                    theirs[path].pop("mtime")
                self.assertEqual(entry, theirs[path], path)
            # And back.
            self.hull("save", "-o", self.work / "saved.tar", f"s/odd:{number}")
            with tarfile.open(self.work / "saved.tar") as saved:
                self.assertEqual(digest(saved.extractfile(f"blobs/sha256/{digest(tar)[7:]}").read()), digest(tar))

    def test_hard_links_to_lower_layers_are_as_umoci_makes_them(self):
        filesystems = pathlib.Path("/proc/filesystems").read_text()
        if "erofs" not in filesystems or "overlay" not in filesystems:
            self.skipTest("this kernel has no EROFS, or no overlay")
        link = {"type": tarfile.LNKTYPE}
        base = tar_of([
            ("d", {"type": tarfile.DIRTYPE, "mode": 0o711, "uid": 5, "mtime": 1_400_000_000}, b""),
            ("d/f", {"mode": 0o4750, "uid": 12, "gid": 34, "mtime": 1_500_000_000,
                     "pax_headers": {"SCHILY.xattr.user.note": "kept"}}, noise(300_000, 1)),
            ("d/other", {}, b"other"),
            ("d/l", {"type": tarfile.SYMTYPE, "linkname": "f", "mode": 0o777}, b""),
            ("replaced", {}, b"old"),
        ])
        between = tar_of([("replaced", {"mode": 0o600}, b"new")])
        top = tar_of([
            ("e", {"type": tarfile.DIRTYPE, "mode": 0o755}, b""),
            ("e/g", {**link, "linkname": "d/f"}, b""),
            ("e/h", {**link, "linkname": "e/g"}, b""),
            ("e/l", {**link, "linkname": "./d/l"}, b""),
            ("e/r", {**link, "linkname": "replaced"}, b""),
            ("e/own", {}, b"own"),
        ])
        layout = Layout(self.work / "layout")
        layout.add("s/links:1", [base, between, top])
        subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", f"oci:{layout.path}:s/links:1",
                        f"oci:{self.work}/umoci:links"], check=True)
        subprocess.run(["umoci", "--log=error", "unpack", "--image", f"{self.work}/umoci:links",
                        self.work / "bundle"], check=True, timeout=_DEADLINE)
        self.hull("pull", f"oci:{layout.path}:s/links:1")
        (record,) = (self.root / "images/images").iterdir()
        image = json.loads(record.read_text())
        lower = []
        for number, (diff_id, variant) in enumerate(zip(image["diff_ids"], image["variants"])):
            lower.insert(0, str(self.work / f"layer{number}"))
            os.mkdir(lower[0])
            file = f"sha256-{diff_id[7:]}{'-' if variant else ''}{variant}.erofs"
            subprocess.run(["mount", "-t", "erofs", "-o", "ro,loop", self.root / "images/layers" / file, lower[0]],
                           check=True)
            self.addCleanup(subprocess.run, ["umount", lower[0]], check=False)
        merged = self.work / "merged"
        merged.mkdir()
        subprocess.run(["mount", "-t", "overlay", "-o", f"ro,lowerdir={':'.join(lower)}", "overlay", merged], check=True)
        try:
            ours, theirs = describe(merged), describe(self.work / "bundle/rootfs")
            self.assertEqual(ours.keys(), theirs.keys())
            for path, entry in ours.items():
                self.assertEqual(entry, theirs[path], path)
            self.assertEqual(len(ours[b"e/g"]["same file as"]), 3)
        finally:
            subprocess.run(["umount", merged], check=True)
        self.hull("save", "-o", self.work / "saved.tar", "s/links:1")
        with tarfile.open(self.work / "saved.tar") as saved:
            self.assertEqual(digest(saved.extractfile(f"blobs/sha256/{digest(top)[7:]}").read()), digest(top))
        self.hull("rmi", "s/links:1")
        self.assertEqual(os.listdir(self.root / "images/layers"), [])

    def test_layers_come_together_as_umoci_unpacks_them(self):
        filesystems = pathlib.Path("/proc/filesystems").read_text()
        if "erofs" not in filesystems or "overlay" not in filesystems:
            self.skipTest("this kernel has no EROFS, or no overlay")
        directory, link = {"type": tarfile.DIRTYPE, "mode": 0o711}, {"type": tarfile.SYMTYPE, "mode": 0o644}
        base = [("d", {**directory, "uid": 3}, b""), ("d/one", {}, b"1"), ("d/two", {}, b"2"), ("d/sub", directory, b""),
                ("d/sub/deep", {}, b"3"), ("link", {**link, "linkname": "d"}, b""), ("top", {}, b"t")]
        hard = lambda target: {"type": tarfile.LNKTYPE, "linkname": target}
        layers = {
            "whiteouts of nothing": [("d/.wh.none", {}, b""), ("new", directory, b""), ("new/.wh.x", {}, b""), ("new/y", {}, b"")],
            "opaque and whiteouts": [("d", directory, b""), ("d/.wh..wh..opq", {}, b""), ("d/.wh.one", {}, b""), ("d/z", {}, b"")],
            "opaque without an entry": [("d/z", {}, b"z"), ("d/.wh..wh..opq", {}, b"")],
            "new with whiteouts in it": [(".wh.d", {}, b""), ("d", directory, b""), ("d/.wh.one", {}, b""), ("d/z", {}, b"")],
            "through a link": [("link/new", {}, b"n"), ("link/.wh.one", {}, b""), ("link/sub/.wh.deep", {}, b"")],
            "directory over a link": [("link", directory, b""), ("link/new", {}, b"n")],
            "hard link through a link": [("h", hard("link/one"), b"")],
            "whiteouts that are links": [(".wh.top", {}, b""), ("d/.wh.one", hard(".wh.top"), b"")],
            "file and directory change": [("d", {}, b"file"), ("top", directory, b""), ("top/x", {}, b"x")],
            "symbolic link over a directory": [("d", {**link, "linkname": "elsewhere"}, b"")],
        }
        layout = Layout(self.work / "layout")
        for number, (what, entries) in enumerate(layers.items()):
            with self.subTest(what):
                layout.add(f"x{number}", [tar_of(base), tar_of(entries)])
                bundle = self.work / f"bundle{number}"
                subprocess.run(["umoci", "--log=error", "unpack", "--image", f"{layout.path}:x{number}", bundle],
                               check=True, timeout=_DEADLINE)
                self.hull("pull", "--name", f"s/x:{number}", f"oci:{layout.path}:x{number}")
                image = json.loads(self.hull("image", "inspect", f"s/x:{number}").stdout)[0]
                merged = self.work / f"merged{number}"
                merged.mkdir()
                files = image["GraphDriver"]["Data"]["LayerFiles"].split(":")
                ours = self.describe_overlay(files, merged)
                theirs = describe(bundle / "rootfs")
                for seen in (ours, theirs):
                    for path, entry in seen.items():
                        # Inode numbers are each layer's own; umoci changes the time of a directory above others.
                        entry.pop("same file as", None)
                        if entry["mode"].startswith("0o4"):
                            entry.pop("mtime")
                self.assertEqual(ours, theirs)

    def describe_overlay(self, files: list, directory: pathlib.Path) -> dict:
        """As the agent mounts layers, with something writable above them."""
        mounts, loops, lower = [], [], []

        def mount(*words):
            subprocess.run(["mount", *words], check=True)
            mounts.append(words[-1])

        try:
            for number, file in enumerate(files):
                target = str(directory / f"layer{number}")
                os.mkdir(target)
                loops.append(subprocess.run(["losetup", "-r", "-f", "--show", file], check=True, capture_output=True,
                                            text=True).stdout.strip())
                mount("-t", "erofs", "-o", "ro", loops[-1], target)
                lower.insert(0, target)
            for name in ("writable", "merged"):
                (directory / name).mkdir()
            mount("-t", "tmpfs", "hull-test", str(directory / "writable"))
            for name in ("upper", "work"):
                (directory / "writable" / name).mkdir()
            mount("-t", "overlay", "-o", f"xino=off,lowerdir={':'.join(lower)},upperdir={directory}/writable/upper,"
                  f"workdir={directory}/writable/work", "overlay", str(directory / "merged"))
            return describe(directory / "merged")
        finally:
            for target in reversed(mounts):
                subprocess.run(["umount", target], check=True)
            for loop in loops:
                subprocess.run(["losetup", "-d", loop], check=True)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]], verbosity=2)
