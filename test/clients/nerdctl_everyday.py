# SPDX-License-Identifier: Apache-2.0
"""nerdctl's other verbs, and restart policies, in everyday use, as root or not."""

import os
import signal
import subprocess
import time

import world
from registry import BOX, PAGE, WEB_SERVER
from steps import expect, expect_equal, step
from talk import end_of, expect_page, without_complaints


@step("stop lets it end, and kills it after its time")
def _(w):
    kind = w.start("sh", "-c", "trap 'echo bye; exit 2' TERM; while :; do sleep 0.1; done")
    hard = w.start("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    w.nerdctl("stop", "-t", "10", kind)
    expect_equal(2, w.state(kind)["ExitCode"])
    expect(world.eventually(lambda: w.nerdctl.lines("logs", kind) == ["bye"], 5), "its last words are lost")
    w.nerdctl("stop", "-t", "1", hard)
    expect_equal(137, w.state(hard)["ExitCode"])


@step("kill with a signal")
def _(w):
    name = w.start("sh", "-c", "trap 'echo caught; exit 5' USR1; echo ready; while :; do sleep 0.1; done")
    expect(world.eventually(lambda: w.nerdctl.lines("logs", name) == ["ready"], 10), "it is not ready")
    w.nerdctl("kill", "-s", "USR1", name)
    expect_equal(["5"], w.nerdctl.lines("wait", name))


@step("start, stop, start again, start -a, restart")
def _(w):
    name = w.start("sh", "-c", "echo begun; exec sleep 1000")
    for _ in range(2):
        w.nerdctl("stop", "-t", "0", name)
        w.nerdctl("start", name)
        w.until_state(name, "running")
    before = w.pid(name)
    w.nerdctl("restart", "-t", "0", name)
    expect(w.pid(name) != before, "the same process")
    w.nerdctl("create", "--name", "later", BOX, "sh", "-c", "echo hello; exit 3")
    done = w.nerdctl("start", "-a", "later", check=False)
    expect_equal(b"hello\n", done.stdout)
    expect(done.returncode != 0, "it says success")
    expect_equal(["3"], w.nerdctl.lines("wait", "later"))


@step("pause and unpause")
def _(w):
    name = w.start("sh", "-c", "while :; do echo tick; sleep 0.1; done")
    w.nerdctl("pause", name)
    expect_equal("paused", w.state(name)["Status"])
    time.sleep(0.5)  # for the logger
    count = len(w.nerdctl.lines("logs", name))
    time.sleep(0.5)
    expect_equal(count, len(w.nerdctl.lines("logs", name)), "lines of one that is paused")
    w.nerdctl("unpause", name)
    w.until_state(name, "running")
    expect(world.eventually(lambda: len(w.nerdctl.lines("logs", name)) > count, 10), "it stands still")


@step("rm -f of one that runs")
def _(w):
    w.nerdctl("rm", "-f", w.start("sleep", "1000"))
    expect_equal([], w.nerdctl.lines("ps", "-aq"))


@step("rm -f of one that is paused")
def _(w):
    name = w.start("sleep", "1000")
    w.nerdctl("pause", name)
    w.nerdctl("rm", "-f", name)
    expect_equal([], w.nerdctl.lines("ps", "-aq"))


@step("top")
def _(w):
    expect(
        any("sleep 1000" in line for line in w.nerdctl.lines("top", w.start("sleep", "1000"))), "it does not name the process"
    )


@step("ps, inspect, rename")
def _(w):
    name = w.start("sleep", "1000")
    expect_equal([name], w.nerdctl.lines("ps", "--format", "{{.Names}}"))
    expect(os.path.exists(f"/proc/{w.pid(name)}"), "no such process")
    w.nerdctl("rename", name, "other")
    expect_equal("running", w.state("other")["Status"])


@step("cp in and out, commit, diff")
def _(w):
    name = w.start("sleep", "1000")
    place = w.shared / "copied"
    place.write_text("text\n")
    w.nerdctl("cp", place, f"{name}:/tmp/file")
    expect_equal(b"text\n", w.nerdctl("exec", name, "cat", "/tmp/file").stdout)
    place.unlink()
    w.nerdctl("cp", f"{name}:/www/index.html", place)
    expect_equal(PAGE, place.read_text())
    w.nerdctl("stop", "-t", "0", name)
    w.nerdctl("commit", name, "committed:1")
    expect_equal(b"text\n", w.nerdctl("run", "--rm", "committed:1", "cat", "/tmp/file").stdout)
    w.nerdctl("rmi", "-f", "committed:1")


@step("--init, --user, --read-only, --tmpfs, -v, -e, --hostname, --entrypoint")
def _(w):
    options = f"--user nobody --read-only --tmpfs /scratch -v {w.shared}:/shared:ro -e A=b --hostname me --entrypoint sh"
    text = "echo $A $(id -u) $(hostname); touch /x; touch /shared/x"
    done = w.nerdctl("run", "--rm", *options.split(), BOX, "-c", text, check=False)
    expect_equal(b"b 65534 me\n", done.stdout)
    expect_equal(1, done.returncode, "exit code")


@step("publish a port")
def _(w):
    w.start(*WEB_SERVER, options=("-p", "127.0.0.1:8080:80"))
    expect_page(8080)


@step("many at once: ten containers in the foreground", limit=120)
def _(w):
    processes = [
        w.nerdctl.begin("run", "--rm", BOX, "sh", "-c", f"echo {number}; exit {number}", stdin=subprocess.DEVNULL)
        for number in range(10)
    ]
    for number, process in enumerate(processes):
        code, said = end_of(process, 60)
        expect_equal((number, f"{number}\n".encode()), (code, without_complaints(said)))


# --- restart policies


@step("--restart always: killed, it comes back")
def _(w):
    name = w.start("sleep", "1000", options=("--restart", "always"))
    before = w.pid(name)
    os.kill(before, signal.SIGKILL)
    w.until_restarted(name, before)


@step("--restart always: its log goes on")
def _(w):
    name = w.start("sh", "-c", "echo begun; sleep 0.5", options=("--restart", "always"))
    expect(world.eventually(lambda: len(w.nerdctl.lines("logs", name)) >= 3, 30), "no third beginning in the log")


@step("--restart on-failure:2: three runs, then no more")
def _(w):
    name = w.start("sh", "-c", "echo begun; exit 1", options=("--restart", "on-failure:2"))
    expect(world.eventually(lambda: len(w.nerdctl.lines("logs", name)) >= 3, 30), "no third run")
    time.sleep(3)  # three intervals of the restart monitor
    expect_equal(3, len(w.nerdctl.lines("logs", name)), "runs")
    expect_equal(1, w.state(name)["ExitCode"], "exit code")


@step("--restart unless-stopped: stopped, it stays so")
def _(w):
    name = w.start("sleep", "1000", options=("--restart", "unless-stopped"))
    w.nerdctl("stop", "-t", "0", name)
    time.sleep(3)  # three intervals of the restart monitor
    expect_equal("exited", w.state(name)["Status"])
