# SPDX-License-Identifier: Apache-2.0
"""nerdctl, rootless: what users do every day, and when the shim dies under it."""

import os
import signal

import nerdctl_streams  # noqa: F401 its checks come first, then those of the next
import nerdctl_everyday  # noqa: F401
import steps
import world
from rootless_world import Rootless
from steps import expect, step


@step("the shim is killed: the container is over, rm -f")
def _(w):
    name = w.start("sleep", "4242")
    for shim in world.shims():
        os.kill(shim, signal.SIGKILL)
    expect(world.eventually(lambda: ["sleep", "4242"] not in world.processes().values(), 15), "the process runs on")
    expect(world.eventually(lambda: w.state(name)["Status"] != "running", 15), "it is said to run")
    w.nerdctl("rm", "-f", name)


if __name__ == "__main__":
    steps.main(Rootless)
