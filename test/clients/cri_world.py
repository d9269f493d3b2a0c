# SPDX-License-Identifier: Apache-2.0
"""containerd with its CRI service and a network for pods, and crictl to speak to it."""

import itertools
import json
import subprocess

import ground
import world
from ground import PROGRAMS, run
from registry import BOX, Registry
from steps import Failed, expect
from terminal import Terminal

# As the kubelet has it: processes of a container see only each other.
PRIVATE = {"security_context": {"namespace_options": {"pid": 1}}}


class Crictl:
    def __init__(self, socket):
        self.settings = world.DIRECTORY / "crictl.yaml"
        self.settings.write_text("")
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "CONTAINER_RUNTIME_ENDPOINT": f"unix://{socket}",
            "TMPDIR": str(world.DIRECTORY),
        }

    def command(self, *words):
        return [PROGRAMS / "crictl", "-c", self.settings, "-t", "20s", *words]

    def run(self, *words, **options):
        return run(*self.command(*words), env=self.environment, **options)

    def lines(self, *words, **options):
        return self.run(*words, **options).stdout.decode().splitlines()

    def json(self, *words):
        return json.loads(self.run(*words).stdout)

    def until_it_answers(self):
        if not world.eventually(lambda: self.run("info", check=False).returncode == 0):
            raise Failed(f"CRI does not answer: {self.run('info')}")

    def remove_all(self):
        """Again and again: what is under way for a pod whose shim died refuses it for a while, and a kubelet removes too."""

        def is_gone():
            pods = self.lines("pods", "-q")
            if pods:
                self.run("rmp", "-f", *pods, check=False)
            return not pods

        if not world.eventually(is_gone, 20):
            raise Failed(f"there are pods: {self.lines('pods')}")


class Cri(Crictl):
    def __init__(self):
        ground.enter()
        self.registry = Registry(world.DIRECTORY)
        for name in ("box", "pause"):
            self.registry.push_box(name, "1", command=("tail", "-f", "/dev/null"))
        self.containerd = ground.Containerd()
        self.containerd.write_pod_network()
        self.containerd.up()
        super().__init__(self.containerd.socket)
        self.logs = world.DIRECTORY / "logs"
        self.numbers = itertools.count()
        self.begun = []
        self.until_it_answers()
        self.crictl("pull", BOX)
        for place, _ in ground.hierarchies():
            (place / "pods").mkdir()  # a pod's parent, which is not containerd's to remove
        pod = self.run_pod()
        ground.check_shims()
        expect(world.shims(), "no shim serves")
        self.remove_pods(pod)
        self.traces = ground.Traces(self.containerd.directory / "state/io.containerd.runtime.v2.task/k8s.io")
        world.eventually(lambda: not world.shims())

    def crictl(self, *words, **options):
        return self.run(*words, **options)

    def line(self, *words, **options):
        return self.run(*words, **options).stdout.decode().strip()

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

    def write(self, value):
        """A file with a configuration; its name."""
        path = world.DIRECTORY / f"config-{next(self.numbers)}.json"
        path.write_text(json.dumps(value))
        return path

    def pod_config(self, **more):
        number = next(self.numbers)
        return {
            "metadata": {"name": f"pod{number}", "namespace": "default", "uid": f"u{number}", "attempt": 0},
            "log_directory": str(self.logs / f"pod{number}"),
            "linux": PRIVATE,
            **more,
        }

    def container_config(self, name, *command, **more):
        return {
            "metadata": {"name": name},
            "image": {"image": BOX},
            "command": list(command),
            "log_path": f"{name}.log",
            **more,
            "linux": {**PRIVATE, **more.get("linux", {})},
        }

    def run_pod(self, **more):
        self.pod = self.pod_config(**more)
        return self.line("runp", self.write(self.pod))

    def create(self, pod, name, *command, **more):
        return self.line(
            "create", "--no-pull", pod, self.write(self.container_config(name, *command, **more)), self.write(self.pod)
        )

    def start(self, pod, name, *command, **more):
        container = self.create(pod, name, *command, **more)
        self.crictl("start", container)
        return container

    def status(self, container):
        return self.json("inspect", container)["status"]

    def until_exited(self, container, limit=20):
        if not world.eventually(lambda: self.status(container)["state"] == "CONTAINER_EXITED", limit):
            raise Failed(f"it has not exited: {self.status(container)['state']}")
        return self.status(container)

    def remove_pods(self, *pods):
        self.crictl("stopp", *pods)
        self.crictl("rmp", *pods)

    def clean(self):
        for process in self.begun:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()
        self.begun = []
        self.remove_all()
        if left := self.traces.after({self.containerd.process.pid}):
            raise Failed("\n".join(left))
