# SPDX-License-Identifier: Apache-2.0
"""crictl in everyday use, and when containerd or a shim is killed."""

import os
import signal

import crictl_everyday  # noqa: F401 its checks come first
import steps
import world
from cri_world import Cri
from steps import expect, expect_equal, step
from talk import expect_gone, expect_growth


def until_not_ready(w, pod):
    expect(
        world.eventually(lambda: w.crictl.json("inspectp", pod)["status"]["state"] == "SANDBOX_NOTREADY", 20),
        "the pod is said to be ready",
    )


@step("containerd is killed and comes back: pods, exec, logs, stop")
def _(w):
    pod = w.run_pod()
    container = w.start(pod, "c", "sh", "-c", "trap 'exit 4' TERM; while :; do echo tick; sleep 0.1; done")
    shims = world.shims()
    w.restart_containerd()
    expect(
        world.eventually(lambda: w.crictl("ps", "-q", check=False).stdout.decode().split() == [container], 20),
        "it is not found again",
    )
    expect_equal(shims, world.shims())
    expect_equal("hello", w.crictl.line("exec", "-s", container, "echo", "hello"))
    expect_growth(lambda: w.crictl.lines("logs", container))
    w.crictl("stop", "--timeout", "10", container)
    expect_equal(4, w.status(container)["exitCode"])


@step("a container ends while containerd is away: its exit code is known", times=5, promised=True)
def _(w):
    name = w.name("away")
    container = w.start(w.run_pod(), "c", "sh", "-c", w.until_told(name), mounts=[w.mount])
    pid = w.pid(container)
    w.restart_containerd(lambda: w.tell(name, pid))
    expect_equal(33, w.until_exited(container)["exitCode"])
    expect(world.eventually(lambda: w.crictl.lines("logs", container) == ["last words"], 5), "its last words are lost")


@step("the shim is killed: no container of the pod lives on, the pod is not ready", times=3, promised=True)
def _(w):
    pod = w.run_pod()
    for number in range(3):
        w.start(pod, f"c{number}", "sleep", "4242")
    w.kill_shims()
    until_not_ready(w, pod)
    expect_gone("sleep", "4242")


@step("shim and containerd are killed together: no container lives on, the pod can be removed")
def _(w):
    pod = w.run_pod()
    container = w.start(pod, "c", "sleep", "4242")
    w.restart_containerd(w.kill_shims)
    expect_gone("sleep", "4242")
    w.until_exited(container)
    w.crictl("rmp", "-f", pod)


@step("pause is killed: the pod is not ready, and can be removed")
def _(w):
    pod = w.run_pod()
    w.start(pod, "c", "sleep", "1000")
    os.kill(w.crictl.json("inspectp", pod)["info"]["pid"], signal.SIGKILL)
    until_not_ready(w, pod)
    w.crictl("rmp", "-f", pod)


if __name__ == "__main__":
    steps.main(Cri)
