# SPDX-License-Identifier: Apache-2.0
"""containerd with its CRI service, a network for pods, and crictl."""

import json

import ground
import world
from client import Client
from containerd_world import ContainerdWorld
from registry import BOX
from steps import Failed

# As with the kubelet, each container has a pid namespace of its own.
PRIVATE = {"security_context": {"namespace_options": {"pid": 1}}}


class Crictl(Client):
    def __init__(self, socket):
        settings = world.DIRECTORY / "crictl.yaml"
        settings.write_text("")
        super().__init__(
            ground.PROGRAMS / "crictl",
            *("-c", settings, "-t", "20s"),
            CONTAINER_RUNTIME_ENDPOINT=f"unix://{socket}",
            TMPDIR=str(world.DIRECTORY),
        )

    def until_it_answers(self):
        if not world.eventually(lambda: self("info", check=False).returncode == 0):
            raise Failed(f"CRI does not answer: {self('info')}")

    def remove_all(self):
        """Repeats it, because cleanup after a dead shim may refuse it for a while; a kubelet removes pods too."""

        def is_gone():
            pods = self.lines("pods", "-q")
            if pods:
                self("rmp", "-f", *pods, check=False)
            return not pods

        if not world.eventually(is_gone, 20):
            raise Failed(f"there are pods: {self.lines('pods')}")


class CriWorld(ContainerdWorld):
    """For crictl and for a kubelet."""

    def __init__(self):
        super().__init__()
        self.crictl = Crictl(self.containerd.socket)
        self.crictl.until_it_answers()
        self.crictl("pull", BOX)

    def restart_containerd(self, meanwhile=lambda: None):
        super().restart_containerd(meanwhile)
        self.crictl.until_it_answers()


class Cri(CriWorld):
    """Pods and containers by crictl."""

    def __init__(self):
        super().__init__()
        for place, _ in ground.hierarchies():
            (place / "pods").mkdir()  # a pod's parent, which containerd does not remove
        pod = self.run_pod()
        self.check_shims()
        self.crictl("stopp", pod)
        self.crictl("rmp", pod)
        self.mount = {"host_path": str(self.shared), "container_path": "/shared"}
        self.remember("k8s.io")

    def write(self, value):
        """Writes a configuration; returns the file's name."""
        path = world.DIRECTORY / self.name("config")
        path.write_text(json.dumps(value))
        return path

    def pod_config(self, **more):
        name = self.name("pod")
        return {
            "metadata": {"name": name, "namespace": "default", "uid": name, "attempt": 0},
            "log_directory": str(world.DIRECTORY / "logs" / name),
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
        return self.crictl.line("runp", self.write(self.pod))

    def create(self, pod, name, *command, **more):
        configuration = self.write(self.container_config(name, *command, **more))
        return self.crictl.line("create", "--no-pull", pod, configuration, self.write(self.pod))

    def start(self, pod, name, *command, **more):
        container = self.create(pod, name, *command, **more)
        self.crictl("start", container)
        return container

    def status(self, container):
        return self.crictl.json("inspect", container)["status"]

    def pid(self, container):
        return self.crictl.json("inspect", container)["info"]["pid"]

    def until_exited(self, container, limit=20):
        if not world.eventually(lambda: self.status(container)["state"] == "CONTAINER_EXITED", limit):
            raise Failed(f"it has not exited: {self.status(container)['state']}")
        return self.status(container)

    def clean(self):
        self.crictl.kill_begun()
        self.crictl.remove_all()
        self.expect_nothing_left()
