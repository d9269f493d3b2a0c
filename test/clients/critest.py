# SPDX-License-Identifier: Apache-2.0
"""critest: the validation suite for container runtimes, each of its specs a check. Its images are built here under the names
that it pulls; containerd pulls all names from the registry on loopback."""

import os
import pathlib
import subprocess
import xml.etree.ElementTree as tree

import steps
import world
from cri_world import Cri
from ground import PROGRAMS

LIMIT = 20 * 60  # seconds


def push_images(registry):
    server = {"command": ("/bin/nginx", "master process")}
    registry.push_box("e2e-test-images/busybox", "1.29-2")
    registry.push_box("e2e-test-images/nginx", "1.14-2", **server)
    registry.push_box("e2e-test-images/httpd", "2.4.39-4", **server)
    registry.push_box("pause", "3.9", files=[("pause", "")])  # unique: the suite counts its names
    ours = "k8s-staging-cri-tools/"
    registry.push_box(ours + "hostnet-nginx-amd64", "latest", Env=["PATH=/bin", "PORT=12003"], **server)
    registry.push_box(
        "e2e-test-images/nonewprivs",
        "1.3",
        command=("/nonewprivs",),
        files=[("nonewprivs", (PROGRAMS / "nonewprivs").read_bytes(), 0o4755)],
    )
    for name, user in (
        ("user-uid", "1002"),
        ("user-username", "www-data"),
        ("user-uid-group", "1003:users"),
        ("user-username-group", "www-data:100"),
        ("predefined-group", "1000"),
    ):
        accounts = [
            ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n"),
            ("etc/group", "root:x:0:\nwww-data:x:33:\nusers:x:100:\nuser:x:1000:\ngroup-defined-in-image:x:50000:user\n"),
        ]
        registry.push_box(ours + "test-image-" + name, "latest", files=accounts, User=user)
    for image in ("latest:latest", "tag:test", "tag:all", "digest:latest", "1:latest", "2:latest", "3:latest"):
        name, tag = image.split(":")
        registry.push_box(f"{ours}test-image-{name}", tag, files=[(f"{name}-{tag}", "")])
    for tag in "123":
        registry.push_box(ours + "test-image-tags", tag, files=[("same", "")])


def report(step, passed=True, text="", left="", **more):
    steps.report(step=step, passed=passed, text=text, left=left, times=1, promised=False, **more)


def main():
    place = pathlib.Path(os.environ["CLIENTS_LOGS"])
    place.mkdir(exist_ok=True)
    steps.report(begun="critest runs")
    w = Cri()
    push_images(w.registry)
    found = world.DIRECTORY / "junit.xml"
    with open(place / "critest.log", "wb") as log:
        # The suite's own limit for a spec is ginkgo's hour.
        subprocess.run(
            [
                PROGRAMS / "critest",
                f"--runtime-endpoint=unix://{w.containerd.socket}",
                "--ginkgo.no-color",
                "--ginkgo.v",
                f"--ginkgo.junit-report={found}",
                f"--ginkgo.timeout={LIMIT}s",
            ],
            env=w.crictl.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=LIMIT + 60,
        )
    specs = [case for case in tree.parse(found).iter("testcase") if case.get("name").startswith("[It]")]
    report("critest runs", passed=bool(specs))
    for case in specs:
        failures = [*case.iter("failure"), *case.iter("error")]
        report(
            case.get("name").removeprefix("[It] [k8s.io] "),
            passed=not failures,
            text="\n".join(failure.text or "" for failure in failures),
            skipped=case.find("skipped") is not None,
        )
    if left := steps.attempt(lambda w: w.clean(), w, 60):
        report("critest is over", left=left)
    (place / "containerd.log").write_bytes(w.containerd.log.read_bytes())
    steps.report(end=True)


if __name__ == "__main__":
    main()
