# SPDX-License-Identifier: Apache-2.0
"""nerdctl on a containerd of our own, as root."""

import ground
import world
from client import Client
from containerd_world import ContainerdWorld
from registry import BOX
from steps import Failed, expect
from talk import expect_gone


def write_settings(place, first=""):
    """nerdctl's own, for one that keeps all it has in `place`; their file."""
    path = place / "nerdctl.toml"
    path.write_text(f"""{first}data_root = "{place}/nerdctl"
cni_path = "{ground.CNI}"
cni_netconfpath = "{place}/net.d"
""")
    return str(path)


class Nerdctl(ContainerdWorld):
    def __init__(self, kind=ground.Containerd):
        super().__init__(kind)
        self.nerdctl = self.make_client()
        self.nerdctl("pull", "-q", BOX, limit=60)
        self.nerdctl("run", "-d", "--name", "first", BOX, "sleep", "1000", limit=60)
        self.check_shims()
        self.nerdctl("rm", "-f", "first")
        self.remember("default")

    def make_client(self):
        settings = write_settings(world.DIRECTORY, f'address = "{self.containerd.socket}"\ncgroup_manager = "cgroupfs"\n')
        return Client(ground.PROGRAMS / "nerdctl", NERDCTL_TOML=settings)

    def start(self, *words, options=()):
        """A container in the background; its name."""
        name = self.name("c")
        self.nerdctl("run", "-d", "--name", name, *options, BOX, *words)
        return name

    def state(self, name):
        return self.nerdctl.json("inspect", name)[0]["State"]

    def pid(self, name):
        return self.state(name)["Pid"]

    def until_state(self, name, status, limit=20):
        if not world.eventually(lambda: self.state(name)["Status"] == status, limit):
            raise Failed(f"it is not {status}: {self.state(name)}")

    def until_restarted(self, name, before):
        """With another process than before."""

        def is_new():
            state = self.state(name)
            return state["Status"] == "running" and state["Pid"] not in (0, before)

        expect(world.eventually(is_new, 30), "it does not come back")

    def expect_over(self, name):
        """One that was `sleep 4242`, and whose shim died."""
        expect_gone("sleep", "4242")
        expect(world.eventually(lambda: self.state(name)["Status"] != "running", 15), "it is said to run")
        self.nerdctl("rm", "-f", name)

    def clean(self):
        """No container, and no trace of one."""
        self.nerdctl.kill_begun()
        if names := self.nerdctl.lines("ps", "-aq"):
            self.nerdctl("rm", "-f", "-v", *names)
        self.expect_nothing_left()
