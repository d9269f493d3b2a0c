# SPDX-License-Identifier: Apache-2.0
"""What the worlds of all clients have: a registry, a containerd of their own, a folder that containers see too, and what there
was before the checks."""

import itertools
import os
import signal

import ground
import world
from registry import Registry
from steps import expect, expect_equal


class ContainerdWorld:
    """`kind` of containerd. Who makes it tries it, with check_shims meanwhile, and removes that; then comes remember."""

    def __init__(self, kind=ground.Containerd):
        ground.enter()
        self.registry = Registry(world.DIRECTORY)
        self.containerd = kind()
        self.shared = world.DIRECTORY / "shared"  # for a container that has it: /shared there
        self.shared.mkdir()
        self.shared.chmod(0o777)  # for a client that is not root
        self.numbers = itertools.count()
        self.containerd.up()

    def name(self, word):
        return f"{word}{next(self.numbers)}"

    def check_shims(self):
        """There are some, and each is the shim under test."""
        found = {os.readlink(f"/proc/{pid}/exe") for pid in world.shims()}
        expect_equal({str(self.containerd.shim)}, found, "the shims that serve")

    def remember(self, namespace):
        """From here on all must be as it is now: images are there, networks, control groups that stay."""
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
        """A shell's text for a container that has /shared."""
        return f"while [ ! -f /shared/{name} ]; do sleep 0.1; done; echo last words; exit 33"

    def tell(self, name, pid):
        """Ends what waits for it."""
        (self.shared / name).touch()
        expect(world.eventually(lambda: pid not in world.processes()), "it does not end")
