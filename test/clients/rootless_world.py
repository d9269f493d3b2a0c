# SPDX-License-Identifier: Apache-2.0
"""nerdctl as a user other than root: rootlesskit creates the namespaces, slirp4netns the network, containerd runs in them."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess

import ground
import world
from client import PATH, Client
from nerdctl_world import Nerdctl, write_settings

USER = 54321  # unused
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

    def __init__(self):
        super().__init__("containerd", PATH)
        self._copy_programs()
        self.home = world.DIRECTORY / "home"
        self.runtime = self.home / "run"  # XDG_RUNTIME_DIR
        self.kit = self.runtime / "containerd-rootless"  # of rootlesskit
        self.state = self.runtime / "containerd"
        self.home.mkdir()
        self.runtime.mkdir(mode=0o700)
        child = self.home / "child"
        child.write_text(CHILD)
        child.chmod(0o755)
        self.socket = "/run/containerd/containerd.sock"  # in there, where nerdctl expects it
        self.configuration = self.home / "config.toml"
        self.configuration.write_text(ground.configuration(self.home, self.state, self.socket))
        subprocess.run(["chown", "-R", f"{USER}:{USER}", self.home], check=True)
        self.user = {"XDG_RUNTIME_DIR": str(self.runtime), "HOME": str(self.home), "USER": NAME}
        self.environment.update(self.user)
        self._make_user()

    def _copy_programs(self):
        """What the user cannot reach from here may be anywhere else on the machine."""
        self.shim = self.programs / "containerd-shim-runc-v2"
        self.shim.unlink()
        shutil.copy(world.SHIM, self.shim)
        shutil.copy(ground.CONTAINERD / "containerd", self.programs)
        for name in ("nerdctl", "rootlesskit", "rootlessctl"):
            shutil.copy(ground.PROGRAMS / name, self.programs)

    def _make_user(self):
        """In /etc as it is seen here only."""
        with open("/etc/passwd", "a") as passwd, open("/etc/group", "a") as group:
            passwd.write(f"{NAME}:x:{USER}:{USER}::{self.home}:/bin/sh\n")
            group.write(f"{NAME}:x:{USER}:\n")
        for name in ("subuid", "subgid"):
            pathlib.Path("/etc", name).write_text(f"{NAME}:100000:65536\n")
        # slirp4netns opens it as the user.
        tun = world.DIRECTORY / "tun"
        os.mknod(tun, 0o20666, os.makedev(10, 200))
        tun.chmod(0o666)
        subprocess.run(["mount", "--bind", tun, "/dev/net/tun"], check=True)

    def up(self):
        kit = ("rootlesskit", f"--state-dir={self.kit}", *ROOTLESSKIT)
        self.start(*AS_USER, *kit, self.home / "child", "containerd", "-c", self.configuration)

    def _listens(self):
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            return client.connect_ex(f"{self.root()}{self.socket}") == 0

    def root(self):
        """Their root directory, seen from here."""
        return pathlib.Path("/proc", (self.kit / "child_pid").read_text().strip(), "root")

    def places(self, namespace):
        return [self.root() / "run/containerd/s", self.state / ground.TASKS / namespace]


class Rootless(Nerdctl):
    def __init__(self):
        super().__init__(RootlessContainerd)

    def make_client(self):
        settings = write_settings(self.containerd.home)
        nerdctl = self.containerd.programs / "nerdctl"
        return Client(nerdctl, before=AS_USER, NERDCTL_TOML=settings, **self.containerd.user)
