#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo shows: containers on thinshim, and what they cost beside containerd's own shim.

Arguments: an empty directory, thinshim's binary, the stock shim's binary. Runs in mount and pid namespaces
that scripts/demo has made, and that end when this program does: it cleans up nothing.
"""
import ctypes
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import termios
import time

ROUNDS = 11  # of `start` and `delete`; the table shows the median
TIMEOUT = 30  # seconds for what takes milliseconds

MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 1 << 12, 1 << 14, 1 << 18, 2  # <sys/mount.h>

libc = ctypes.CDLL(None, use_errno=True)
directory, thinshim, stock = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
namespace = directory.name
containerd_socket = directory / "containerd.sock"
rootfs = directory / "rootfs"
bundles = directory / "state/io.containerd.runtime.v2.task" / namespace


def say(text):
    print(f"== {text}", flush=True)


def show(text):
    for line in text.replace("\r", "").rstrip("\n").split("\n"):
        print(f"   {line}", flush=True)


def wait_until(condition, what):
    end = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"demo: waited {TIMEOUT} s for {what}")
        time.sleep(0.01)


def ctr(*arguments, expect=0):
    """Shows the command and what it prints; a wrong exit code ends the demo."""
    show("$ ctr " + " ".join(str(word) for word in arguments).replace(str(directory), "."))
    done = subprocess.run(
        ["ctr", "-a", containerd_socket, "-n", namespace, *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT)
    if done.stdout:
        show(done.stdout)
    if done.returncode != expect:
        sys.exit(f"demo: exit code {done.returncode}, not {expect}")
    return done.stdout


# --- a place to run containers in


def call(function, *arguments):
    if getattr(libc, function)(*arguments) != 0:
        sys.exit(f"demo: {function}{arguments}: {os.strerror(ctypes.get_errno())}")


def leave_chroot():
    """Makes our root directory the root of the mount namespace: in a chroot the two differ, which runc can't do with."""
    root = os.open("/", os.O_PATH)
    call("setns", os.open("/proc/self/ns/mnt", os.O_RDONLY), 0)  # goes to the namespace's root
    os.fchdir(root)
    path = os.getcwdb()
    call("mount", b"", b"/", None, MS_REC | MS_PRIVATE, None)
    if path != b"/":
        call("mount", path, path, None, MS_REC | MS_BIND, None)
        os.chdir(path)
        call("pivot_root", b".", b".")
        call("umount2", b".", MNT_DETACH)


def mount_own():
    leave_chroot()
    call("mount", b"proc", b"/proc", b"proc", 0, None)
    for target in (directory, pathlib.Path("/run/containerd")):
        target.mkdir(parents=True, exist_ok=True)
        call("mount", b"tmpfs", bytes(target), b"tmpfs", 0, None)
    os.chdir(directory)  # the new one


def make_rootfs():
    for name in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", rootfs / "bin")
    for command in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
        if command != "busybox":
            (rootfs / "bin" / command).symlink_to("busybox")


def start_containerd():
    (directory / "config.toml").write_text(f"""version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "{containerd_socket}"
""")
    (directory / "bin").mkdir()
    (directory / "bin/containerd-shim-runc-v2").symlink_to(thinshim)
    environment = dict(os.environ, PATH=f"{directory}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    with open(directory / "log", "w") as log:
        containerd = subprocess.Popen(["containerd", "-c", directory / "config.toml"], cwd=directory, env=environment,
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def listens():
        if containerd.poll() is not None:
            sys.exit("demo: containerd does not start:\n" + (directory / "log").read_text())
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(containerd_socket)) == 0

    wait_until(listens, "containerd")


# --- containers


def status(container):
    listing = subprocess.check_output(["ctr", "-a", containerd_socket, "-n", namespace, "task", "ls"], text=True)
    return next((line.split()[2] for line in listing.splitlines() if line.split()[0] == container), "")


def end(container):
    ctr("task", "kill", "--signal", "SIGKILL", container)
    wait_until(lambda: status(container) == "STOPPED", f"the end of {container}")
    ctr("task", "delete", container)
    ctr("container", "delete", container)


def at_a_terminal(arguments, conversation):
    """Runs ctr at a pseudo terminal; `conversation` is a list of (text to wait for, text to type)."""
    show("$ ctr " + " ".join(str(word) for word in arguments).replace(str(directory), "."))
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        os.execvp("ctr", ["ctr", "-a", containerd_socket, "-n", namespace, *arguments])
    seen, answered, deadline = "", 0, time.monotonic() + TIMEOUT
    while True:
        if conversation and conversation[0][0] in seen[answered:]:
            answered = len(seen)
            os.write(terminal, conversation.pop(0)[1].encode())
        if not select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
            sys.exit(f"demo: the terminal is silent after {seen!r}")
        try:
            block = os.read(terminal, 4096)
        except OSError:  # EIO: the last one who had it open is gone
            break
        seen += block.decode(errors="replace")
    show(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", seen))  # the shell asks for the place of its cursor
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    if code != 0 or conversation:
        sys.exit(f"demo: the session ended with exit code {code}")


# --- what a shim costs


def command_line(process):
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def server_of(container):
    """The process that serves the container: containerd's shims carry its id in their command line. A program that has
    just been started has none for a moment, so it is waited for."""
    found = []

    def serves(process):
        words = command_line(process)
        return "-id" in words and words[words.index("-id") + 1] == container and words[-1] not in ("start", "delete")

    def is_there():
        found[:] = filter(serves, pathlib.Path("/proc").glob("[0-9]*"))
        return found

    wait_until(is_there, f"a shim that serves {container}")
    return found[0]


def memory_and_threads(process):
    fields = {}
    for name in ("smaps_rollup", "status"):
        for line in (process / name).read_text().splitlines():
            key, _, value = line.partition(":")
            fields[key] = value.split()[0] if value.split() else ""
    return int(fields["Private_Dirty"]), int(fields["Rss"]), int(fields["Threads"])


def timed(argv, bundle, environment, text):
    """Runs the program as containerd runs a shim; its output and the milliseconds until it had ended."""
    stdin, to_stdin = os.pipe()
    from_stdout, stdout = os.pipe()
    os.write(to_stdin, text)
    os.close(to_stdin)
    os.chdir(bundle)
    begin = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, environment, setpgroup=0, file_actions=[
        (os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stdout, 2)])
    os.close(stdout)
    output = b""
    while block := os.read(from_stdout, 4096):
        output += block
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    milliseconds = (time.perf_counter() - begin) * 1000
    os.chdir(directory)
    os.close(stdin)
    os.close(from_stdout)
    if code != 0:
        sys.exit(f"demo: {' '.join(map(str, argv))} failed: {output.decode(errors='replace')}")
    return output, milliseconds


def end_server(container):
    """Ends the shim that `start` has left. It may not have got so far as to mind SIGTERM, which Go's shim then takes
    without ending."""
    server = server_of(container)

    def has_ended():
        try:
            os.kill(int(server.name), signal.SIGTERM)
        except ProcessLookupError:
            return True
        return not command_line(server)  # a zombie, as nobody waits for it

    wait_until(has_ended, "the end of a shim")


def start_and_delete(shim, container, config):
    """One `start` and one `delete` of a bundle, and what each took."""
    bundle = bundles / container
    (bundle / "rootfs").mkdir(parents=True)
    (bundle / "config.json").write_text(json.dumps(config))
    (bundle / "runtime").touch()  # a shim's Create leaves these two for `delete`; empty for the defaults
    (bundle / "options.json").write_text("{}")
    os.mkfifo(bundle / "log")
    log = os.open(bundle / "log", os.O_RDWR | os.O_NONBLOCK)  # containerd reads it
    environment = dict(os.environ, TTRPC_ADDRESS=f"{containerd_socket}.ttrpc", GOMAXPROCS="2")
    flags = [str(shim), "-namespace", namespace, "-address", str(containerd_socket),
             "-publish-binary", "/usr/bin/containerd", "-id", container]
    type_url = b"containerd.runc.v1.Options"  # an Any without a value: the default options
    _, start = timed(flags + ["start"], bundle, environment, b"\x0a" + bytes([len(type_url)]) + type_url)
    end_server(container)
    _, delete = timed(flags + ["-bundle", str(bundle), "delete"], bundle, environment, b"")
    os.close(log)
    shutil.rmtree(bundle)
    return start, delete


def measure():
    """A row of the table for each figure: its name and the values of both shims."""
    # Pages of a program that was written a moment ago, and are not on the disk yet, count as its private memory.
    with open(thinshim) as program:
        os.fsync(program.fileno())
    shims = {"thinshim": (thinshim, "io.containerd.runc.v2"), "stock": (stock, str(stock))}
    processes, times, config = {}, {name: [] for name in shims}, None
    for name, (_, runtime) in shims.items():
        ctr("run", "--detach", "--null-io", "--runtime", runtime, "--rootfs", rootfs, "idle-" + name, "/bin/sleep", "1000")
        config = json.loads((bundles / ("idle-" + name) / "config.json").read_text())
    time.sleep(1)  # both shall be idle, not freshly started
    for name in shims:
        processes[name] = memory_and_threads(server_of("idle-" + name))
        if os.readlink(server_of("idle-" + name) / "exe") != str(shims[name][0]):
            sys.exit(f"demo: the container is not on {shims[name][0]}")
    for name in shims:
        end("idle-" + name)
    for turn in range(ROUNDS):
        for name, (shim, _) in shims.items():
            times[name].append(start_and_delete(shim, f"timed-{name}-{turn}", config))
    rows = []
    for index, label in enumerate(("private memory, kB", "resident memory, kB", "threads")):
        rows.append([label] + [str(processes[name][index]) for name in shims])
    for index, label in enumerate(("`start`, ms", "`delete`, ms")):
        rows.append([label] + [f"{statistics.median(pair[index] for pair in times[name]):.1f}" for name in shims])
    return rows


def main():
    say("A root file system out of busybox, and a private containerd in a temporary folder")
    mount_own()
    make_rootfs()
    start_containerd()
    show(subprocess.check_output(["containerd", "--version"], text=True))
    show(f"first on its PATH as containerd-shim-runc-v2: {thinshim}")

    say("A container that runs to its end; its exit code is 3")
    ctr("run", "--rm", "--rootfs", rootfs, "plain", "/bin/sh", "-c", "echo hello from $(uname -n); exit 3", expect=3)

    say("One that runs in the background, looked at from outside and from inside")
    ctr("run", "--detach", "--rootfs", rootfs, "background", "/bin/sleep", "1000")
    ctr("task", "ls")
    ctr("task", "exec", "--exec-id", "look", "background", "/bin/ps")
    shim = server_of("background")
    show(f"its shim: {' '.join(command_line(shim))}")
    end("background")

    say("An interactive one, at a terminal")
    at_a_terminal(["run", "--rm", "--tty", "--rootfs", str(rootfs), "shell", "/bin/sh"],
                  [("# ", "tty; stty size\r"), ("# ", "echo typed at a terminal\r"), ("# ", "exit\r")])

    say(f"What a shim costs: one idle container on each; `start` and `delete` in turn, median of {ROUNDS}")
    rows = measure()
    print(f"\n   {'':24}{'thinshim':>12}{'stock':>12}")
    for label, ours, theirs in rows:
        print(f"   {label:24}{ours:>12}{theirs:>12}")
    print()
    say("Done; everything that was started ends now")


if __name__ == "__main__":
    main()
