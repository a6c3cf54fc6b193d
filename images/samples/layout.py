"""Layers and OCI layouts, written entry by entry: the same entries give the same bytes."""
import gzip
import hashlib
import io
import json
import os
import tarfile

# Of everything made here. 2023-06-10, when Debian 12 was released.
TIME = 1686355200
CREATED = "2023-06-10T00:00:00Z"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Layer:
    """Entries by path, without a leading slash. Directories above an entry are added when missing."""

    def __init__(self):
        self.entries = {}
        self.links = []  # hard links, after everything else: their targets must be there

    def add(self, info, content=None):
        self.entries[info.name] = (info, content)

    def entry(self, path, kind, mode, uid=0, gid=0):
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, uid, gid, TIME
        return info

    def directory(self, path, mode=0o755, uid=0, gid=0):
        self.add(self.entry(path, tarfile.DIRTYPE, mode, uid, gid))

    def file(self, path, content, mode=0o644, uid=0, gid=0, xattrs=None):
        info = self.entry(path, tarfile.REGTYPE, mode, uid, gid)
        data = content if isinstance(content, bytes) else content.encode()
        info.size = len(data)
        for name, value in (xattrs or {}).items():
            # tarfile writes headers as UTF-8; these bytes stand for themselves.
            info.pax_headers["SCHILY.xattr." + name] = value.decode("utf-8", "surrogateescape")
        self.add(info, data)

    def link(self, path, target):
        info = self.entry(path, tarfile.SYMTYPE, 0o777)
        info.linkname = target
        self.add(info)

    def hard_link(self, path, target):
        info = self.entry(path, tarfile.LNKTYPE, 0o755)
        info.linkname = target
        self.links.append(info)

    def special(self, path, kind, mode, device=(0, 0)):
        info = self.entry(path, kind, mode)
        info.devmajor, info.devminor = device
        self.add(info)

    def whiteout(self, path):
        folder, name = os.path.split(path)
        self.file(f"{folder}/.wh.{name}", "", 0o600)

    def opaque(self, path):
        self.directory(path)
        self.file(f"{path}/.wh..wh..opq", "", 0o600)

    def tar(self):
        for path in list(self.entries) + [info.name for info in self.links]:
            parent = os.path.dirname(path)
            while parent and parent not in self.entries:
                self.directory(parent)
                parent = os.path.dirname(parent)
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
            for path in sorted(self.entries):
                info, content = self.entries[path]
                archive.addfile(info, None if content is None else io.BytesIO(content))
            for info in sorted(self.links, key=lambda link: link.name):
                archive.addfile(info)
        return out.getvalue()


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    """An OCI layout in the directory `path`; `creator` is what its images say they were made by."""

    def __init__(self, path, creator):
        self.path = path
        self.creator = creator
        (path / "blobs/sha256").mkdir(parents=True)
        self.manifests = []

    def blob(self, data, media_type, **more):
        digest = digest_of(data)
        (self.path / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data), **more}

    def document(self, value, media_type, **more):
        return self.blob(json.dumps(value, sort_keys=True).encode(), media_type, **more)

    def image(self, layers, settings, architecture="amd64", below=()):
        """Adds an image's blobs; returns the descriptor of its manifest.

        `below`: layers whose blobs are in the layout already, as pairs of a descriptor and a diff id.
        """
        descriptors, diff_ids = [one for one, _ in below], [one for _, one in below]
        for layer in layers:
            tar = layer.tar()
            diff_ids.append(digest_of(tar))
            descriptors.append(self.blob(gzip.compress(tar, 6, mtime=0),
                                         "application/vnd.oci.image.layer.v1.tar+gzip"))
        config = {"created": CREATED, "architecture": architecture, "os": "linux", "config": settings,
                  "rootfs": {"type": "layers", "diff_ids": diff_ids},
                  "history": [{"created": CREATED, "created_by": self.creator} for _ in diff_ids]}
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": self.document(config, "application/vnd.oci.image.config.v1+json"),
                    "layers": descriptors}
        return self.document(manifest, manifest["mediaType"], platform={"os": "linux", "architecture": architecture})

    def name(self, descriptor, reference):
        self.manifests.append({**descriptor, "annotations": {"org.opencontainers.image.ref.name": reference}})

    def finish(self):
        (self.path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                 "manifests": self.manifests}
        (self.path / "index.json").write_text(json.dumps(index, sort_keys=True))
