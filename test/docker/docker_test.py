#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Debian's Docker, with thinshim first on the PATH of its containerd."""
import fcntl
import json
import os
import pathlib
import pty
import select
import signal
import struct
import subprocess
import sys
import termios

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import world  # noqa: E402

SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"  # Debian's programs only
IMAGE = "box"


class Docker(world.Daemon):
    """dockerd, which runs a containerd of its own, without networks."""

    def __init__(self, name):
        super().__init__(name, SYSTEM)
        # dockerd writes to these.
        for place in ("/run", "/opt"):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
        (self.directory / "daemon.json").write_text("{}")  # in place of the machine's

    def up(self):
        self.start("/usr/sbin/dockerd", "--host", f"unix://{self.socket}", "--data-root", self.directory / "root",
                   "--exec-root", self.directory / "exec", "--pidfile", self.directory / "pid",
                   "--config-file", self.directory / "daemon.json",
                   "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none", "--live-restore",
                   "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/" + world.NAME)

    def down(self, number=signal.SIGTERM):
        containerd = self.containerd()
        self.end(number)
        # The containerd of a killed dockerd exits a moment later.
        if not world.eventually(lambda: not containerd & world.processes().keys()):
            raise RuntimeError("its containerd is still running")

    def containerd(self):
        return {pid for pid, words in world.processes().items() if pathlib.Path(words[0]).name == "containerd"}

    def import_image(self):
        world.make_busybox_tree(self.directory / "box")
        subprocess.run(["tar", "-C", self.directory / "box", "-cf", self.directory / "box.tar", "."], check=True)
        subprocess.run([*self.client("import"), self.directory / "box.tar", IMAGE], check=True, stdout=subprocess.DEVNULL,
                       timeout=world.TIMEOUT)

    def client(self, *arguments):
        return ["/usr/bin/docker", "--host", f"unix://{self.socket}", *arguments]


class DockerTest(world.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Docker(cls.__name__)
        cls.daemon.up()
        cls.daemon.import_image()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.down()
        if reports := cls.daemon.reports():
            raise AssertionError(reports)

    def setUp(self):
        super().setUp()
        directory = self.daemon.directory
        self.shared = directory / "shared" / self.id()
        self.shared.mkdir(parents=True)
        bundles = [directory / place / "io.containerd.runtime.v2.task/moby"
                   for place in ("exec/containerd/daemon", "root/containerd/daemon")]
        self.leftovers = world.Leftovers(*bundles, directory / "exec/runtime-runc/moby")
        self.addCleanup(self._remove_all)

    def _remove_all(self):
        if names := self.docker("ps", "--all", "--quiet").stdout.split():
            self.docker("rm", "--force", *names)
        self.assertEqual([], self.leftovers.after({self.daemon.process.pid, *self.daemon.containerd()}), "left over")

    # --- verbs

    def docker(self, *arguments, expect=0, **options):
        done = subprocess.run(self.daemon.client(*arguments), capture_output=True, text=True, timeout=world.TIMEOUT, **options)
        self.assertEqual(expect, done.returncode, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def run_detached(self, name, script, *flags):
        self.docker("run", "--detach", "--name", name, "--volume", f"{self.shared}:/shared", *flags, IMAGE, "/bin/sh", "-c", script)

    def inspect(self, name):
        return json.loads(self.docker("inspect", name).stdout)[0]

    def state(self, name):
        return self.inspect(name)["State"]

    def has_exited(self, name):
        self.eventually(lambda: self.state(name)["Status"] == "exited", "runs on")
        return self.state(name)

    def logs(self, name):
        done = self.docker("logs", name)
        return done.stdout, done.stderr

    def has_logged(self, name, text):
        self.eventually(lambda: self.logs(name)[0] == text, f"not in the log of {name}")

    def at_a_terminal(self, *arguments):
        """Runs the client at a terminal of 33 rows and 111 columns: (process, function that reads up to a text, that writes)."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 33, 111, 0, 0))
        client = subprocess.Popen(self.daemon.client(*arguments), stdin=theirs, stdout=theirs, stderr=theirs,
                                  start_new_session=True)
        os.close(theirs)
        shown = b""

        def expect(text):
            nonlocal shown
            while text.encode() not in shown:
                if not select.select([ours], [], [], world.TIMEOUT)[0]:
                    self.fail(f"no {text!r} in {shown}")
                shown += os.read(ours, 4096)
            shown = shown.partition(text.encode())[2]

        return client, expect, lambda text: os.write(ours, text.encode())


class Containers(DockerTest):
    def test_run_shows_both_streams_and_passes_stdin_and_the_code_on(self):
        done = self.docker("run", "--rm", "--interactive", IMAGE, "/bin/sh", "-c", "cat; echo to stderr >&2; exit 7",
                           input="to stdin\n", expect=7)
        self.assertEqual(("to stdin\n", "to stderr"), (done.stdout, done.stderr.splitlines()[-1]))

    def test_thinshim_serves(self):
        self.run_detached("web", "exec sleep 1000")
        self.assertEqual([str(world.SHIM)], [os.readlink(f"/proc/{shim}/exe") for shim in world.shims()])

    def test_run_at_a_terminal(self):
        client, expect, type_in = self.at_a_terminal("run", "--rm", "-it", IMAGE, "/bin/sh")
        expect("# ")
        type_in("stty size\r")
        expect("33 111")
        expect("# ")
        type_in("echo now $((1 + 1)); cat\r")
        expect("now 2")  # earlier input would go to the shell
        type_in("both ways\r")
        expect("both ways")  # the terminal's echo
        expect("both ways")  # cat's
        type_in("\x03")  # ^C ends only cat
        expect("# ")
        type_in("exit 5\r")
        self.assertEqual(5, client.wait(world.TIMEOUT))

    def test_exec(self):
        self.run_detached("web", "exec sleep 1000")
        done = self.docker("exec", "--interactive", "web", "/bin/sh", "-c", "cat; echo to stderr >&2; exit 7", input="to stdin\n",
                           expect=7)
        self.assertEqual(("to stdin\n", "to stderr\n"), (done.stdout, done.stderr))
        client, expect, type_in = self.at_a_terminal("exec", "-it", "web", "/bin/sh")
        expect("# ")
        type_in("tty; exit 5\r")
        expect("/dev/pts/")
        self.assertEqual(5, client.wait(world.TIMEOUT))

    def test_stop_and_kill(self):
        self.run_detached("obeys", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done")
        self.run_detached("ignores", "trap '' TERM; trap 'echo told' USR1; echo ready; while :; do sleep 0.1; done")
        self.has_logged("obeys", "ready\n")
        self.has_logged("ignores", "ready\n")
        self.docker("stop", "obeys")
        self.assertEqual(7, self.state("obeys")["ExitCode"])
        self.docker("kill", "--signal", "USR1", "ignores")
        self.has_logged("ignores", "ready\ntold\n")
        self.docker("stop", "--time", "1", "ignores")
        self.assertEqual(137, self.state("ignores")["ExitCode"])
        self.run_detached("dies", "exec sleep 1000")
        self.docker("kill", "dies")
        self.assertEqual(137, self.has_exited("dies")["ExitCode"])

    def test_logs_hold_all_of_both_streams(self):
        self.run_detached("web", "seq 1 20000; echo to stderr >&2")
        self.assertEqual("0\n", self.docker("wait", "web").stdout)
        self.assertEqual(("".join(f"{number}\n" for number in range(1, 20001)), "to stderr\n"), self.logs("web"))

    def test_restarts_as_the_policy_says(self):
        self.run_detached("fails", "echo again; exit 3", "--restart", "on-failure:2")
        self.eventually(lambda: self.inspect("fails")["RestartCount"] == 2 and self.state("fails")["Status"] == "exited")
        self.assertEqual(3, self.state("fails")["ExitCode"])
        self.has_logged("fails", "again\n" * 3)
        self.run_detached("always", "exec sleep 1000", "--restart", "always")
        pid = self.state("always")["Pid"]
        os.kill(pid, signal.SIGKILL)
        self.eventually(lambda: self.state("always")["Status"] == "running" and self.state("always")["Pid"] != pid)
        self.docker("restart", "--time", "0", "always")
        self.assertEqual("running", self.state("always")["Status"])

    def test_stats_top_pause_and_update(self):
        self.run_detached("web", "sleep 1000 & wait", "--memory", "64m")
        stats = json.loads(self.docker("stats", "--no-stream", "--format", "{{json .}}", "web").stdout)
        self.assertEqual(("2", "64MiB"), (stats["PIDs"], stats["MemUsage"].split(" / ")[1]))
        self.assertNotEqual("0B", stats["MemUsage"].split(" / ")[0])
        self.assertEqual(3, len(self.docker("top", "web").stdout.splitlines()))
        self.docker("pause", "web")
        self.assertEqual("paused", self.state("web")["Status"])
        self.docker("exec", "web", "/bin/true", expect=1)
        self.docker("unpause", "web")
        self.docker("exec", "web", "/bin/true")
        self.docker("update", "--memory", "32m", "--memory-swap", "64m", "web")
        self.assertIn(f"{32 << 20}\n", [path.read_text() for name in ("memory.limit_in_bytes", "memory.max")
                                        for path in world.group_files(name)])

    def test_out_of_memory_is_reported(self):
        self.run_detached("greedy", "x=xxxxxxxx; while :; do x=$x$x; done", "--memory", "16m")
        state = self.has_exited("greedy")
        self.assertEqual((137, True), (state["ExitCode"], state["OOMKilled"]))

    def test_a_health_check_is_run(self):
        self.run_detached("web", "exec sleep 1000", "--health-cmd", "true", "--health-interval", "100ms")
        self.eventually(lambda: self.state("web")["Health"]["Status"] == "healthy")


class LiveRestore(DockerTest):
    """Containers keep running when dockerd and its containerd exit or are killed."""

    def survives(self, number):
        for fifo in ("line", "code"):
            os.mkfifo(self.shared / fifo)
        self.run_detached("stays", "while :; do read line < /shared/line && echo $line; done")
        self.run_detached("ends", "read code < /shared/code; exit $code")
        pid = self.state("stays")["Pid"]
        ending = self.state("ends")["Pid"]
        (self.shared / "line").write_text("before\n")
        self.has_logged("stays", "before\n")
        self.daemon.down(number)
        (self.shared / "line").write_text("meanwhile\n")
        (self.shared / "code").write_text("5\n")
        self.eventually(lambda: ending not in world.processes())
        self.daemon.up()
        self.assertEqual(("running", pid), (self.state("stays")["Status"], self.state("stays")["Pid"]))
        self.assertEqual(5, self.has_exited("ends")["ExitCode"])
        self.assertEqual("hello\n", self.docker("exec", "stays", "/bin/echo", "hello").stdout)
        (self.shared / "line").write_text("after\n")
        self.has_logged("stays", "before\nmeanwhile\nafter\n")
        self.docker("kill", "stays")
        self.assertEqual(137, self.has_exited("stays")["ExitCode"])

    def test_an_orderly_restart(self):
        self.survives(signal.SIGTERM)

    def test_a_crash(self):
        self.survives(signal.SIGKILL)


if __name__ == "__main__":
    world.main()
