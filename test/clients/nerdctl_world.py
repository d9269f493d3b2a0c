# SPDX-License-Identifier: Apache-2.0
"""nerdctl on a containerd of our own, as root."""
import itertools
import json
import os
import subprocess

import ground
import world
from ground import PROGRAMS, run
from registry import BOX, Registry
from steps import Failed, expect
from terminal import Terminal


class Nerdctl:
    """A world for checks: `nerdctl` runs it to its end, `begin` and `terminal` leave it running."""

    def __init__(self):
        ground.enter()
        self.registry = Registry(world.DIRECTORY)
        self.containerd = ground.Containerd()
        self.containerd.up()
        self.push_images()
        settings = world.DIRECTORY / "nerdctl.toml"
        settings.write_text(f"""address = "{self.containerd.socket}"
data_root = "{world.DIRECTORY}/nerdctl"
cgroup_manager = "cgroupfs"
cni_path = "{ground.CNI}"
cni_netconfpath = "{world.DIRECTORY}/net.d"
""")
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "NERDCTL_TOML": str(settings)}
        self.begin_checks()

    def push_images(self):
        self.registry.push_box("box", "1")

    def begin_checks(self):
        """The image is there, the network is made, the right shim has run: from here on all must be as it is now."""
        self.numbers = itertools.count()
        self.begun = []
        self.nerdctl("pull", "-q", BOX, limit=60)
        self.nerdctl("run", "-d", "--name", "first", BOX, "sleep", "1000", limit=60)
        ground.check_shims()
        expect(world.shims(), "no shim serves")
        self.nerdctl("rm", "-f", "first")
        self.traces = ground.Traces(self.containerd.directory / "state/io.containerd.runtime.v2.task/default")
        world.eventually(lambda: not world.shims())

    def command(self, *words):
        return [PROGRAMS / "nerdctl", *words]

    def nerdctl(self, *words, **options):
        return run(*self.command(*words), env=self.environment, **options)

    def lines(self, *words, **options):
        return self.nerdctl(*words, **options).stdout.decode().splitlines()

    def begin(self, *words, **options):
        process = subprocess.Popen(list(map(str, self.command(*words))), env=self.environment, stdin=options.pop("stdin", subprocess.PIPE),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        self.begun.append(process)
        return process

    def terminal(self, *words):
        return Terminal(*self.command(*words), env=self.environment)

    def start(self, *words, options=()):
        """A container in the background; its name."""
        name = f"c{os.getpid()}-{next(self.numbers)}"
        self.nerdctl("run", "-d", "--name", name, *options, BOX, *words)
        return name

    def inspect(self, name):
        return json.loads(self.nerdctl("inspect", name).stdout)[0]

    def state(self, name):
        return self.inspect(name)["State"]

    def pid(self, name):
        return self.state(name)["Pid"]

    def until_state(self, name, status, limit=20):
        if not world.eventually(lambda: self.state(name)["Status"] == status, limit):
            raise Failed(f"it is not {status}: {self.state(name)}")

    def clean(self):
        """No container, and no trace of one."""
        for process in self.begun:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()
        self.begun = []
        if names := self.lines("ps", "-aq"):
            self.nerdctl("rm", "-f", "-v", *names)
        if left := self.traces.after(self.spared()):
            raise Failed("\n".join(left))

    def spared(self):
        return {self.containerd.process.pid}
