# SPDX-License-Identifier: Apache-2.0
"""Shared by tests in Python: a daemon, a check for leftovers, and results in the Test Anything Protocol, for Meson.

They run inside in_own_namespaces: every process, mount and socket that they see is of the tests, and ends with them.
$THINSHIM_BINARY names the shim to test.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
import unittest

DIRECTORY = pathlib.Path(os.environ["THINSHIM_TEST_DIRECTORY"])
NAME = DIRECTORY.name  # unique; cgroups begin with it
SHIM = pathlib.Path(os.environ["THINSHIM_BINARY"]).resolve()
SYSTEMD = os.environ.get("THINSHIM_TEST_CGROUP_DRIVER") == "systemd"  # creates the cgroups
SLOWNESS = int(os.environ.get("THINSHIM_TEST_SLOWNESS", 1))  # of the machine
TIMEOUT = 30 * SLOWNESS  # seconds for events that take milliseconds; only a failing test reaches it
LIMIT = 120 * SLOWNESS  # seconds for a test


def eventually(condition, limit=TIMEOUT):
    """Polls until the condition is true, or until the limit; returns its last value."""
    end = time.monotonic() + limit
    while not (answer := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return answer


# --- the state of the machine


def command_line(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    return []


def processes():
    """The command lines of all processes by pid, without zombies."""
    pids = (int(entry.name) for entry in pathlib.Path("/proc").glob("[0-9]*"))
    return {pid: words for pid in pids if (words := command_line(pid))}


def shims():
    """The serving shims."""
    return {pid for pid, words in processes().items()
            if "-namespace" in words and "-id" in words and words[-1] not in ("start", "delete")}


def parent(pid):
    # pid (name) state parent ...; the name may hold blanks and parentheses.
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def group_files(name):
    """Files of this name in the cgroups of the tests' containers, which are below the top-level cgroup NAME, or, if systemd
    creates them, in the slice of all whose names begin with NAME."""
    root = pathlib.Path("/sys/fs/cgroup")
    tops = [top / ours for top in (root, *root.iterdir()) for ours in (NAME, NAME + ".slice")]
    # os.walk ignores directories that are removed meanwhile.
    return [pathlib.Path(place) / name for top in tops for place, _, files in os.walk(top)
            if name in files and pathlib.Path(place) != top]


def entries(directory):
    with contextlib.suppress(FileNotFoundError):
        return {path for path in directory.iterdir() if path.name not in (".lock", ".empty-directory")}
    return set()


class Leftovers:
    """Compares the state now with that at construction: processes, mounts, sockets, the runtime's state, bundles, cgroups.

    `directories` are more places that must have the same entries afterwards."""

    def __init__(self, *directories):
        self.directories = [pathlib.Path("/run/containerd/s"), *directories]
        self.before = self.traces()

    def traces(self, spared=()):
        found = {f"process {pid} {words}" for pid, words in processes().items() if pid not in {1, os.getpid(), *spared}}
        found |= {"mount " + line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()}
        found |= {f"entry {path}" for directory in self.directories for path in entries(directory)}
        return found | {f"cgroup {path.parent}" for path in group_files("cgroup.procs")}

    def after(self, spared):
        """What is new, after a while for it to disappear; `spared` are processes that may be new."""
        left = []

        def is_gone():
            left[:] = sorted(self.traces(spared) - self.before)
            return not left

        eventually(is_gone, 10)
        return left


# --- a daemon


class Daemon:
    """A program that listens on a socket, with the shim under test first on its PATH; it can be restarted.

    `answers` returns whether it is ready, once it listens."""

    def __init__(self, name, path=os.environ["PATH"]):
        self.directory = DIRECTORY / name
        self.socket = self.directory / f"{name}.sock"
        self.log = self.directory / "log"
        self.programs = self.directory / "bin"  # the first directory of its PATH
        self.programs.mkdir(parents=True)
        (self.programs / "containerd-shim-runc-v2").symlink_to(SHIM)
        # A shim that was built with sanitizers writes its reports here.
        reports = {f"{tool}_OPTIONS": f"log_path={self.directory}/report" for tool in ("ASAN", "UBSAN")}
        self.environment = dict(os.environ, PATH=f"{self.programs}:{path}", **reports)
        self.process = None
        self._own_etc()

    def _own_etc(self):
        """The machine's /etc, with files that containers need and a bare machine lacks; changes are visible here only."""
        layers = {name: self.directory / "etc" / name for name in ("upperdir", "workdir")}
        for path in layers.values():
            path.mkdir(parents=True)
        options = ",".join(["lowerdir=/etc", *(f"{name}={path}" for name, path in layers.items())])
        subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", "/etc"], check=True)
        for name in ("hosts", "resolv.conf"):
            pathlib.Path("/etc", name).touch()

    def start(self, *command, answers=lambda: True):
        with open(self.log, "ab") as log:
            # containerd looks for shims in its working directory before PATH.
            self.process = subprocess.Popen(list(map(str, command)), env=self.environment, cwd=self.directory,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        up = eventually(lambda: self.process.poll() is not None or (self._listens() and answers()))
        if not up or self.process.poll() is not None:
            raise RuntimeError(f"{command[0]} does not start:\n{self.log.read_text(errors='replace')}")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(TIMEOUT)

    def reports(self):
        return "".join(path.read_text(errors="replace") for path in self.directory.glob("report.*"))

    def _listens(self):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.socket)) == 0


# --- images


def make_busybox_tree(root):
    for name in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin")
    for command in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
        if command != "busybox":
            (root / "bin" / command).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")


# --- running tests


class TimeLimit(Exception):
    pass


class TestCase(unittest.TestCase):
    """A test within a time limit. The log of `daemon` is printed if the test fails."""
    maxDiff = None
    daemon = None

    def setUp(self):
        signal.signal(signal.SIGALRM, self._too_long)
        signal.alarm(LIMIT)
        self.addCleanup(signal.alarm, 0)

    @staticmethod
    def _too_long(*_):
        raise TimeLimit(f"took more than {LIMIT} s")

    def eventually(self, condition, message=None, limit=TIMEOUT):
        answer = eventually(condition, limit)
        self.assertTrue(answer, message)
        return answer


class TapResult(unittest.TestResult):
    """Prints results in the Test Anything Protocol, which Meson reads."""

    def startTestRun(self):
        self.reported = 0
        self.begin = time.monotonic()

    def _report(self, word, test, text=""):
        self.reported += 1
        print(f"{word} {self.reported} - {test.id().removeprefix('__main__.')}", flush=True)
        for line in text.splitlines():
            print(f"# {line}")
        print(f"# at {time.monotonic() - self.begin:.1f} s", flush=True)

    def _bad(self, test, error):
        self._report("not ok", test, "".join(traceback.format_exception(*error)))
        if log := getattr(getattr(test, "daemon", None), "log", None):
            print("\n".join("# | " + line for line in log.read_text(errors="replace").splitlines()[-200:]))

    def addSuccess(self, test):
        super().addSuccess(test)
        self._report("ok", test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._bad(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self._bad(test, error)

    def addSubTest(self, test, part, error):
        super().addSubTest(test, part, error)
        if error:
            self._bad(part, error)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._report("not ok", test, "skipped: " + reason)  # a skipped test is a failure

    def stopTestRun(self):
        print(f"1..{self.reported}", flush=True)


def main():
    """Runs the tests of the calling program whose names contain one of its arguments; all without arguments."""
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{word}*" for word in sys.argv[1:]] or None
    result = TapResult()
    result.startTestRun()
    loader.loadTestsFromModule(sys.modules["__main__"]).run(result)
    result.stopTestRun()
    sys.exit(not result.wasSuccessful() or result.reported == 0)
