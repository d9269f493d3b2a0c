# SPDX-License-Identifier: Apache-2.0
"""The kubelet with static pods: in everyday use, and when the kubelet, containerd or a shim is killed."""

import os
import signal
import time

import kubelet_everyday  # noqa: F401 its checks come first
import steps
import world
from kubelet_everyday import FOREVER, alive_until_told, exec_probe, fail_probe, shell
from kubelet_world import Kubelet
from steps import Failed, expect_equal, step
from talk import expect_growth


def run_until_told(w, word):
    """A pod that exits on request; returns its name and its process."""
    name = w.name(word)
    w.run_pod(name, {"command": shell(w.until_told(name))}, restartPolicy="Never")
    return name, w.pid(name)


def sleepers():
    """The processes of pods of run_sleepers."""
    return {pid for pid, words in world.processes().items() if words[0] == "sleep" and words[-1].startswith("424")}


def run_sleepers(w, word, count):
    name = w.name(word)
    w.run_pod(name, *({"name": f"c{number}", "command": ["sleep", f"424{number}"]} for number in range(count)))
    expect_equal(count, len(sleepers()), "processes")
    return name


def expect_others(w, old, limit=60):
    """As many as the old ones, and none of the old ones."""
    w.until(lambda: len(sleepers() - old) == len(old), "the pod does not come back", limit)
    # Nothing is killed later than this.
    if not world.eventually(lambda: not old & sleepers(), 5):
        raise Failed(f"{len(old & sleepers())} of {len(old)} old processes run beside the new ones")


@step("the kubelet is killed and comes back: the same containers, probes go on")
def _(w):
    name = w.name("restart")
    w.run_pod(name, alive_until_told(name))
    pid = w.pid(name)
    w.down()
    time.sleep(1)
    w.up()
    w.until(lambda: w.is_ready(name), "it is not ready")
    expect_equal((pid, 0), (w.pid(name), w.status(name)["restartCount"]))
    fail_probe(w, name)


@step("a container ends while the kubelet is away: its exit code is known")
def _(w):
    name, pid = run_until_told(w, "unseen")
    w.down()
    w.tell(name, pid)
    w.up()
    expect_equal(33, w.ended(name)["exitCode"])


@step("containerd is killed and comes back: the same containers, exec, logs go on")
def _(w):
    name = w.name("outage")
    w.run_pod(
        name,
        {
            "command": shell("while :; do echo tick; sleep 0.1; done"),
            "livenessProbe": exec_probe("true", failureThreshold=20),
        },
    )
    pid, shims = w.pid(name), world.shims()
    w.restart_containerd()
    w.until(lambda: w.is_ready(name), "it is not ready")
    expect_equal((pid, shims, 0), (w.pid(name), world.shims(), w.status(name)["restartCount"]))
    expect_equal(b"hello\n", w.stream("exec", f"{name}-node", "c", "echo", "hello").stdout)
    expect_growth(lambda: w.logs(name), 30)


@step("a container ends while containerd is away: its exit code is known", times=3, promised=True)
def _(w):
    name, pid = run_until_told(w, "away")
    w.restart_containerd(lambda: w.tell(name, pid))
    ended = w.ended(name)
    expect_equal((33, "Error"), (ended["exitCode"], ended["reason"]))
    expect_equal(["last words"], w.logs(name))


@step("the shim is killed: the pod comes back, and no old container runs beside it", times=3, promised=True, limit=90)
def _(w):
    name = run_sleepers(w, "shim", 3)
    old = sleepers()
    w.kill_shims()
    expect_others(w, old, 30)
    w.until(lambda: w.is_ready(name), "it is not ready")


@step("pause is killed: the pod comes back, and nothing old runs beside it", limit=90)
def _(w):
    run_sleepers(w, "pause", 2)
    old = sleepers()
    pod = w.crictl.lines("pods", "-q", "--state", "ready")[0]
    os.kill(w.crictl.json("inspectp", pod)["info"]["pid"], signal.SIGKILL)
    expect_others(w, old)


@step("kubelet, containerd and the shim are killed together: the pod comes back, and nothing old runs beside it", limit=120)
def _(w):
    run_sleepers(w, "all", 2)
    old = sleepers()
    w.down()
    w.restart_containerd(w.kill_shims)
    w.up()
    expect_others(w, old)


@step("kubelet and containerd are killed together: the same containers")
def _(w):
    name = w.name("both")
    w.run_pod(name, {"command": FOREVER})
    pid = w.pid(name)
    w.down()
    w.restart_containerd()
    w.up()
    w.until(lambda: w.is_ready(name), "it is not ready")
    expect_equal((pid, 0), (w.pid(name), w.status(name)["restartCount"]))


@step("removal leaves nothing, by the kubelet alone", limit=150)
def _(w):
    for name in [w.name("gone") for _ in range(3)]:
        w.run_pod(name, *({"name": f"c{number}", "command": FOREVER} for number in range(2)))
    w.remove_pods()
    w.until(lambda: not w.crictl.lines("pods", "-q"), "there are sandboxes", 100)
    w.expect_nothing_left()


if __name__ == "__main__":
    steps.main(Kubelet)
