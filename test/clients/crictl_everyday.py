# SPDX-License-Identifier: Apache-2.0
"""crictl, a verb after the other, as an administrator of a node uses it."""

import os
import subprocess
import time

import world
from registry import HOST
from steps import expect, expect_equal, step
from talk import MEGABYTE, end_of, fetch, read_until

# --- without a pod


@step("version, info, runtime-config")
def _(w):
    expect(any("RuntimeName:  containerd" in line for line in w.lines("version")), "no name")
    expect(
        any(
            condition["type"] == "RuntimeReady" and condition["status"] for condition in w.json("info")["status"]["conditions"]
        ),
        "not ready",
    )
    expect("CGROUPFS" in w.line("runtime-config"), "no cgroup driver")


@step("pull, images, inspecti, imagefsinfo, rmi")
def _(w):
    w.registry.push_box("other", "1", files=[("www/other", "text\n")])
    w.crictl("pull", f"{HOST}/other:1")
    expect(any(line.startswith(f"{HOST}/other") for line in w.lines("images")), "it is not listed")
    expect_equal([f"{HOST}/other:1"], w.json("inspecti", f"{HOST}/other:1")["status"]["repoTags"])
    w.crictl("imagefsinfo")
    w.crictl("rmi", f"{HOST}/other:1")
    expect(w.crictl("inspecti", f"{HOST}/other:1", check=False).returncode != 0, "it is there")


# --- a pod


@step("runp, pods, inspectp, stopp, rmp")
def _(w):
    pod = w.run_pod()
    expect_equal([pod], w.lines("pods", "-q", "--state", "ready"))
    status = w.json("inspectp", pod)["status"]
    expect_equal("SANDBOX_READY", status["state"])
    expect(status["network"]["ip"].startswith("10.88."), "no address")
    w.crictl("stopp", pod)
    expect_equal([pod], w.lines("pods", "-q", "--state", "notready"))
    w.crictl("rmp", pod)
    expect_equal([], w.lines("pods", "-q"))


@step("runp with the network, the processes and the IPC of the node")
def _(w):
    pod = w.run_pod(linux={"security_context": {"namespace_options": {"network": 2, "pid": 2, "ipc": 2}}})
    container = w.start(
        pod, "c", "sleep", "1000", linux={"security_context": {"namespace_options": {"network": 2, "pid": 2, "ipc": 2}}}
    )
    for name in ("net", "pid", "ipc"):
        expect_equal(os.readlink(f"/proc/self/ns/{name}"), w.line("exec", container, "readlink", f"/proc/self/ns/{name}"))


@step("create, ps, start, inspect, stop, rm")
def _(w):
    pod = w.run_pod()
    container = w.create(pod, "c", "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done")
    expect_equal([container], w.lines("ps", "-q", "--state", "created"))
    w.crictl("start", container)
    expect_equal([container], w.lines("ps", "-q"))
    status = w.status(container)
    expect_equal(("CONTAINER_RUNNING", "c"), (status["state"], status["metadata"]["name"]))
    w.crictl("stop", "--timeout", "10", container)
    status = w.status(container)
    expect_equal(("CONTAINER_EXITED", 4, "Error"), (status["state"], status["exitCode"], status["reason"]))
    w.crictl("rm", container)
    expect_equal([], w.lines("ps", "-aq"))


@step("run: pod and container in one")
def _(w):
    w.pod = w.pod_config()
    container = w.line("run", w.write(w.container_config("c", "sleep", "1000")), w.write(w.pod))
    expect_equal([container], w.lines("ps", "-q"))


@step("exit codes: 0 Completed, 7 Error, by a signal")
def _(w):
    pod = w.run_pod()
    for name, command, code, reason in (
        ("good", "exit 0", 0, "Completed"),
        ("bad", "exit 7", 7, "Error"),
        ("killed", "kill -KILL $$; sleep 5", 137, "Error"),
    ):
        container = w.start(pod, name, "sh", "-c", f"sh -c '{command}'; exit $?")
        status = w.until_exited(container)
        expect_equal((code, reason), (status["exitCode"], status["reason"]), command)


@step("start of what cannot be run: an error that says so")
def _(w):
    pod = w.run_pod()
    container = w.create(pod, "c", "/no/such/program")
    done = w.crictl("start", container, check=False)
    expect(done.returncode != 0 and b"no such file" in done.stderr, f"it says {done.stderr}")
    expect_equal("CONTAINER_EXITED", w.until_exited(container)["state"])


@step("stop kills after its time")
def _(w):
    pod = w.run_pod()
    container = w.start(pod, "c", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    begin = time.monotonic()
    w.crictl("stop", "--timeout", "2", container)
    expect(time.monotonic() - begin >= 2, "it was killed at once")
    expect_equal(137, w.status(container)["exitCode"])


@step("rm -f and rmp -f of what runs")
def _(w):
    pod = w.run_pod()
    w.crictl("rm", "-f", w.start(pod, "c", "sleep", "1000"))
    w.start(pod, "d", "sleep", "1000")
    w.crictl("rmp", "-f", pod)
    expect_equal(([], []), (w.lines("ps", "-aq"), w.lines("pods", "-q")))


@step("five containers in a pod, and they see each other where they share their processes")
def _(w):
    shared = {"security_context": {"namespace_options": {"pid": 0}}}
    pod = w.run_pod(linux=shared)
    containers = [w.start(pod, f"c{number}", "sleep", f"100{number}", linux=shared) for number in range(5)]
    seen = w.line("exec", containers[0], "ps", "-o", "args")
    for number in range(5):
        expect(f"sleep 100{number}" in seen, f"number {number} is not seen")
    expect_equal(1, len(world.shims()), "shims")


# --- exec


@step("exec -s: its output and its code")
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    expect_equal("hello", w.line("exec", "-s", container, "echo", "hello"))
    done = w.crictl("exec", "-s", container, "sh", "-c", "echo err >&2; exit 5", check=False)
    expect(done.returncode != 0 and b"exited with 5: err" in done.stderr, f"code and words: {done.stderr}")


@step("exec -s with a time limit: it is killed")
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    expect(w.crictl("exec", "-s", "--timeout", "1", container, "sleep", "4242", check=False).returncode != 0, "it says success")
    expect(world.eventually(lambda: ["sleep", "4242"] not in world.processes().values(), 10), "it runs on")


@step("exec: streams: both, its code, a megabyte")
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    done = w.crictl("exec", container, "sh", "-c", "echo out; echo err >&2; exit 5", check=False)
    expect_equal(b"out\n", done.stdout)
    expect(
        done.returncode != 0 and done.stderr.startswith(b"err\n") and b"exit code 5" in done.stderr,
        f"code and words: {done.stderr}",
    )
    done = w.crictl("exec", container, "sh", "-c", "yes 0123456789abcde | head -n 65536")
    expect(done.stdout == MEGABYTE, f"{len(done.stdout)} bytes")


@step("exec -i: echo hi | cat", times=10)
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    expect_equal(b"hi\n", w.crictl("exec", "-i", container, "cat", input=b"hi\n", limit=10).stdout)


@step("exec -i: a megabyte through cat", times=3)
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    done = w.crictl("exec", "-i", container, "cat", input=MEGABYTE, limit=20)
    expect(done.stdout == MEGABYTE, f"{len(done.stdout)} of {len(MEGABYTE)} bytes")


@step("exec -i: a megabyte to who reads five bytes", times=3)
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    expect_equal(b"01234", w.crictl("exec", "-i", container, "head", "-c", "5", input=MEGABYTE, limit=10).stdout)


@step("exec -i, kept open")
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    process = w.begin("exec", "-i", container, "cat")
    for line in (b"one\n", b"two\n"):
        process.stdin.write(line)
        process.stdin.flush()
        read_until(process, line)
    expect_equal((0, b""), end_of(process))


@step("exec -it: a shell on a terminal")
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    with w.terminal("exec", "-it", container, "sh") as terminal:
        terminal.until("#")
        terminal.send("echo $((6*7))\n")
        terminal.until("42")
        terminal.send("exit 6\n")
        terminal.until("exit code 6")
        expect(terminal.wait() != 0, "it says success")


# --- attach, logs


@step("attach -i: what goes in comes out, to the end")
def _(w):
    container = w.start(w.run_pod(), "c", "sh", "-c", "cat; echo over", stdin=True, stdin_once=True)
    process = w.begin("attach", "-i", container)
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    read_until(process, b"hello\n")
    process.stdin.close()
    process.stdin = None
    expect(b"over\n" in end_of(process)[1], "its last words are lost")
    expect_equal(0, w.until_exited(container)["exitCode"])


@step("attach -it: a shell on a terminal")
def _(w):
    container = w.start(w.run_pod(), "c", "sh", stdin=True, tty=True)
    with w.terminal("attach", "-it", container) as terminal:
        terminal.send("echo $((6*7))\n")
        terminal.until("42")
        terminal.send("exit 6\n")
        terminal.wait()
    expect_equal(6, w.until_exited(container)["exitCode"])


@step("logs, --tail, -f")
def _(w):
    container = w.start(w.run_pod(), "c", "sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.3; done; echo last words >&2")
    done = w.crictl("logs", "-f", container)
    expect_equal((b"line 1\nline 2\nline 3\n", b"last words\n"), (done.stdout, done.stderr))
    expect_equal(b"line 3\n", w.crictl("logs", "--tail", "2", container).stdout)


@step("logs: two hundred thousand lines are whole", times=3)
def _(w):
    container = w.start(w.run_pod(), "c", "sh", "-c", "seq 1 200000; echo END")
    w.until_exited(container)
    lines = w.lines("logs", container)
    expect_equal((200001, "END"), (len(lines), lines[-1] if lines else None), "lines and the last of them")


# --- the other verbs


@step("port-forward")
def _(w):
    pod = w.run_pod()
    w.start(pod, "c", "httpd", "-f", "-p", "80", "-h", "/www")
    process = w.begin("port-forward", pod, "8080:80")
    read_until(process, b"Forwarding from")
    expect(world.eventually(lambda: fetch(8080) == b"It works!\n", 10), "no answer")


@step("stats, statsp")
def _(w):
    pod = w.run_pod()
    container = w.start(pod, "c", "sh", "-c", "while :; do :; done")
    expect(
        world.eventually(
            lambda: int(w.json("stats", "-o", "json", container)["stats"][0]["cpu"]["usageCoreNanoSeconds"]["value"]) > 0, 15
        ),
        "it has used no CPU",
    )
    expect(
        int(w.json("stats", "-o", "json", container)["stats"][0]["memory"]["workingSetBytes"]["value"]) > 0, "it has no memory"
    )
    pod = w.run_pod(linux={"cgroup_parent": "/pods"})
    w.start(pod, "c", "sleep", "1000")
    expect_equal(pod, w.json("statsp", "-o", "json", pod)["stats"][0]["attributes"]["id"])


@step("update: shares and memory")
def _(w):
    container = w.start(
        w.run_pod(), "c", "sleep", "1000", linux={"resources": {"memory_limit_in_bytes": 67108864, "cpu_shares": 512}}
    )
    w.crictl("update", "--memory", "50331648", "--cpu-share", "256", container)
    resources = w.status(container)["resources"]["linux"]
    expect_equal(("50331648", "256"), (resources["memoryLimitInBytes"], resources["cpuShares"]))
    pid = w.json("inspect", container)["info"]["pid"]
    places = dict(line.split(":", 2)[1:] for line in open(f"/proc/{pid}/cgroup").read().splitlines())
    file = f"memory{places['memory']}/memory.limit_in_bytes" if "memory" in places else f"{places['']}/memory.max"
    expect_equal("50331648", open(f"/sys/fs/cgroup/{file}").read().strip())


@step("an OOM kill: OOMKilled, 137", times=3)
def _(w):
    container = w.start(w.run_pod(), "c", "tail", "/dev/zero", linux={"resources": {"memory_limit_in_bytes": 16777216}})
    status = w.until_exited(container)
    expect_equal((137, "OOMKilled"), (status["exitCode"], status["reason"]))


@step("events: created, started, stopped, deleted")
def _(w):
    process = w.begin("events", stdin=subprocess.DEVNULL)
    time.sleep(1)  # until it listens, which nothing tells
    pod = w.run_pod()
    container = w.start(pod, "c", "true")
    w.until_exited(container)
    w.crictl("rm", container)
    said = read_until(process, b"CONTAINER_DELETED_EVENT").decode()
    for name in ("CREATED", "STARTED", "STOPPED"):
        expect(f"CONTAINER_{name}_EVENT" in said, f"no {name}")


@step("a read-only root, a user, a mount, capabilities")
def _(w):
    place = world.DIRECTORY / "mounted"
    place.mkdir(exist_ok=True)
    (place / "file").write_text("text\n")
    container = w.start(
        w.run_pod(),
        "c",
        "sleep",
        "1000",
        mounts=[{"host_path": str(place), "container_path": "/mounted", "readonly": True}],
        linux={
            "security_context": {
                "readonly_rootfs": True,
                "run_as_user": {"value": 65534},
                "capabilities": {"drop_capabilities": ["ALL"]},
            }
        },
    )
    expect_equal("text", w.line("exec", container, "cat", "/mounted/file"))
    expect_equal("65534", w.line("exec", container, "id", "-u"))
    expect(w.crictl("exec", container, "touch", "/x", check=False).returncode != 0, "it can write")
