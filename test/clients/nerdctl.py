# SPDX-License-Identifier: Apache-2.0
"""nerdctl as root: in everyday use, with memory limits, and when containerd or a shim is killed."""

import os
import signal

import nerdctl_streams  # noqa: F401 its checks come first, then those of the next
import nerdctl_everyday  # noqa: F401
import steps
import world
from nerdctl_world import Nerdctl
from registry import BOX
from steps import expect, expect_equal, step
from talk import expect_growth


def only_shim():
    shims = world.shims()
    expect_equal(1, len(shims), "shims")
    return shims.pop()


@step("--memory: an OOM kill is told")
def _(w):
    expect_equal(137, w.nerdctl("run", "--name", "eater", "--memory", "16m", BOX, "tail", "/dev/zero", check=False).returncode)


@step("--runtime by the shim's second name")
def _(w):
    (w.containerd.programs / "containerd-shim-runc-v2-thin").symlink_to(world.SHIM)
    missing = w.nerdctl("run", "--rm", "--runtime", "io.containerd.runc.v2-missing", BOX, "true", check=False)
    expect(missing.returncode != 0, "any name will do")
    name = w.start("sleep", "1000", options=("--runtime", "io.containerd.runc.v2-thin"))
    w.check_shims()
    expect_equal(b"hello\n", w.nerdctl("exec", name, "echo", "hello").stdout)


@step("stats and update")
def _(w):
    name = w.start("sleep", "1000", options=("--memory", "64m"))
    expect(any("64MiB" in line for line in w.nerdctl.lines("stats", "--no-stream", name)), "no limit of 64 MiB")
    w.nerdctl("update", "--memory", "48m", name)
    expect(any("48MiB" in line for line in w.nerdctl.lines("stats", "--no-stream", name)), "no limit of 48 MiB")


# --- outages of containerd


@step("containerd is killed and comes back: the container runs on, exec, stop")
def _(w):
    name = w.start("sh", "-c", "trap 'exit 4' TERM; while :; do echo tick; sleep 0.1; done")
    pid, shim = w.pid(name), only_shim()
    w.restart_containerd()
    expect_equal((pid, shim), (w.pid(name), only_shim()))
    expect_equal(b"hello\n", w.nerdctl("exec", name, "echo", "hello").stdout)
    w.nerdctl("stop", name)
    expect_equal(4, w.state(name)["ExitCode"])


@step("containerd is killed and comes back: the log goes on")
def _(w):
    name = w.start("sh", "-c", "while :; do echo tick; sleep 0.1; done")
    # nerdctl's logger stops reading when its Wait fails, with any shim. Before its Wait, it treats the outage as a late
    # start.
    expect(world.eventually(lambda: len(w.nerdctl.lines("logs", name)) > 30, 20), "it says nothing")
    w.restart_containerd()
    expect_growth(lambda: w.nerdctl.lines("logs", name))


@step("containerd is restarted in peace")
def _(w):
    name = w.start("sleep", "1000")
    pid = w.pid(name)
    w.restart_containerd(number=signal.SIGTERM)
    expect_equal(("running", pid), (w.state(name)["Status"], w.pid(name)))


@step("a container ends while containerd is away: its exit code is known", times=3, promised=True)
def _(w):
    file = w.name("away")
    name = w.start("sh", "-c", w.until_told(file), options=("-v", f"{w.shared}:/shared"))
    pid = w.pid(name)
    w.restart_containerd(lambda: w.tell(file, pid))
    w.until_state(name, "exited")
    expect_equal(33, w.state(name)["ExitCode"])


@step("--restart always, ended while containerd is away: it comes back")
def _(w):
    name = w.start("sleep", "1000", options=("--restart", "always"))
    before = w.pid(name)

    def meanwhile():
        os.kill(before, signal.SIGKILL)
        expect(world.eventually(lambda: before not in world.processes()), "it does not end")

    w.restart_containerd(meanwhile)
    w.until_restarted(name, before)


@step("a client waits while containerd is killed: it ends")
def _(w):
    process = w.nerdctl.begin("run", "--rm", "--name", "held", BOX, "sleep", "1000")
    expect(world.eventually(lambda: world.shims(), 20), "nothing runs")
    w.until_state("held", "running")
    w.restart_containerd()
    process.wait(30)


# --- crashes of the shim


@step("the shim is killed: the container is over, rm and a new one of the same name")
def _(w):
    name = w.start("sleep", "4242")
    os.kill(only_shim(), signal.SIGKILL)
    w.expect_over(name)
    w.nerdctl("run", "-d", "--name", name, BOX, "sleep", "1000")
    w.until_state(name, "running")


@step("the shim is killed: start again")
def _(w):
    name = w.start("sleep", "1000")
    os.kill(only_shim(), signal.SIGKILL)
    # While containerd cleans up, the task still exists.
    expect(world.eventually(lambda: w.nerdctl("start", name, check=False).returncode == 0, 15), "it does not start")
    w.until_state(name, "running")


@step("the shim is killed under a client in the foreground: it ends with an error")
def _(w):
    process = w.nerdctl.begin("run", "--name", "fallen", BOX, "sleep", "1000")
    expect(world.eventually(lambda: world.shims(), 20), "nothing runs")
    w.until_state("fallen", "running")
    os.kill(only_shim(), signal.SIGKILL)
    expect(process.wait(20) != 0, "it says success")


@step("--restart always, the shim is killed: it comes back")
def _(w):
    name = w.start("sleep", "1000", options=("--restart", "always"))
    before = w.pid(name)
    os.kill(only_shim(), signal.SIGKILL)
    w.until_restarted(name, before)
    expect(before not in world.processes(), "the old process runs beside the new one")


@step("the shim and containerd are killed together: the container is over, rm -f")
def _(w):
    name = w.start("sleep", "4242")
    shim = only_shim()
    w.restart_containerd(lambda: os.kill(shim, signal.SIGKILL))
    w.expect_over(name)


if __name__ == "__main__":
    steps.main(Nerdctl)
