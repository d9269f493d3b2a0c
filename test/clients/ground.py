# SPDX-License-Identifier: Apache-2.0
"""Where the clients run: a containerd of the newest version with the shim under test first on its PATH, a registry, and
namespaces of their own for all that a client may touch. Inside in_own_namespaces, which has the processes and the mounts.
"""

import ctypes
import os
import pathlib
import signal
import subprocess

import registry
import world
from steps import Failed, shorten

PROGRAMS = pathlib.Path(os.environ["CLIENTS_PROGRAMS"])  # the clients
CONTAINERD = pathlib.Path(os.environ["CLIENTS_CONTAINERD"])  # containerd, ctr, and the shim of the same version
CNI = "/usr/lib/cni"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
NEW_CGROUP, NEW_UTS, NEW_IPC, NEW_NET = 0x02000000, 0x04000000, 0x08000000, 0x40000000


def enter():
    """Own control groups, network, host name, and an own /run and /var. Once, first of all."""
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
    """Files over what a kubelet sets for the whole machine."""
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
    """The mounts of control groups: a place, and the options that mount it again."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2":
            yield pathlib.Path(place), ["-t", "cgroup2"]
        elif kind == "cgroup":
            names = [word for word in options.split(",") if word not in ("rw", "ro", "relatime", "nosuid", "nodev", "noexec")]
            yield pathlib.Path(place), ["-t", "cgroup", "-o", ",".join(names)]


def _own_cgroups():
    """in_own_namespaces removes them at the end, by their name."""
    for place, _ in hierarchies():
        ours = place / world.NAME
        ours.mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (place / name).exists() and "cgroup2" not in _:
                (ours / name).write_text((place / name).read_text())
        (ours / "cgroup.procs").write_text(str(os.getpid()))


def _mount_cgroups_anew():
    for place, options in list(hierarchies()):
        subprocess.run(["umount", place], check=True)
        subprocess.run(["mount", *options, "cgroup", place], check=True)


def overlay(place):
    """What is there, and what is written there is seen here only."""
    ours = {name: world.DIRECTORY / f"overlay{place.replace('/', '-')}" / name for name in ("upperdir", "workdir")}
    for path in ours.values():
        path.mkdir(parents=True)
    options = ",".join([f"lowerdir={place}", *(f"{name}={path}" for name, path in ours.items())])
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", place], check=True)


def run(*command, input=b"", limit=30, check=True, **options):
    """Runs a program whose end is part of what is checked: a Failed where it takes too long, or ends badly."""
    words = list(map(str, command))
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    if "stdin" not in options:
        options["input"] = input
    try:
        done = subprocess.run(words, timeout=limit, **options)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{spell(words)}: not over after {limit} s; it said {shorten(error.stdout)}") from None
    if check and done.returncode != 0:
        raise Failed(f"{spell(words)}: exit code {done.returncode}: {shorten(done.stderr or done.stdout, 600)}")
    return done


def spell(words):
    """Of a program that is run as another user, only the program."""
    words = words[words.index("--") + 1 :] if words[0] == "setpriv" else words
    return shorten(" ".join([pathlib.Path(words[0]).name, *words[1:]]))


class Containerd(world.Daemon):
    """`more` is text for its configuration."""

    def __init__(self, more=""):
        super().__init__("containerd", f"{CONTAINERD}:/usr/sbin:/usr/bin:/sbin:/bin")
        registry.certificates(self.directory / "registries")
        images, runtime = ("[plugins.'io.containerd.cri.v1." + name for name in ("images'", "runtime'"))
        self.network = self.directory / "net.d"
        self.network.mkdir()
        (self.directory / "config.toml").write_text(f"""version = 3
root = '{self.directory}/root'
state = '{self.directory}/state'
[grpc]
address = '{self.socket}'
[plugins.'io.containerd.internal.v1.opt']
path = '{self.directory}/opt'
[plugins.'io.containerd.internal.v1.restart']
interval = '1s'
{images}.pinned_images]
sandbox = '{registry.PAUSE}'
{images}.registry]
config_path = '{self.directory}/registries'
{runtime}]
restrict_oom_score_adj = true
{runtime}.cni]
conf_dir = '{self.network}'
bin_dirs = ['{CNI}']
{more}""")

    def up(self):
        self.start(CONTAINERD / "containerd", "-c", self.directory / "config.toml", answers=self._answers)

    def down(self, number=signal.SIGTERM):
        self.end(number)

    def write_pod_network(self):
        """For CRI: a pair of devices for each pod."""
        (self.network / "10-pods.conflist").write_text(
            '{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": false, '
            '"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}, '
            '{"type": "portmap", "capabilities": {"portMappings": true}}]}'
        )

    def _answers(self):
        return (
            subprocess.run([CONTAINERD / "ctr", "-a", self.socket, "version"], capture_output=True, timeout=10).returncode == 0
        )


class Traces(world.Leftovers):
    """With the control groups of all hierarchies."""

    def traces(self, spared=()):
        groups = {f"cgroup {place}" for place, _, _ in os.walk(CGROUPS)}
        return super().traces(spared) | groups


def check_shims(wanted=world.SHIM):
    """Fails where another than the shim under test serves."""
    for pid in world.shims():
        found = pathlib.Path(os.readlink(f"/proc/{pid}/exe"))
        if found != wanted:
            raise Failed(f"the shim that serves is {found}")
