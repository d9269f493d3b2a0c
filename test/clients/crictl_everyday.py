# SPDX-License-Identifier: Apache-2.0
"""crictl, verb by verb, as an administrator of a node uses it."""

import os
import subprocess
import time

import world
from registry import HOST, WEB_SERVER
from steps import expect, expect_equal, step
from talk import (
    MEGABYTE,
    end_of,
    expect_echo,
    expect_gone,
    expect_megabyte,
    expect_numbers,
    expect_page,
    expect_shell,
    read_until,
)

# --- without a pod


@step("version, info, runtime-config")
def _(w):
    expect(any("RuntimeName:  containerd" in line for line in w.crictl.lines("version")), "no name")
    expect(
        any(
            condition["type"] == "RuntimeReady" and condition["status"]
            for condition in w.crictl.json("info")["status"]["conditions"]
        ),
        "not ready",
    )
    expect("CGROUPFS" in w.crictl.line("runtime-config"), "no cgroup driver")


@step("pull, images, inspecti, imagefsinfo, rmi")
def _(w):
    w.registry.push_box("other", "1", files=[("www/other", "text\n")])
    w.crictl("pull", f"{HOST}/other:1")
    expect(any(line.startswith(f"{HOST}/other") for line in w.crictl.lines("images")), "it is not listed")
    expect_equal([f"{HOST}/other:1"], w.crictl.json("inspecti", f"{HOST}/other:1")["status"]["repoTags"])
    w.crictl("imagefsinfo")
    w.crictl("rmi", f"{HOST}/other:1")
    expect(w.crictl("inspecti", f"{HOST}/other:1", check=False).returncode != 0, "it is there")


# --- a pod


@step("runp, pods, inspectp, stopp, rmp")
def _(w):
    pod = w.run_pod()
    expect_equal([pod], w.crictl.lines("pods", "-q", "--state", "ready"))
    status = w.crictl.json("inspectp", pod)["status"]
    expect_equal("SANDBOX_READY", status["state"])
    expect(status["network"]["ip"].startswith("10.88."), "no address")
    w.crictl("stopp", pod)
    expect_equal([pod], w.crictl.lines("pods", "-q", "--state", "notready"))
    w.crictl("rmp", pod)
    expect_equal([], w.crictl.lines("pods", "-q"))


@step("runp with the network, the processes and the IPC of the node")
def _(w):
    node = {"security_context": {"namespace_options": {"network": 2, "pid": 2, "ipc": 2}}}
    container = w.start(w.run_pod(linux=node), "c", "sleep", "1000", linux=node)
    for name in ("net", "pid", "ipc"):
        expect_equal(
            os.readlink(f"/proc/self/ns/{name}"), w.crictl.line("exec", container, "readlink", f"/proc/self/ns/{name}")
        )


@step("create, ps, start, inspect, stop, rm")
def _(w):
    pod = w.run_pod()
    container = w.create(pod, "c", "sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done")
    expect_equal([container], w.crictl.lines("ps", "-q", "--state", "created"))
    w.crictl("start", container)
    expect_equal([container], w.crictl.lines("ps", "-q"))
    status = w.status(container)
    expect_equal(("CONTAINER_RUNNING", "c"), (status["state"], status["metadata"]["name"]))
    w.crictl("stop", "--timeout", "10", container)
    status = w.status(container)
    expect_equal(("CONTAINER_EXITED", 4, "Error"), (status["state"], status["exitCode"], status["reason"]))
    w.crictl("rm", container)
    expect_equal([], w.crictl.lines("ps", "-aq"))


@step("run: pod and container in one")
def _(w):
    w.pod = w.pod_config()
    container = w.crictl.line("run", w.write(w.container_config("c", "sleep", "1000")), w.write(w.pod))
    expect_equal([container], w.crictl.lines("ps", "-q"))


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
    expect_equal(([], []), (w.crictl.lines("ps", "-aq"), w.crictl.lines("pods", "-q")))


@step("five containers in a pod, and they see each other where they share their processes")
def _(w):
    shared = {"security_context": {"namespace_options": {"pid": 0}}}
    pod = w.run_pod(linux=shared)
    containers = [w.start(pod, f"c{number}", "sleep", f"100{number}", linux=shared) for number in range(5)]
    seen = w.crictl.line("exec", containers[0], "ps", "-o", "args")
    for number in range(5):
        expect(f"sleep 100{number}" in seen, f"number {number} is not seen")
    expect_equal(1, len(world.shims()), "shims")


# --- exec


@step("exec -s: its output and its code")
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    expect_equal("hello", w.crictl.line("exec", "-s", container, "echo", "hello"))
    done = w.crictl("exec", "-s", container, "sh", "-c", "echo err >&2; exit 5", check=False)
    expect(done.returncode != 0 and b"exited with 5: err" in done.stderr, f"code and words: {done.stderr}")


@step("exec -s with a time limit: it is killed")
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    expect(w.crictl("exec", "-s", "--timeout", "1", container, "sleep", "4242", check=False).returncode != 0, "it says success")
    expect_gone("sleep", "4242", limit=10)


@step("exec: streams: both, its code, a megabyte")
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    done = w.crictl("exec", container, "sh", "-c", "echo out; echo err >&2; exit 5", check=False)
    expect_equal(b"out\n", done.stdout)
    expect(
        done.returncode != 0 and done.stderr.startswith(b"err\n") and b"exit code 5" in done.stderr,
        f"code and words: {done.stderr}",
    )
    expect_megabyte(w.crictl("exec", container, "sh", "-c", "yes 0123456789abcde | head -n 65536").stdout)


@step("exec -i: echo hi | cat", times=10)
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    expect_equal(b"hi\n", w.crictl("exec", "-i", container, "cat", input=b"hi\n", limit=10).stdout)


@step("exec -i: a megabyte through cat", times=3)
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    expect_megabyte(w.crictl("exec", "-i", container, "cat", input=MEGABYTE, limit=20).stdout)


@step("exec -i: a megabyte to who reads five bytes", times=3)
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    expect_equal(b"01234", w.crictl("exec", "-i", container, "head", "-c", "5", input=MEGABYTE, limit=10).stdout)


@step("exec -i, kept open")
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    process = w.crictl.begin("exec", "-i", container, "cat")
    expect_echo(process, b"one\n", b"two\n")
    expect_equal((0, b""), end_of(process))


@step("exec -it: a shell on a terminal")
def _(w):
    container = w.start(w.run_pod(), "c", "sleep", "1000")
    expect_shell(w.crictl.terminal("exec", "-it", container, "sh"))


# --- attach, logs


@step("attach -i: what goes in comes out, to the end")
def _(w):
    container = w.start(w.run_pod(), "c", "sh", "-c", "cat; echo over", stdin=True, stdin_once=True)
    process = w.crictl.begin("attach", "-i", container)
    expect_echo(process, b"hello\n")
    process.stdin.close()
    process.stdin = None
    expect(b"over\n" in end_of(process)[1], "its last words are lost")
    expect_equal(0, w.until_exited(container)["exitCode"])


@step("attach -it: a shell on a terminal")
def _(w):
    container = w.start(w.run_pod(), "c", "sh", stdin=True, tty=True)
    with w.crictl.terminal("attach", "-it", container) as terminal:
        terminal.compute_and_exit()
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
    expect_numbers(w.crictl.lines("logs", container))


# --- the other verbs


@step("port-forward")
def _(w):
    pod = w.run_pod()
    w.start(pod, "c", *WEB_SERVER)
    process = w.crictl.begin("port-forward", pod, "8080:80")
    read_until(process, b"Forwarding from")
    expect_page(8080)


@step("stats, statsp")
def _(w):
    pod = w.run_pod()
    container = w.start(pod, "c", "sh", "-c", "while :; do :; done")

    def value(kind, name):
        return int(w.crictl.json("stats", "-o", "json", container)["stats"][0][kind][name]["value"])

    expect(world.eventually(lambda: value("cpu", "usageCoreNanoSeconds") > 0, 15), "it has used no CPU")
    expect(value("memory", "workingSetBytes") > 0, "it has no memory")
    pod = w.run_pod(linux={"cgroup_parent": "/pods"})
    w.start(pod, "c", "sleep", "1000")
    expect_equal(pod, w.crictl.json("statsp", "-o", "json", pod)["stats"][0]["attributes"]["id"])


@step("update: shares and memory")
def _(w):
    container = w.start(
        w.run_pod(), "c", "sleep", "1000", linux={"resources": {"memory_limit_in_bytes": 67108864, "cpu_shares": 512}}
    )
    w.crictl("update", "--memory", "50331648", "--cpu-share", "256", container)
    resources = w.status(container)["resources"]["linux"]
    expect_equal(("50331648", "256"), (resources["memoryLimitInBytes"], resources["cpuShares"]))
    places = dict(line.split(":", 2)[1:] for line in open(f"/proc/{w.pid(container)}/cgroup").read().splitlines())
    file = f"memory{places['memory']}/memory.limit_in_bytes" if "memory" in places else f"{places['']}/memory.max"
    expect_equal("50331648", open(f"/sys/fs/cgroup/{file}").read().strip())


@step("an OOM kill: OOMKilled, 137", times=3)
def _(w):
    container = w.start(w.run_pod(), "c", "tail", "/dev/zero", linux={"resources": {"memory_limit_in_bytes": 16777216}})
    status = w.until_exited(container)
    expect_equal((137, "OOMKilled"), (status["exitCode"], status["reason"]))


@step("events: created, started, stopped, deleted")
def _(w):
    process = w.crictl.begin("events", stdin=subprocess.DEVNULL)
    time.sleep(1)  # until it listens, which cannot be observed
    pod = w.run_pod()
    container = w.start(pod, "c", "true")
    w.until_exited(container)
    w.crictl("rm", container)
    said = read_until(process, b"CONTAINER_DELETED_EVENT").decode()
    for name in ("CREATED", "STARTED", "STOPPED"):
        expect(f"CONTAINER_{name}_EVENT" in said, f"no {name}")


@step("a read-only root, a user, a mount, capabilities")
def _(w):
    (w.shared / "file").write_text("text\n")
    container = w.start(
        w.run_pod(),
        "c",
        "sleep",
        "1000",
        mounts=[{**w.mount, "readonly": True}],
        linux={
            "security_context": {
                "readonly_rootfs": True,
                "run_as_user": {"value": 65534},
                "capabilities": {"drop_capabilities": ["ALL"]},
            }
        },
    )
    expect_equal("text", w.crictl.line("exec", container, "cat", "/shared/file"))
    expect_equal("65534", w.crictl.line("exec", container, "id", "-u"))
    expect(w.crictl("exec", container, "touch", "/x", check=False).returncode != 0, "it can write")
