# SPDX-License-Identifier: Apache-2.0
"""nerdctl of a user who is not root: rootlesskit makes the namespaces, slirp4netns the network, containerd runs in them."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess

import ground
import world
from nerdctl_world import Nerdctl

USER = 54321  # nobody else
NAME = "somebody"
AS_USER = f"setpriv --reuid {USER} --regid {USER} --init-groups --inh-caps=-all --".split()
ROOTLESSKIT = (
    "--net=slirp4netns --mtu=65520 --slirp4netns-sandbox=auto --slirp4netns-seccomp=auto --disable-host-loopback "
    "--port-driver=builtin --copy-up=/etc --copy-up=/run --copy-up=/var/lib --propagation=rslave --detach-netns"
).split()

# What is run in the namespaces that rootlesskit makes: its copies of /run and /var/lib have links to what root has there.
CHILD = """#!/bin/sh
rm -f /run/containerd /run/runc /run/netns /run/xtables.lock /run/lock /var/lib/cni
mkdir -p /run/containerd /run/lock
exec "$@"
"""


class RootlessContainerd(world.Daemon):
    """As nerdctl's own containerd-rootless.sh has it."""

    def __init__(self, home, programs):
        super().__init__("containerd", f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin")
        self.home = home
        # What the user cannot reach from here may be anywhere else on the machine.
        (self.programs / "containerd-shim-runc-v2").unlink()
        shutil.copy(world.SHIM, self.programs / "containerd-shim-runc-v2")
        self.runtime = home / "run"  # XDG_RUNTIME_DIR
        self.state = self.runtime / "containerd-rootless"
        self.runtime.mkdir(mode=0o700)
        child = home / "child"
        child.write_text(CHILD)
        child.chmod(0o755)
        self.socket = "/run/containerd/containerd.sock"  # in there, where nerdctl expects it
        (home / "config.toml").write_text(f"""version = 3
root = '{home}/containerd'
state = '{self.runtime}/containerd'
[grpc]
address = '{self.socket}'
[plugins.'io.containerd.internal.v1.opt']
path = '{home}/opt'
[plugins.'io.containerd.internal.v1.restart']
interval = '1s'
""")
        self.environment.update(XDG_RUNTIME_DIR=str(self.runtime), HOME=str(home), USER=NAME)

    def up(self):
        self.start(
            *AS_USER,
            "rootlesskit",
            f"--state-dir={self.state}",
            *ROOTLESSKIT,
            self.home / "child",
            "containerd",
            "-c",
            self.home / "config.toml",
        )

    def _listens(self):
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            return client.connect_ex(f"{self.root()}{self.socket}") == 0

    def root(self):
        """Their root directory, seen from here."""
        return pathlib.Path("/proc", (self.state / "child_pid").read_text().strip(), "root")


class Rootless(Nerdctl):
    def make_containerd(self):
        home = world.DIRECTORY / "home"
        home.mkdir()
        self.programs = world.DIRECTORY / "programs"
        self.programs.mkdir()
        for path in (
            ground.CONTAINERD / "containerd",
            *(ground.PROGRAMS / name for name in ("nerdctl", "rootlesskit", "rootlessctl")),
        ):
            shutil.copy(path, self.programs)
        containerd = RootlessContainerd(home, self.programs)
        # In /etc as it is seen here only.
        with open("/etc/passwd", "a") as passwd, open("/etc/group", "a") as group:
            passwd.write(f"{NAME}:x:{USER}:{USER}::{home}:/bin/sh\n")
            group.write(f"{NAME}:x:{USER}:\n")
        for name in ("subuid", "subgid"):
            pathlib.Path("/etc", name).write_text(f"{NAME}:100000:65536\n")
        # slirp4netns opens it as the user.
        tun = world.DIRECTORY / "tun"
        os.mknod(tun, 0o20666, os.makedev(10, 200))
        tun.chmod(0o666)
        subprocess.run(["mount", "--bind", tun, "/dev/net/tun"], check=True)
        subprocess.run(["chown", "-R", f"{USER}:{USER}", home], check=True)
        return containerd

    def make_settings(self):
        place = self.containerd.home / "nerdctl.toml"
        place.write_text(f"""data_root = "{self.containerd.home}/nerdctl"
cni_path = "{ground.CNI}"
cni_netconfpath = "{self.containerd.home}/net.d"
""")
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.containerd.home),
            "USER": NAME,
            "NERDCTL_TOML": str(place),
            "XDG_RUNTIME_DIR": str(self.containerd.runtime),
        }

    def command(self, *words):
        return [*AS_USER, self.programs / "nerdctl", *words]

    def check_shims(self):
        ground.check_shims(self.containerd.programs / "containerd-shim-runc-v2")

    def make_traces(self):
        return ground.Traces(
            self.containerd.root() / "run/containerd/s",
            self.containerd.runtime / "containerd/io.containerd.runtime.v2.task/default",
        )
