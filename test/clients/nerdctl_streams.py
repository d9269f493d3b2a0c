# SPDX-License-Identifier: Apache-2.0
"""Input and output of nerdctl, as root or not: every kind of stdin, logs, exec, attach."""

import subprocess

import world
from registry import BOX
from steps import Failed, expect, expect_equal, step
from talk import MEGABYTE, end_of, expect_echo, expect_megabyte, expect_numbers, expect_shell, read_until, without_complaints

# --- stdin


@step("run -i: echo hi | cat", times=10, promised=True)
def _(w):
    done = w.nerdctl("run", "--rm", "-i", BOX, "cat", input=b"hi\n", limit=8)
    expect_equal(b"hi\n", done.stdout)


@step("run -i: a megabyte through cat", times=3)
def _(w):
    expect_megabyte(w.nerdctl("run", "--rm", "-i", BOX, "cat", input=MEGABYTE, limit=10).stdout)


@step("run -i </dev/null: cat ends", times=3)
def _(w):
    expect_equal(b"", w.nerdctl("run", "--rm", "-i", BOX, "cat", stdin=subprocess.DEVNULL, limit=8).stdout)


@step("run </dev/null, without -i")
def _(w):
    expect_equal(b"hello\n", w.nerdctl("run", "--rm", BOX, "echo", "hello", stdin=subprocess.DEVNULL).stdout)


@step("run, data on stdin, without -i: the container sees none")
def _(w):
    expect_equal(b"0\n", w.nerdctl("run", "--rm", BOX, "wc", "-c", input=b"hi\n").stdout)


@step("run -i, kept open: each line comes back, the end of input ends it")
def _(w):
    process = w.nerdctl.begin("run", "--rm", "-i", BOX, "cat")
    expect_echo(process, b"one\n", b"two\n")
    code, said = end_of(process)
    expect_equal((0, b""), (code, without_complaints(said)))


@step("run -i, kept open: it ends with the container")
def _(w):
    process = w.nerdctl.begin("run", "--rm", "-i", BOX, "sh", "-c", "echo done; exit 4")
    read_until(process, b"done\n")
    try:
        expect_equal(4, process.wait(20))
    except subprocess.TimeoutExpired:
        raise Failed("nerdctl goes on after the container's end") from None


@step("run -i: a megabyte to who reads five bytes", times=3)
def _(w):
    expect_equal(b"01234", w.nerdctl("run", "--rm", "-i", BOX, "head", "-c", "5", input=MEGABYTE, limit=10).stdout)


@step("run -it: a shell on a terminal")
def _(w):
    with w.nerdctl.terminal("run", "--rm", "-it", BOX, "sh") as terminal:
        terminal.until("#")
        terminal.send("tty; stty size; echo $((6*7))\n")
        terminal.until("/dev/pts/")
        terminal.until("24 80")
        terminal.until("42")
        terminal.send("exit 3\n")
        expect_equal(3, terminal.wait(), "exit code")


@step("run -it: control-C and control-D are the container's")
def _(w):
    text = "trap 'echo caught; cat; echo over; exit 0' INT; echo ready; while :; do sleep 0.1; done"
    with w.nerdctl.terminal("run", "--rm", "-it", BOX, "sh", "-c", text) as terminal:
        terminal.until("ready")
        terminal.send("\x03")
        terminal.until("caught")
        terminal.send("\x04")
        terminal.until("over")
        expect_equal(0, terminal.wait(), "exit code")


@step("run -i: the client is killed, the container goes on")
def _(w):
    process = w.nerdctl.begin("run", "-i", "--name", "orphan", BOX, "sh", "-c", "cat; while :; do sleep 1; done")
    expect_echo(process, b"hello\n")
    process.kill()
    process.wait()
    expect_equal(b"hello\n", w.nerdctl("exec", "orphan", "echo", "hello").stdout)
    expect_equal("running", w.state("orphan")["Status"])


# --- how it ends


@step("run: exit codes: 0, 7, of a signal, of what cannot be run")
def _(w):
    for code, command in ((0, "exit 0"), (7, "exit 7"), (143, "kill -TERM $$"), (137, "kill -KILL $$")):
        # Process 1 ignores signals from its own namespace that it has no handler for: a child is killed instead.
        done = w.nerdctl("run", "--rm", BOX, "sh", "-c", f"sh -c '{command}'; exit $?", check=False)
        expect_equal(code, done.returncode, command)
    expect(w.nerdctl("run", "--rm", BOX, "/no/such/program", check=False).returncode != 0, "it says success")


@step("run: stdout and stderr are two")
def _(w):
    done = w.nerdctl("run", "--rm", BOX, "sh", "-c", "echo out; echo err >&2")
    expect_equal((b"out\n", b"err\n"), (done.stdout, without_complaints(done.stderr)))


@step("run: two hundred thousand lines in the foreground", times=5)
def _(w):
    expect_numbers(w.nerdctl.lines("run", "--rm", BOX, "sh", "-c", "seq 1 200000; echo END", limit=10))


@step("run --rm: nothing is listed afterwards")
def _(w):
    w.nerdctl("run", "--rm", "--name", "gone", BOX, "true")
    expect_equal([], w.nerdctl.lines("ps", "-aq"))


# --- logs


@step("run -d, then logs: both streams")
def _(w):
    name = w.start("sh", "-c", "echo out; echo err >&2")
    w.nerdctl("wait", name)
    done = w.nerdctl("logs", name)
    expect_equal((b"out\n", b"err\n"), (done.stdout, done.stderr))


@step("run -d, then logs: two hundred thousand lines are whole at the exit", times=3, limit=90, promised=True)
def _(w):
    name = w.start("sh", "-c", "seq 1 200000; echo END")
    w.nerdctl("wait", name, limit=60)
    # The logger has written all when its input has ended.
    world.eventually(lambda: w.nerdctl.lines("logs", "--tail", "1", name) == ["END"], 10)
    expect_numbers(w.nerdctl.lines("logs", name))


@step("logs -f ends with the container and has its last words")
def _(w):
    name = w.start("sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.3; done; echo last words")
    process = w.nerdctl.begin("logs", "-f", name, stdin=subprocess.DEVNULL)
    said = read_until(process, b"last words\n")
    expect_equal(b"line 1\nline 2\nline 3\nlast words\n", said)
    expect_equal(0, end_of(process)[0], "exit code")


@step("logs --tail and --timestamps")
def _(w):
    name = w.start("seq", "1", "100")
    w.nerdctl("wait", name)
    world.eventually(lambda: len(w.nerdctl.lines("logs", name)) == 100)
    expect_equal(["99", "100"], w.nerdctl.lines("logs", "--tail", "2", name))
    expect(w.nerdctl.lines("logs", "--tail", "1", "--timestamps", name)[0].startswith("20"), "no time")


# --- exec


@step("exec: its output, its code, user, directory, environment")
def _(w):
    name = w.start("sleep", "1000")
    text = "echo $A $(id -u) $PWD; echo err >&2; exit 5"
    done = w.nerdctl("exec", *"-u nobody -w /tmp -e A=b".split(), name, "sh", "-c", text, check=False)
    expect_equal(b"b 65534 /tmp\n", done.stdout)
    expect(b"err\n" in done.stderr, "stderr is lost")
    expect(done.returncode != 0 and b"exit code 5" in done.stderr, f"its code is not told: {done.returncode} {done.stderr}")


@step("exec -i: echo hi | cat", times=10)
def _(w):
    name = w.start("sleep", "1000")
    expect_equal(b"hi\n", w.nerdctl("exec", "-i", name, "cat", input=b"hi\n", limit=8).stdout)


@step("exec -i: a megabyte through cat", times=3)
def _(w):
    name = w.start("sleep", "1000")
    expect_megabyte(w.nerdctl("exec", "-i", name, "cat", input=MEGABYTE).stdout)


@step("exec -i </dev/null: cat ends", times=3)
def _(w):
    name = w.start("sleep", "1000")
    expect_equal(b"", w.nerdctl("exec", "-i", name, "cat", stdin=subprocess.DEVNULL, limit=8).stdout)


@step("exec -i, kept open")
def _(w):
    name = w.start("sleep", "1000")
    process = w.nerdctl.begin("exec", "-i", name, "cat")
    expect_echo(process, b"hello\n")
    expect_equal((0, b""), end_of(process))


@step("exec -it: a shell on a terminal")
def _(w):
    name = w.start("sleep", "1000")
    expect_shell(w.nerdctl.terminal("exec", "-it", name, "sh"))


@step("exec -d: it runs after the client")
def _(w):
    name = w.start("sleep", "1000")
    w.nerdctl("exec", "-d", name, "sh", "-c", "sleep 0.5; echo done >/tmp/file")
    expect(
        world.eventually(lambda: w.nerdctl("exec", name, "cat", "/tmp/file", check=False).stdout == b"done\n", 15), "it did not"
    )


@step("exec: the container ends under it")
def _(w):
    name = w.start("sh", "-c", "while [ ! -f /tmp/end ]; do sleep 0.1; done; exit 3")
    process = w.nerdctl.begin("exec", name, "sh", "-c", "echo ready; touch /tmp/end; sleep 1000", stdin=subprocess.DEVNULL)
    read_until(process, b"ready\n")
    expect(end_of(process)[0] != 0, "exec says success")
    expect_equal(["3"], w.nerdctl.lines("wait", name))


@step("exec: fifty, eight at a time", limit=120)
def _(w):
    name = w.start("sleep", "1000")
    waiting = []
    for number in range(50):
        waiting.append((number, w.nerdctl.begin("exec", name, "echo", str(number), stdin=subprocess.DEVNULL)))
        if len(waiting) == 8 or number == 49:
            for number, process in waiting:
                expect_equal((0, f"{number}\n".encode()), end_of(process))
            waiting = []


# --- attach


@step("run -it, detach by keys, attach, detach, attach again")
def _(w):
    with w.nerdctl.terminal("run", "-it", "--name", "shell", BOX, "sh") as terminal:
        terminal.until("#")
        terminal.send("\x10\x11")  # control-P, control-Q
        terminal.wait()
    for product in (42, 49):
        expect_equal("running", w.state("shell")["Status"])
        with w.nerdctl.terminal("attach", "shell") as terminal:
            terminal.send(f"echo $((7*{product // 7}))\n")
            terminal.until(f"\n{product}")
            terminal.send("\x10\x11")
            terminal.wait()
    with w.nerdctl.terminal("attach", "shell") as terminal:
        terminal.send("exit 9\n")
        terminal.wait()
    expect_equal(["9"], w.nerdctl.lines("wait", "shell"))
