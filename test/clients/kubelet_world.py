# SPDX-License-Identifier: Apache-2.0
"""A kubelet without an API server: its pods are files in a directory; it reports its state on its port."""

import gzip
import http.client
import json
import pathlib
import signal
import ssl
import subprocess

import ground
import world
from client import Client
from cri_world import CriWorld
from registry import BOX
from steps import Failed

CONFIGURATION = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "cgroupDriver": "cgroupfs",
    "enforceNodeAllocatable": [],
    "failSwapOn": False,
    "makeIPTablesUtilChains": False,
    "oomScoreAdj": 0,
    "address": "127.0.0.1",
    "healthzPort": 0,
    "fileCheckFrequency": "1s",
    "serializeImagePulls": False,
    "localStorageCapacityIsolation": False,
    "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1%"},
    # Small, so that logs are rotated during a check.
    "containerLogMaxSize": "1Mi",
    "containerLogMaxFiles": 30,
    "containerLogMonitorInterval": "3s",
}


class Kubelet(CriWorld):
    def __init__(self):
        super().__init__()
        ground.cover_settings()
        self.stream = Client(ground.PROGRAMS / "stream")
        self.directory = world.DIRECTORY / "kubelet"
        self.manifests = self.directory / "manifests"
        self.manifests.mkdir(parents=True)
        own = {
            "staticPodPath": str(self.manifests),
            "containerRuntimeEndpoint": f"unix://{self.containerd.socket}",
        }
        (self.directory / "config.json").write_text(json.dumps({**CONFIGURATION, **own}))
        self.log = self.directory / "log"
        self.up()
        # One pod of each class, because the class's cgroup stays.
        for name, resources in (
            ("first", {}),
            ("second", {"limits": {"memory": "32Mi"}}),
            ("third", {"requests": {"memory": "32Mi"}}),
        ):
            self.run_pod(name, {"command": ["sleep", "1000"], "resources": resources})
        self.check_shims()
        self.remove_pods()
        self.crictl.remove_all()
        self.remember("k8s.io")

    # --- itself

    def up(self):
        command = [ground.PROGRAMS / "kubelet", "--hostname-override", "node"]
        command += ["--config", self.directory / "config.json", "--root-dir", self.directory / "root"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        world.eventually(lambda: self.process.poll() is not None or self.ask("/pods") is not None, 60)
        if self.ask("/pods") is None:
            raise RuntimeError(f"the kubelet does not start:\n{self.log.read_text(errors='replace')[-3000:]}")

    def down(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait(world.TIMEOUT)

    def ask(self, path):
        """The answer's text, or nothing."""
        # Its certificate is self-signed.
        connection = http.client.HTTPSConnection("127.0.0.1", 10250, timeout=10, context=ssl._create_unverified_context())
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.read() if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    # --- pods

    def write_pod(self, name, *containers, **spec):
        """Writes or replaces the pod. Each container is as in a manifest, plus the common fields; a single one is "c"."""
        common = {
            "name": "c",
            "image": BOX,
            "imagePullPolicy": "IfNotPresent",
            "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
        }
        spec = {
            "terminationGracePeriodSeconds": 5,
            "volumes": [{"name": "shared", "hostPath": {"path": str(self.shared)}}],
            **spec,
        }
        spec["containers"] = [{**common, **container} for container in containers]
        if "initContainers" in spec:
            spec["initContainers"] = [{**common, **container} for container in spec["initContainers"]]
        new = self.directory / "new.json"
        new.write_text(
            json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec})
        )
        new.rename(self.manifests / f"{name}.json")

    def run_pod(self, name, *containers, limit=40, **spec):
        self.write_pod(name, *containers, **spec)
        self.until(lambda: self.is_ready(name), f"{name} is not ready", limit)

    def pods(self):
        return json.loads(self.ask("/pods") or '{"items": null}')["items"] or []

    def pod(self, name):
        for pod in self.pods():
            if pod["metadata"]["name"] == f"{name}-node":
                return pod
        return None

    def status(self, name, container="c"):
        """The kubelet's status of a container, or None."""
        status = (self.pod(name) or {}).get("status", {})
        for one in status.get("containerStatuses", []) + status.get("initContainerStatuses", []):
            if one["name"] == container:
                return one
        return {"state": {}, "lastState": {}, "restartCount": 0, "ready": False}

    def is_ready(self, name):
        conditions = (self.pod(name) or {}).get("status", {}).get("conditions", [])
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)

    def ended(self, name, container="c", limit=30):
        """The final status of a container that is not restarted."""
        return self.until(lambda: self.status(name, container)["state"].get("terminated"), f"{name} does not end", limit)

    def restarted(self, name, container="c", times=1, limit=30):
        """The final status of the previous run."""
        self.until(
            lambda: (
                self.status(name, container)["restartCount"] >= times and "running" in self.status(name, container)["state"]
            ),
            f"{name} is not started again",
            limit,
        )
        return self.status(name, container)["lastState"]["terminated"]

    def until(self, condition, text, limit=30):
        answer = world.eventually(condition, limit)
        if not answer:
            said = [(pod["metadata"]["name"], pod["status"]) for pod in self.pods()]
            raise Failed(f"{text}: {json.dumps(said)[:1500]}")
        return answer

    def logs(self, name, container="c"):
        """The text of all its log files, rotated ones first."""
        text = []
        for place in pathlib.Path("/var/log/pods").glob(f"default_{name}-node_*/{container}"):
            # RUN.log is the current one; RUN.log.TIME are older, and compressed but for the newest.
            for path in sorted(place.iterdir(), key=lambda path: (path.name.endswith(".log"), path.name)):
                data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
                text += [line.split(" ", 3)[3] for line in data.decode().splitlines()]
        return text

    def container_id(self, name, container="c"):
        return self.status(name, container)["containerID"].removeprefix("containerd://")

    def pid(self, name, container="c"):
        return self.crictl.json("inspect", self.container_id(name, container))["info"]["pid"]

    # --- afterwards

    def remove_pods(self, limit=40):
        for path in self.manifests.iterdir():
            path.unlink()
        self.until(
            lambda: self.ask("/pods") is not None and not json.loads(self.ask("/pods"))["items"], "there are pods", limit
        )
        self.until(lambda: not self.crictl.lines("ps", "-q"), "there are containers", limit)

    def expect_nothing_left(self):
        super().expect_nothing_left(self.process.pid)

    def clean(self):
        self.stream.kill_begun()
        if self.containerd.process.poll() is not None:
            self.containerd.up()
        if self.process.poll() is not None:
            self.up()
        self.remove_pods()
        # The kubelet removes stopped containers once a minute.
        self.crictl.remove_all()
        self.expect_nothing_left()
