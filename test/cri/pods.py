# SPDX-License-Identifier: Apache-2.0
"""Pods through CRI, as the kubelet creates them: a containerd with its CRI plugin, a client, and functions for tests.

containerd and ctr are the first on PATH. runc creates the cgroups, or systemd if $THINSHIM_TEST_CGROUP_DRIVER is "systemd".
"""
import hashlib
import io
import json
import pathlib
import signal
import subprocess
import sys
import tarfile

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import world  # noqa: E402

subprocess.run(["protoc", "-I", pathlib.Path(__file__).parent, "--python_out", world.DIRECTORY, "cri.proto"], check=True)
sys.path.insert(0, str(world.DIRECTORY))
import cri_pb2 as api  # noqa: E402

PAUSE, BOX = "registry.local/pause:1", "registry.local/box:1"
Status = api.ContainerStatus


class Service:
    """A gRPC service: each method has its name, and the fields of its request as arguments."""

    def __init__(self, channel, name):
        service = api.DESCRIPTOR.services_by_name[name]
        for method in service.methods:
            setattr(self, method.name, self._call(channel, f"/{service.full_name}/{method.name}", method))

    @staticmethod
    def _call(channel, path, method):
        request = getattr(api, method.input_type.name)
        answer = getattr(api, method.output_type.name)
        call = channel.unary_unary(path, request_serializer=request.SerializeToString,
                                   response_deserializer=answer.FromString)
        return lambda **fields: call(request(**fields), timeout=world.TIMEOUT)


# --- images


def add(archive, name, data):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def make_archive(path, tree, commands):
    """An archive as `docker save` writes it: images with one common layer. `commands` has the command of each image."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(tree, "")
    manifest = []
    with tarfile.open(path, "w") as archive:
        add(archive, "layer.tar", layer.getvalue())
        for number, (name, command) in enumerate(commands.items()):
            difference = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
            add(archive, f"{number}.json", json.dumps(
                {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": command},
                 "rootfs": {"type": "layers", "diff_ids": [difference]}}).encode())
            manifest.append({"Config": f"{number}.json", "RepoTags": [name], "Layers": ["layer.tar"]})
        add(archive, "manifest.json", json.dumps(manifest).encode())


# --- containerd


class Containerd(world.Daemon):
    """`handlers` has the text of the configuration table of each runtime handler."""

    def __init__(self, name, handlers):
        super().__init__(name)
        plugin = '[plugins."io.containerd.grpc.v1.cri"'
        # Sandboxes request an OOM score that needs CAP_SYS_RESOURCE. CNI is not used, but containerd creates its directories
        # if they are missing.
        (self.directory / "config.toml").write_text(f"""version = 2
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
root = "{self.directory}/root"
state = "{self.directory}/state"
[grpc]
address = "{self.socket}"
{plugin}]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
{plugin}.cni]
conf_dir = "{self.directory}/cni"
bin_dir = "{self.directory}/cni"
""" + "".join(f"{plugin}.containerd.runtimes.{name}]\n{text}\n" for name, text in handlers.items()))

    def up(self):
        self.channel = grpc.insecure_channel(f"unix://{self.socket}")
        self.cri = Service(self.channel, "RuntimeService")
        self.images = Service(self.channel, "ImageService")
        self.start("containerd", "-c", self.directory / "config.toml", answers=self._answers)

    def down(self, number=signal.SIGTERM):
        self.channel.close()
        self.end(number)

    def import_images(self):
        world.make_busybox_tree(self.directory / "box")
        make_archive(self.directory / "images.tar", self.directory / "box",
                     {PAUSE: ["/bin/sleep", "1000000"], BOX: ["/bin/sleep", "1000000"]})
        subprocess.run(["ctr", "-a", self.socket, "-n", "k8s.io", "images", "import", self.directory / "images.tar"],
                       check=True, stdout=subprocess.DEVNULL, timeout=world.TIMEOUT)
        if not world.eventually(lambda: self._has(PAUSE) and self._has(BOX)):
            raise RuntimeError("CRI does not see the images")

    def version(self):
        words = subprocess.check_output(["containerd", "--version"], text=True).split()
        return tuple(int(number) for number in words[2].lstrip("v").split("~")[0].split("+")[0].split(".")[:2])

    def _has(self, name):
        return any(name in image.repo_tags for image in self.images.ListImages().images)

    def _answers(self):
        try:
            self.cri.Version()
            return True
        except grpc.RpcError:
            return False


class PodTest(world.TestCase):
    """Tests of a class share a containerd; after each nothing may be left of its pods."""
    handlers = {"runc": f"""runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = {str(world.SYSTEMD).lower()}"""}

    @classmethod
    def setUpClass(cls):
        cls.daemon = Containerd(cls.__name__, cls.handlers)
        cls.daemon.up()
        cls.daemon.import_images()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.down()
        if reports := cls.daemon.reports():
            raise AssertionError(reports)

    def setUp(self):
        super().setUp()
        self.shared = self.daemon.directory / "shared" / self.id()
        self.logs = self.daemon.directory / "logs" / self.id()
        self.shared.mkdir(parents=True)
        self.pods = {}
        state, root = (self.daemon.directory / name / "io.containerd.runtime.v2.task/k8s.io" for name in ("state", "root"))
        self.leftovers = world.Leftovers(state, root, pathlib.Path("/run/containerd/runc/k8s.io"))
        self.addCleanup(self._remove_all)

    def _remove_all(self):
        for pod in list(self.pods):
            self.remove_pod(pod)
        self.assertEqual([], self.leftovers.after({self.daemon.process.pid}), "left over")

    # --- verbs

    @property
    def cri(self):
        return self.daemon.cri

    def run_pod(self, handler="", pid=api.CONTAINER):
        config = api.PodSandboxConfig(
            metadata=api.PodSandboxMetadata(name=f"pod-{len(self.pods)}", uid=self.id(), namespace="test"),
            log_directory=str(self.logs), linux=api.LinuxPodSandboxConfig(
                cgroup_parent=world.NAME + ".slice" if world.SYSTEMD else "/" + world.NAME,
                security_context=api.LinuxSandboxSecurityContext(
                    namespace_options=api.NamespaceOption(network=api.NODE, pid=pid))))
        pod = self.cri.RunPodSandbox(config=config, runtime_handler=handler).pod_sandbox_id
        self.pods[pod] = config
        return pod

    def remove_pod(self, pod):
        del self.pods[pod]
        self.cri.StopPodSandbox(pod_sandbox_id=pod)
        self.cri.RemovePodSandbox(pod_sandbox_id=pod)

    def start(self, pod, name, script, pid=api.CONTAINER, resources=None, tty=False):
        """Starts a container that runs the script in a shell, with the test's directory as /shared; returns its id."""
        config = api.ContainerConfig(
            metadata=api.ContainerMetadata(name=name), image=api.ImageSpec(image=BOX), tty=tty,
            command=["/bin/sh", "-c", script], log_path=name + ".log",
            mounts=[api.Mount(container_path="/shared", host_path=str(self.shared))],
            linux=api.LinuxContainerConfig(resources=resources, security_context=api.LinuxContainerSecurityContext(
                namespace_options=api.NamespaceOption(network=api.NODE, pid=pid))))
        container = self.cri.CreateContainer(pod_sandbox_id=pod, config=config, sandbox_config=self.pods[pod]).container_id
        self.cri.StartContainer(container_id=container)
        return container

    def status(self, container):
        return self.cri.ContainerStatus(container_id=container).status

    def has_exited(self, container):
        """Waits for its exit; returns its status."""
        self.eventually(lambda: self.status(container).state == Status.EXITED, "still runs")
        return self.status(container)

    def pid(self, container):
        return json.loads(self.cri.ContainerStatus(container_id=container, verbose=True).info["info"])["pid"]

    def exec(self, container, script, timeout=world.TIMEOUT):
        return self.cri.ExecSync(container_id=container, cmd=["/bin/sh", "-c", script], timeout=timeout)

    def log(self, name):
        """The lines of a container's log without their times: (stream, tag, text)."""
        text = (self.logs / (name + ".log")).read_bytes().decode()
        return [tuple(line.split(" ", 3)[1:]) for line in text.split("\n")[:-1]]
