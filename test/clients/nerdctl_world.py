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
        self.containerd = self.make_containerd()
        self.containerd.up()
        self.registry.push_box("box", "1")
        self.scratch = world.DIRECTORY / "scratch"  # where whoever runs nerdctl may write
        self.scratch.mkdir()
        self.scratch.chmod(0o777)
        self.environment = self.make_settings()
        self.numbers = itertools.count()
        self.begun = []
        self.nerdctl("pull", "-q", BOX, limit=60)
        self.nerdctl("run", "-d", "--name", "first", BOX, "sleep", "1000", limit=60)
        self.check_shims()
        expect(world.shims(), "no shim serves")
        self.nerdctl("rm", "-f", "first")
        world.eventually(lambda: not world.shims())
        self.traces = self.make_traces()  # the image is there, and the network: from here on all must be as it is now

    def make_containerd(self):
        return ground.Containerd()

    def make_settings(self):
        """nerdctl's environment."""
        place = world.DIRECTORY / "nerdctl.toml"
        place.write_text(f"""address = "{self.containerd.socket}"
data_root = "{world.DIRECTORY}/nerdctl"
cgroup_manager = "cgroupfs"
cni_path = "{ground.CNI}"
cni_netconfpath = "{world.DIRECTORY}/net.d"
""")
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "NERDCTL_TOML": str(place)}

    def check_shims(self):
        ground.check_shims()

    def make_traces(self):
        return ground.Traces(self.containerd.directory / "state/io.containerd.runtime.v2.task/default")

    def command(self, *words):
        return [PROGRAMS / "nerdctl", *words]

    def nerdctl(self, *words, **options):
        return run(*self.command(*words), env=self.environment, **options)

    def lines(self, *words, **options):
        return self.nerdctl(*words, **options).stdout.decode().splitlines()

    def begin(self, *words, **options):
        process = subprocess.Popen(
            list(map(str, self.command(*words))),
            env=self.environment,
            stdin=options.pop("stdin", subprocess.PIPE),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )
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
        if left := self.traces.after({self.containerd.process.pid}):
            raise Failed("\n".join(left))
