# SPDX-License-Identifier: Apache-2.0
"""crictl every day, and when containerd or the shim dies under it."""

import json
import os
import signal

import crictl_everyday  # noqa: F401 its checks come first
import steps
import world
from cri_world import Cri
from steps import expect, expect_equal, step


@step("containerd is killed and comes back: pods, exec, logs, stop")
def _(w):
    pod = w.run_pod()
    container = w.start(pod, "c", "sh", "-c", "trap 'exit 4' TERM; while :; do echo tick; sleep 0.1; done")
    shims = world.shims()
    w.containerd.down(signal.SIGKILL)
    w.containerd.up()
    expect(
        world.eventually(lambda: w.crictl("ps", "-q", check=False).stdout.decode().split() == [container], 20),
        "it is not found again",
    )
    expect_equal(shims, world.shims())
    expect_equal("hello", w.line("exec", "-s", container, "echo", "hello"))
    count = len(w.lines("logs", container))
    expect(world.eventually(lambda: len(w.lines("logs", container)) > count, 10), "its log stands still")
    w.crictl("stop", "--timeout", "10", container)
    expect_equal(4, w.status(container)["exitCode"])


@step("a container ends while containerd is away: its exit code is known", times=5, promised=True)
def _(w):
    place = world.DIRECTORY / "signals"
    place.mkdir(exist_ok=True)
    (place / "end").unlink(missing_ok=True)
    container = w.start(
        w.run_pod(),
        "c",
        "sh",
        "-c",
        "while [ ! -f /signals/end ]; do sleep 0.1; done; echo last words; exit 33",
        mounts=[{"host_path": str(place), "container_path": "/signals"}],
    )
    pid = w.json("inspect", container)["info"]["pid"]
    w.containerd.down(signal.SIGKILL)
    (place / "end").touch()
    expect(world.eventually(lambda: pid not in world.processes()), "it does not end")
    w.containerd.up()
    world.eventually(lambda: w.crictl("info", check=False).returncode == 0)
    expect_equal(33, w.until_exited(container)["exitCode"])
    expect(world.eventually(lambda: w.lines("logs", container) == ["last words"], 5), "its last words are lost")


@step("the shim is killed: no container of the pod lives on, the pod is not ready", times=3, promised=True)
def _(w):
    pod = w.run_pod()
    for number in range(3):
        w.start(pod, f"c{number}", "sleep", "4242")
    for shim in world.shims():
        os.kill(shim, signal.SIGKILL)
    expect(
        world.eventually(lambda: w.json("inspectp", pod)["status"]["state"] == "SANDBOX_NOTREADY", 20),
        "the pod is said to be ready",
    )

    def alive():
        return sum(words == ["sleep", "4242"] for words in world.processes().values())

    expect(world.eventually(lambda: not alive(), 15), f"{alive()} of 3 processes live on without a shim")


@step("shim and containerd are killed together: no container lives on, the pod can be removed")
def _(w):
    pod = w.run_pod()
    container = w.start(pod, "c", "sleep", "4242")
    w.containerd.down(signal.SIGKILL)
    for shim in world.shims():
        os.kill(shim, signal.SIGKILL)
    w.containerd.up()
    world.eventually(lambda: w.crictl("info", check=False).returncode == 0)
    expect(world.eventually(lambda: ["sleep", "4242"] not in world.processes().values(), 15), "the process runs on")
    w.until_exited(container)
    w.crictl("rmp", "-f", pod)


@step("pause is killed: the pod is not ready, and can be removed")
def _(w):
    pod = w.run_pod()
    w.start(pod, "c", "sleep", "1000")
    os.kill(json.loads(w.line("inspectp", pod))["info"]["pid"], signal.SIGKILL)
    expect(
        world.eventually(lambda: w.json("inspectp", pod)["status"]["state"] == "SANDBOX_NOTREADY", 20),
        "the pod is said to be ready",
    )
    w.crictl("rmp", "-f", pod)


if __name__ == "__main__":
    steps.main(Cri)
