# SPDX-License-Identifier: Apache-2.0
"""nerdctl, rootless: what users do every day, and when the shim dies under it."""

import nerdctl_streams  # noqa: F401 its checks come first, then those of the next
import nerdctl_everyday  # noqa: F401
import steps
from rootless_world import Rootless
from steps import step


@step("the shim is killed: the container is over, rm -f")
def _(w):
    name = w.start("sleep", "4242")
    w.kill_shims()
    w.expect_over(name)


if __name__ == "__main__":
    steps.main(Rootless)
