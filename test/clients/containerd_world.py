# SPDX-License-Identifier: Apache-2.0
"""Shared by the worlds of all clients: a registry, a containerd, a directory that containers share, and the state before the
checks."""

import itertools
import os
import signal

import ground
import world
from registry import Registry
from steps import expect, expect_equal


class ContainerdWorld:
    """`kind` of containerd. The caller runs a container, calls check_shims, and removes the container; then remember."""

    def __init__(self, kind=ground.Containerd):
        ground.enter()
        self.registry = Registry(world.DIRECTORY)
        self.containerd = kind()
        self.shared = world.DIRECTORY / "shared"  # /shared in containers
        self.shared.mkdir()
        self.shared.chmod(0o777)  # for a client that is not root
        self.numbers = itertools.count()
        self.containerd.up()

    def name(self, word):
        return f"{word}{next(self.numbers)}"

    def check_shims(self):
        """There are shims, and each is the one under test."""
        found = {os.readlink(f"/proc/{pid}/exe") for pid in world.shims()}
        expect_equal({str(self.containerd.shim)}, found, "the shims that serve")

    def remember(self, namespace):
        """After the checks the state must be as it is now, with images, networks and cgroups that stay."""
        world.eventually(lambda: not world.shims())
        self.traces = ground.Traces(*self.containerd.places(namespace))

    def expect_nothing_left(self, *spared):
        left = self.traces.after({self.containerd.process.pid, *spared})
        expect(not left, "\n".join(left))

    # --- outages

    def restart_containerd(self, meanwhile=lambda: None, number=signal.SIGKILL):
        self.containerd.end(number)
        meanwhile()
        self.containerd.up()

    def kill_shims(self):
        for shim in world.shims():
            os.kill(shim, signal.SIGKILL)

    @staticmethod
    def until_told(name):
        """A shell script for a container with /shared."""
        return f"while [ ! -f /shared/{name} ]; do sleep 0.1; done; echo last words; exit 33"

    def tell(self, name, pid):
        """Ends the script that waits for it."""
        (self.shared / name).touch()
        expect(world.eventually(lambda: pid not in world.processes()), "it does not end")
