# SPDX-License-Identifier: Apache-2.0
"""Debian's docker-registry on loopback, and busybox images that are pushed to it, BOX and PAUSE first."""

import hashlib
import io
import json
import pathlib
import subprocess
import tarfile
import urllib.error
import urllib.request

import world

PORT = 5000
HOST = f"localhost:{PORT}"
BOX = f"{HOST}/box:1"
PAUSE = f"{HOST}/pause:1"
WEB_SERVER = ("httpd", "-f", "-p", "80", "-h", "/www")  # of the box, whose page is PAGE
PAGE = "It works!\n"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"

# Programs that busybox lacks. A web server named nginx, with nginx's pid file and version text.
SCRIPTS = {
    "nginx": """#!/bin/sh
trap 'kill $!; exit 0' TERM QUIT
mkdir -p /var/run
echo $$ >/var/run/nginx.pid
echo httpd
httpd -f -p ${PORT-80} -h /www &
wait
""",
    "pgrep": """#!/bin/sh
ps -o pid,comm | grep -w "$1"
""",
    "ipcs": """#!/bin/sh
cat /proc/sysvipc/shm
""",
}


class Registry:
    def __init__(self, directory):
        self.directory = directory / "registry"
        self.directory.mkdir()
        (self.directory / "config.yml").write_text(
            f"{{version: 0.1, log: {{level: error}}, storage: {{filesystem: {{rootdirectory: {self.directory}/data}}}}, "
            f"http: {{addr: 127.0.0.1:{PORT}}}}}\n"
        )
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", self.directory / "config.yml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if not world.eventually(self._answers):
            raise RuntimeError("docker-registry does not answer:\n" + (self.directory / "log").read_text())
        tree = self.directory / "box"
        world.make_busybox_tree(tree)
        for name in ("var", "www", "home"):
            (tree / name).mkdir()
        (tree / "tmp").chmod(0o1777)
        (tree / "www/index.html").write_text(PAGE)
        for name, text in SCRIPTS.items():
            (tree / "bin" / name).unlink(missing_ok=True)
            (tree / "bin" / name).write_text(text)
            (tree / "bin" / name).chmod(0o755)
        self.box = archive_of(tree)
        for name in ("box", "pause"):
            self.push_box(name, "1", command=("tail", "-f", "/dev/null"))

    def push_box(self, name, tag, command=("/bin/sh",), files=(), **config):
        """An image of the busybox, and of a layer of `files` (name, data, and mode where it is not 755) above; `config` as in
        the image's configuration."""
        layers = [self.box] + ([archive_of_files(files)] if files else [])
        described = [self._push_blob(name, LAYER, layer) for layer in layers]
        text = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Env": ["PATH=/bin"], "Cmd": list(command), **config},
                "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in described]},
            }
        )
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": self._push_blob(name, CONFIG, text.encode()),
                "layers": described,
            }
        )
        self._ask("PUT", f"/v2/{name}/manifests/{tag}", manifest.encode(), {"Content-Type": MANIFEST})

    def _push_blob(self, name, kind, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        try:
            self._ask("HEAD", f"/v2/{name}/blobs/{digest}")
        except urllib.error.HTTPError:
            place = self._ask("POST", f"/v2/{name}/blobs/uploads/", b"").headers["Location"]
            self._ask("PUT", f"{place}&digest={digest}", data, {"Content-Type": "application/octet-stream"})
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    @staticmethod
    def _ask(method, place, data=None, headers={}):
        url = place if place.startswith("http") else f"http://{HOST}{place}"
        return urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=world.TIMEOUT)

    def _answers(self):
        try:
            self._ask("GET", "/v2/")
            return True
        except OSError:
            return False


def archive_of(tree):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.add(tree, "")
    return data.getvalue()


def archive_of_files(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content, *mode in files:
            content = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode[0] if mode else 0o755
            archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def certificates(directory):
    """A directory of hosts files that make containerd use this registry for every name."""
    place = pathlib.Path(directory) / "_default"
    place.mkdir(parents=True)
    (place / "hosts.toml").write_text(f'[host."http://{HOST}"]\ncapabilities = ["pull", "resolve"]\n')
    return directory
