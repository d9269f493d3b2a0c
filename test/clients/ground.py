# SPDX-License-Identifier: Apache-2.0
"""Where the clients run: a containerd of the newest version with the shim under test first on its PATH, and namespaces of
their own for all that a client may touch. Inside in_own_namespaces, which has the processes and the mounts.
"""

import ctypes
import os
import pathlib
import subprocess

import registry
import world
from client import PATH

PROGRAMS = pathlib.Path(os.environ["CLIENTS_PROGRAMS"])  # the clients
CONTAINERD = pathlib.Path(os.environ["CLIENTS_CONTAINERD"])  # containerd, ctr, and the stock shim of that version
CNI = "/usr/lib/cni"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
TASKS = "io.containerd.runtime.v2.task"  # below containerd's state
PODS = (
    '{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": false, '
    '"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}, '
    '{"type": "portmap", "capabilities": {"portMappings": true}}]}'
)
NEW_CGROUP, NEW_UTS, NEW_IPC, NEW_NET = 0x02000000, 0x04000000, 0x08000000, 0x40000000


def enter():
    """Enters new cgroup, network and UTS namespaces, with a new /run and /var. Call it once, first."""
    _own_cgroups()
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_CGROUP | NEW_UTS | NEW_IPC | NEW_NET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    _mount_cgroups_anew()
    subprocess.run(["hostname", "node"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    for name in ("containerd", "lock", "netns"):
        pathlib.Path("/run", name).mkdir()
    overlay("/var")


def cover_settings():
    """Mounts files over the settings that a kubelet changes for the whole machine."""
    for name in (
        "vm/overcommit_memory",
        "vm/panic_on_oom",
        "kernel/panic",
        "kernel/panic_on_oops",
        "kernel/keys/root_maxkeys",
        "kernel/keys/root_maxbytes",
    ):
        ours = world.DIRECTORY / name.replace("/", ".")
        ours.write_text(pathlib.Path("/proc/sys", name).read_text())
        subprocess.run(["mount", "--bind", ours, f"/proc/sys/{name}"], check=True)


def hierarchies():
    """The cgroup mounts: (mount point, the options to mount it again)."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2":
            yield pathlib.Path(place), ["-t", "cgroup2"]
        elif kind == "cgroup":
            names = [word for word in options.split(",") if word not in ("rw", "ro", "relatime", "nosuid", "nodev", "noexec")]
            yield pathlib.Path(place), ["-t", "cgroup", "-o", ",".join(names)]


def _own_cgroups():
    """in_own_namespaces removes them at the end, by their name."""
    for place, options in hierarchies():
        ours = place / world.NAME
        ours.mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (place / name).exists() and "cgroup2" not in options:
                (ours / name).write_text((place / name).read_text())
        (ours / "cgroup.procs").write_text(str(os.getpid()))


def _mount_cgroups_anew():
    for place, options in list(hierarchies()):
        subprocess.run(["umount", place], check=True)
        subprocess.run(["mount", *options, "cgroup", place], check=True)


def overlay(place):
    """Mounts an overlay over the directory: changes are visible here only."""
    ours = {name: world.DIRECTORY / f"overlay{place.replace('/', '-')}" / name for name in ("upperdir", "workdir")}
    for path in ours.values():
        path.mkdir(parents=True)
    options = ",".join([f"lowerdir={place}", *(f"{name}={path}" for name, path in ours.items())])
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", place], check=True)


def configuration(place, state, socket):
    """containerd's, for one that keeps in `place` what outlives the machine."""
    return f"""version = 3
root = '{place}/root'
state = '{state}'
[grpc]
address = '{socket}'
[plugins.'io.containerd.internal.v1.opt']
path = '{place}/opt'
[plugins.'io.containerd.internal.v1.restart']
interval = '1s'
"""


class Containerd(world.Daemon):
    """With its CRI service, and a pair of devices for each pod."""

    shim = world.SHIM

    def __init__(self):
        super().__init__("containerd", f"{CONTAINERD}:{PATH}")
        registry.certificates(self.directory / "registries")
        images, runtime = ("[plugins.'io.containerd.cri.v1." + name for name in ("images'", "runtime'"))
        network = self.directory / "net.d"
        network.mkdir()
        (network / "10-pods.conflist").write_text(PODS)
        self.state = self.directory / "state"
        self.configuration = self.directory / "config.toml"
        self.configuration.write_text(f"""{configuration(self.directory, self.state, self.socket)}
{images}.pinned_images]
sandbox = '{registry.PAUSE}'
{images}.registry]
config_path = '{self.directory}/registries'
{runtime}]
restrict_oom_score_adj = true
{runtime}.cni]
conf_dir = '{network}'
bin_dirs = ['{CNI}']
""")

    def up(self):
        self.start(CONTAINERD / "containerd", "-c", self.configuration, answers=self._answers)

    def _answers(self):
        return (
            subprocess.run([CONTAINERD / "ctr", "-a", self.socket, "version"], capture_output=True, timeout=10).returncode == 0
        )

    def places(self, namespace):
        """Directories that have an entry for each container, or what is left of one."""
        return [self.state / TASKS / namespace]


class Traces(world.Leftovers):
    """With the control groups of all hierarchies."""

    def traces(self, spared=()):
        groups = {f"cgroup {place}" for place, _, _ in os.walk(CGROUPS)}
        return super().traces(spared) | groups
