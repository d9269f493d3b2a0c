# SPDX-License-Identifier: Apache-2.0
"""The kubelet with static pods: every day, and when the kubelet, containerd or a shim dies."""

import os
import signal
import time

import kubelet_everyday  # noqa: F401 its checks come first
import steps
import world
from kubelet_everyday import FOREVER, exec_probe, shell
from kubelet_world import Kubelet
from steps import Failed, expect, expect_equal, step


@step("the kubelet is killed and comes back: the same containers, probes go on")
def _(w):
    name = w.name("restart")
    w.run_pod(
        name,
        {
            "name": "c",
            "command": FOREVER,
            "livenessProbe": exec_probe("test", "!", "-f", f"/shared/{name}", failureThreshold=1),
        },
    )
    pid = w.pid(name)
    w.down()
    time.sleep(1)
    w.up()
    w.until(lambda: w.is_ready(name), "it is not ready")
    expect_equal((pid, 0), (w.pid(name), w.status(name)["restartCount"]))
    (w.shared / name).touch()
    w.until(lambda: w.status(name)["restartCount"] >= 1, "it is not started again")
    (w.shared / name).unlink()


@step("a container ends while the kubelet is away: its exit code is known")
def _(w):
    name = w.name("unseen")
    w.run_pod(
        name,
        {"name": "c", "command": shell(f"while [ ! -f /shared/{name} ]; do sleep 0.1; done; exit 33")},
        restartPolicy="Never",
    )
    pid = w.pid(name)
    w.down()
    (w.shared / name).touch()
    expect(world.eventually(lambda: pid not in world.processes(), 10), "it does not end")
    w.up()
    expect_equal(33, w.ended(name)["exitCode"])


def containerd_again(w, meanwhile=lambda: None):
    w.containerd.down(signal.SIGKILL)
    meanwhile()
    w.containerd.up()
    w.crictl.until_it_answers()


@step("containerd is killed and comes back: the same containers, exec, logs go on")
def _(w):
    name = w.name("outage")
    w.run_pod(
        name,
        {
            "name": "c",
            "command": shell("while :; do echo tick; sleep 0.1; done"),
            "livenessProbe": exec_probe("true", failureThreshold=20),
        },
    )
    pid, shims = w.pid(name), world.shims()
    containerd_again(w)
    w.until(lambda: w.is_ready(name), "it is not ready")
    expect_equal((pid, shims, 0), (w.pid(name), world.shims(), w.status(name)["restartCount"]))
    expect_equal(b"hello\n", w.stream("exec", f"{name}-node", "c", "echo", "hello").stdout)
    count = len(w.logs(name))
    w.until(lambda: len(w.logs(name)) > count, "its log stands still")


@step("a container ends while containerd is away: its exit code is known", times=3, promised=True)
def _(w):
    name = w.name("away")
    w.run_pod(
        name,
        {"name": "c", "command": shell(f"while [ ! -f /shared/{name} ]; do sleep 0.1; done; echo last words; exit 33")},
        restartPolicy="Never",
    )
    pid = w.pid(name)

    def meanwhile():
        (w.shared / name).touch()
        expect(world.eventually(lambda: pid not in world.processes(), 10), "it does not end")

    containerd_again(w, meanwhile)
    ended = w.ended(name)
    expect_equal((33, "Error"), (ended["exitCode"], ended["reason"]))
    expect_equal(["last words"], w.logs(name))


def processes_of(*seconds):
    return {
        pid
        for pid, words in world.processes().items()
        if words[:1] == ["sleep"] and words[1:] in [[str(number)] for number in seconds]
    }


@step("the shim is killed: the pod comes back, and no old container runs beside it", times=3, promised=True, limit=90)
def _(w):
    name = w.name("shim")
    w.run_pod(name, *({"name": f"c{number}", "command": ["sleep", f"424{number}"]} for number in range(3)))
    old = processes_of(4240, 4241, 4242)
    expect_equal(3, len(old), "processes")
    for shim in world.shims():
        os.kill(shim, signal.SIGKILL)
    w.until(lambda: len(processes_of(4240, 4241, 4242) - old) == 3, "the pod does not come back")
    # It has had all that time; what lives now lives on.
    if not world.eventually(lambda: not old & processes_of(4240, 4241, 4242), 5):
        raise Failed(f"{len(old & processes_of(4240, 4241, 4242))} of 3 old processes run beside the new ones")
    w.until(lambda: w.is_ready(name), "it is not ready")


@step("pause is killed: the pod comes back, and nothing old runs beside it", limit=90)
def _(w):
    name = w.name("pause")
    w.run_pod(name, *({"name": f"c{number}", "command": ["sleep", f"424{number}"]} for number in range(2)))
    old = processes_of(4240, 4241)
    pod = w.crictl.lines("pods", "-q", "--state", "ready")[0]
    os.kill(w.crictl.json("inspectp", pod)["info"]["pid"], signal.SIGKILL)
    w.until(lambda: len(processes_of(4240, 4241) - old) == 2, "the pod does not come back", 60)
    expect(world.eventually(lambda: not old & processes_of(4240, 4241), 5), "old processes run beside the new ones")


@step("kubelet, containerd and the shim are killed together: the pod comes back, and nothing old runs beside it", limit=120)
def _(w):
    name = w.name("all")
    w.run_pod(name, *({"name": f"c{number}", "command": ["sleep", f"424{number}"]} for number in range(2)))
    old = processes_of(4240, 4241)
    w.down()
    containerd_again(w, lambda: [os.kill(shim, signal.SIGKILL) for shim in world.shims()])
    w.up()
    w.until(lambda: len(processes_of(4240, 4241) - old) == 2, "the pod does not come back", 60)
    expect(world.eventually(lambda: not old & processes_of(4240, 4241), 5), "old processes run beside the new ones")


@step("kubelet and containerd are killed together: the same containers")
def _(w):
    name = w.name("both")
    w.run_pod(name, {"name": "c", "command": FOREVER})
    pid = w.pid(name)
    w.down()
    containerd_again(w)
    w.up()
    w.until(lambda: w.is_ready(name), "it is not ready")
    expect_equal((pid, 0), (w.pid(name), w.status(name)["restartCount"]))


@step("removal leaves nothing, by the kubelet alone", limit=150)
def _(w):
    for name in [w.name("gone") for _ in range(3)]:
        w.run_pod(name, *({"name": f"c{number}", "command": FOREVER} for number in range(2)))
    w.remove_pods()
    w.until(lambda: not w.crictl.lines("pods", "-q"), "there are sandboxes", 100)
    if left := w.traces.after({w.containerd.process.pid, w.process.pid}):
        raise Failed("\n".join(left))


if __name__ == "__main__":
    steps.main(Kubelet)
