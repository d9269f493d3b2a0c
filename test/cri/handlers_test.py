#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""The ways to make CRI use thinshim, as the README lists them: which program serves, and which options reach it."""
import os
import pathlib
import shutil

from pods import PodTest, world

PLACES = {name: world.DIRECTORY / name / "containerd-shim-runc-v2" for name in ("by_path", "by_runtime_path")}
ROOT = world.DIRECTORY / "runc-root"  # where the runtime keeps its state: an option of each handler


def handler(name, text):
    return text + f'\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}.options]\nRoot = "{ROOT}/{name}"'


class Handlers(PodTest):
    """Each handler has a binary of its own, which identifies its processes."""
    handlers = {name: handler(name, text) for name, text in {
        "runc": 'runtime_type = "io.containerd.runc.v2"',
        "by_name": 'runtime_type = "io.containerd.runc.v2-thin"',
        "by_path": f'runtime_type = "{PLACES["by_path"]}"',
        "by_runtime_path": f'runtime_type = "io.containerd.runc.v2"\nruntime_path = "{PLACES["by_runtime_path"]}"',
    }.items()}

    @classmethod
    def setUpClass(cls):
        for place in PLACES.values():
            place.parent.mkdir()
            shutil.copy(world.SHIM, place)
        super().setUpClass()
        shutil.copy(world.SHIM, cls.daemon.programs / "containerd-shim-runc-v2-thin")

    def serves(self, name, program, options_reach):
        pod = self.run_pod(name)
        container = self.start(pod, "web", "exec sleep 1000")
        self.assertEqual(b"hello\n", self.exec(container, "echo hello").stdout)
        served_by = {os.readlink(f"/proc/{shim}/exe") for shim in world.shims()}
        self.assertEqual({str(program)}, served_by)
        state = ROOT / name if options_reach else pathlib.Path("/run/containerd/runc")
        self.assertTrue((state / "k8s.io" / container).is_dir())

    def test_in_place_of_the_stock_shim(self):
        self.serves("runc", world.SHIM, True)

    def test_by_name(self):
        self.serves("by_name", self.daemon.programs / "containerd-shim-runc-v2-thin", self.daemon.version() >= (1, 7))

    def test_by_path(self):
        self.serves("by_path", PLACES["by_path"], self.daemon.version() >= (1, 7))

    def test_by_runtime_path(self):
        # containerd 1.6 ignores runtime_path and uses the shim on PATH.
        known = self.daemon.version() >= (1, 7)
        self.serves("by_runtime_path", PLACES["by_runtime_path"] if known else world.SHIM, True)


if __name__ == "__main__":
    world.main()
