# SPDX-License-Identifier: Apache-2.0
"""What Kubernetes needs of a runtime on one node: a pod's life, probes, streams."""

import pathlib
import re
import time

import world
from registry import WEB_SERVER
from steps import expect, expect_equal, step
from talk import expect_echo, expect_gone, expect_page, read_until

FOREVER = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


def shell(text):
    return ["sh", "-c", text]


def exec_probe(*command, **more):
    return {"exec": {"command": list(command)}, "periodSeconds": 1, "timeoutSeconds": 5, **more}


def alive_until_told(name):
    """A container whose probe fails once its file exists."""
    return {"command": FOREVER, "livenessProbe": exec_probe("test", "!", "-f", f"/shared/{name}", failureThreshold=1)}


def fail_probe(w, name):
    """Waits until the container is restarted."""
    (w.shared / name).touch()
    w.until(lambda: w.status(name)["restartCount"] >= 1, "it is not started again")
    (w.shared / name).unlink()


# --- a pod's life


@step("a pod runs, and its web server answers")
def _(w):
    name = w.name("web")
    w.run_pod(name, {"command": WEB_SERVER})
    expect_page(80, w.pod(name)["status"]["podIP"])


@step("its log, by the kubelet and in the file")
def _(w):
    name = w.name("log")
    w.run_pod(name, {"command": shell("echo out; echo err >&2; exec sleep 1000")})
    expect(world.eventually(lambda: sorted(w.logs(name)) == ["err", "out"], 10), "not in the file")
    expect_equal([b"err", b"out"], sorted((w.ask(f"/containerLogs/default/{name}-node/c") or b"").split()), "the kubelet")


@step("restartPolicy Never: exit codes and reasons")
def _(w):
    name = w.name("never")
    w.write_pod(name, *({"name": f"c{code}", "command": shell(f"exit {code}")} for code in (0, 7, 143)), restartPolicy="Never")
    for code in (0, 7, 143):
        ended = w.ended(name, f"c{code}")
        expect_equal((code, "Error" if code else "Completed"), (ended["exitCode"], ended["reason"]))
    w.until(lambda: w.pod(name)["status"]["phase"] == "Failed", "the pod has not failed")


@step("restartPolicy OnFailure: again until it succeeds")
def _(w):
    name = w.name("again")
    (w.shared / name).mkdir()
    w.write_pod(
        name,
        {"command": shell(f"cd /shared/{name}; touch $(ls | wc -l); [ $(ls | wc -l) -ge 3 ]")},
        restartPolicy="OnFailure",
    )
    w.until(lambda: w.pod(name) and w.pod(name)["status"]["phase"] == "Succeeded", "it does not succeed")
    expect_equal((2, 3), (w.status(name)["restartCount"], len(list((w.shared / name).iterdir()))), "restarts and runs")


@step("restartPolicy Always: three restarts, each with its exit code", limit=90)
def _(w):
    name = w.name("crash")
    w.write_pod(name, {"command": shell("echo run; sleep 0.2; exit 9")})
    w.until(lambda: w.status(name)["restartCount"] >= 3, "not three restarts", 60)
    last = w.status(name)["lastState"].get("terminated") or w.status(name)["state"].get("terminated")
    expect_equal((9, "Error"), (last["exitCode"], last["reason"]))


@step("init containers one after the other, then a sidecar that outlives the container")
def _(w):
    name = w.name("init")
    log = f"/shared/{name}"
    w.write_pod(
        name,
        {"command": shell(f"echo main >>{log}; sleep 1; echo over >>{log}")},
        restartPolicy="Never",
        initContainers=[
            {"name": "i1", "command": shell(f"sleep 0.5; echo one >>{log}")},
            {
                "name": "side",
                "restartPolicy": "Always",
                "command": shell(
                    f"echo side >>{log}; trap 'echo end of side >>{log}; exit 0' TERM; while :; do sleep 0.1; done"
                ),
                "startupProbe": exec_probe("grep", "-q", "side", log),
            },
            {"name": "i2", "command": shell(f"echo two >>{log}")},
        ],
    )
    expect_equal(0, w.ended(name)["exitCode"])
    w.until(lambda: "end of side" in (w.shared / name).read_text(), "the sidecar is not ended")
    expect_equal(["one", "side", "two", "main", "over", "end of side"], (w.shared / name).read_text().splitlines())
    w.until(lambda: w.pod(name)["status"]["phase"] == "Succeeded", "the pod has not succeeded")


@step("an init container that fails is run again, and the others wait")
def _(w):
    name = w.name("initfails")
    w.run_pod(
        name,
        {"command": FOREVER},
        initContainers=[{"name": "i", "command": shell(f"[ -f /shared/{name} ] || {{ touch /shared/{name}; exit 3; }}")}],
    )
    expect_equal(1, w.status(name, "i")["restartCount"], "restarts")


@step("hooks: postStart is run, preStop comes before SIGTERM")
def _(w):
    name = w.name("hooks")
    log = w.shared / name
    w.run_pod(
        name,
        {
            "command": shell(f"trap 'echo term >>/shared/{name}; exit 0' TERM; while :; do sleep 0.1; done"),
            "lifecycle": {
                "postStart": {"exec": {"command": shell(f"echo post >>/shared/{name}")}},
                "preStop": {"exec": {"command": shell(f"echo pre >>/shared/{name}; sleep 0.5")}},
            },
        },
    )
    expect_equal("post\n", log.read_text())
    w.remove_pods()
    expect_equal("post\npre\nterm\n", log.read_text())


@step("a grace period is kept, and then ends")
def _(w):
    names = {word: w.name(word) for word in ("kind", "hard")}
    w.run_pod(
        names["kind"],
        {
            "command": shell(f"trap 'sleep 2; echo bye >/shared/{names['kind']}; exit 0' TERM; while :; do sleep 0.1; done"),
        },
        terminationGracePeriodSeconds=20,
    )
    w.run_pod(
        names["hard"],
        {"command": shell("trap '' TERM; while :; do sleep 0.1; done")},
        terminationGracePeriodSeconds=3,
    )
    hard = w.container_id(names["hard"])
    (w.manifests / f"{names['kind']}.json").unlink()
    w.until(lambda: (w.shared / names["kind"]).exists(), "it has not said goodbye")
    (w.manifests / f"{names['hard']}.json").unlink()
    begin = time.monotonic()
    w.until(lambda: hard not in w.crictl.lines("ps", "-q"), "it lives on", 20)
    expect(time.monotonic() - begin >= 3, "it was killed at once")
    expect_equal(137, w.crictl.json("inspect", hard)["status"]["exitCode"])


@step("a changed manifest: the old pod goes, the new one comes")
def _(w):
    name = w.name("changed")
    w.run_pod(name, {"command": ["sleep", "4242"]})
    w.write_pod(name, {"command": ["sleep", "4243"]})
    w.until(lambda: ["sleep", "4243"] in world.processes().values(), "the new one does not come")
    expect(["sleep", "4242"] not in world.processes().values(), "the old one lives")


@step("an OOM kill: OOMKilled, 137, and a new run", times=2)
def _(w):
    name = w.name("oom")
    w.write_pod(
        name,
        {
            "command": shell(f"[ -f /shared/{name} ] && exec sleep 1000; touch /shared/{name}; exec tail /dev/zero"),
            "resources": {"limits": {"memory": "32Mi"}},
        },
    )
    last = w.restarted(name)
    expect_equal((137, "OOMKilled"), (last["exitCode"], last["reason"]))


# --- probes


@step("probes each second of four kinds: ready when they say so, and no restart in half a minute", limit=120)
def _(w):
    name = w.name("probes")
    server = {"command": WEB_SERVER}
    w.write_pod(
        name,
        {
            "command": FOREVER,
            "readinessProbe": exec_probe("cat", f"/shared/{name}"),
            "livenessProbe": exec_probe("true", failureThreshold=2),
            "startupProbe": exec_probe("true"),
        },
        {
            "name": "web",
            **server,
            "livenessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1},
            "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
        },
    )
    w.until(lambda: w.status(name, "web")["ready"], "the server is not ready")
    expect(not w.status(name)["ready"], "it is ready without its file")
    (w.shared / name).touch()
    w.until(lambda: w.is_ready(name), "it is not ready")
    time.sleep(30)
    expect(w.is_ready(name), "it is not ready any more")
    expect_equal((0, 0), (w.status(name)["restartCount"], w.status(name, "web")["restartCount"]), "restarts")


@step("a liveness probe that fails: it is ended and started again")
def _(w):
    name = w.name("live")
    w.run_pod(name, alive_until_told(name))
    fail_probe(w, name)
    expect_equal(0, w.restarted(name)["exitCode"])


@step("a probe that hangs fails after its time, and is ended")
def _(w):
    name = w.name("hangs")
    w.run_pod(
        name,
        {
            "command": FOREVER,
            "livenessProbe": exec_probe(
                "sh", "-c", f"[ ! -f /shared/{name} ] || exec sleep 4242", timeoutSeconds=1, failureThreshold=1
            ),
        },
    )
    fail_probe(w, name)
    expect_gone("sleep", "4242", limit=30)


@step("eight pods of three containers, each with a probe each second", limit=150)
def _(w):
    names = [w.name("many") for _ in range(8)]
    for name in names:
        w.write_pod(
            name,
            *(
                {"name": f"c{number}", "command": FOREVER, "livenessProbe": exec_probe("true", failureThreshold=3)}
                for number in range(3)
            ),
        )
    for name in names:
        w.until(lambda: w.is_ready(name), f"{name} is not ready", 60)
    expect_equal(8, len(world.shims()), "shims")
    time.sleep(20)
    for name in names:
        for number in range(3):
            expect_equal(0, w.status(name, f"c{number}")["restartCount"], f"restarts of {name}, {number}")


# --- streams


@step("exec: output, exit code, input, a megabyte")
def _(w):
    name = w.name("exec")
    w.run_pod(name, {"command": FOREVER})
    done = w.stream("exec", f"{name}-node", "c", "sh", "-c", "echo out; echo err >&2; exit 5", check=False)
    expect_equal((5, b"out\n", b"err\n"), (done.returncode, done.stdout, done.stderr))
    expect_equal(b"hi\n", w.stream("exec", "-i", f"{name}-node", "c", "cat", input=b"hi\n").stdout)
    expect_equal(1 << 20, len(w.stream("exec", f"{name}-node", "c", "head", "-c", "1048576", "/dev/zero").stdout))


@step("exec: who reads five bytes of a megabyte ends", times=5)
def _(w):
    name = w.name("five")
    w.run_pod(name, {"command": FOREVER})
    expect_equal(
        b"\0" * 5, w.stream("exec", "-i", f"{name}-node", "c", "head", "-c", "5", input=bytes(1 << 20), limit=10).stdout
    )


@step("attach: what goes in comes out")
def _(w):
    name = w.name("attach")
    w.run_pod(name, {"command": ["cat"], "stdin": True})
    process = w.stream.begin("attach", "-i", f"{name}-node", "c")
    expect_echo(process, b"one\n", b"two\n")
    expect(world.eventually(lambda: w.logs(name) == ["one", "two"], 10), "not in the log")


@step("port-forward")
def _(w):
    name = w.name("forward")
    w.run_pod(name, {"command": WEB_SERVER})
    process = w.stream.begin("port-forward", f"{name}-node", "8080:80")
    read_until(process, b"Forwarding from")
    for _ in range(5):
        expect_page(8080)


@step("rotated logs: two hundred thousand lines are whole and in order", limit=120)
def _(w):
    name = w.name("rotated")
    w.write_pod(
        name,
        {
            "command": shell("for i in $(seq 0 19); do seq $((i*10000+1)) $((i*10000+10000)); sleep 1; done; echo END"),
        },
        restartPolicy="Never",
    )
    expect_equal(0, w.ended(name, limit=90)["exitCode"])
    lines = w.logs(name)
    files = len(list(pathlib.Path("/var/log/pods").glob(f"default_{name}-node_*/c/*")))
    expect(files > 2, f"{files} files")
    expect(lines == [*map(str, range(1, 200001)), "END"], f"{len(lines)} of 200001 lines, the last is {lines[-1:]}")


@step("metrics of the container and the pod")
def _(w):
    name = w.name("metrics")
    w.run_pod(name, {"command": shell("while :; do :; done")})

    def has_metrics():
        text = (w.ask("/metrics/resource") or b"").decode()
        used = re.search(
            rf'^container_cpu_usage_seconds_total{{container="c",namespace="default",pod="{name}-node"}} (\S+)', text, re.M
        )
        return used and float(used[1]) > 0

    w.until(has_metrics, "the container has used no CPU")
