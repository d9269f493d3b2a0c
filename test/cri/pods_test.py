#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""What the kubelet does with a container runtime, done with a containerd that runs thinshim in place of the stock shim.

Debian packages gRPC for /usr/bin/python3.
"""
import concurrent.futures
import os
import signal
import time

import grpc

from pods import PodTest, Status, api, world

IGNORES_TERM = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


class Pods(PodTest):
    def only_shim(self):
        found = world.shims()
        self.assertEqual(1, len(found), found)
        return next(iter(found))

    def test_containers_share_the_shim_of_their_sandbox(self):
        pod = self.run_pod()
        one = self.start(pod, "one", "exec sleep 1000")
        shim = self.only_shim()
        two = self.start(pod, "two", "exec sleep 1000")
        self.assertEqual(shim, self.only_shim())
        self.assertEqual({shim}, {world.parent(self.pid(container)) for container in (one, two)})
        other = self.start(self.run_pod(), "one", "exec sleep 1000")
        self.assertEqual(2, len(world.shims()))
        self.assertNotEqual(shim, world.parent(self.pid(other)))

    def test_a_container_is_restarted_in_its_pod(self):
        pod = self.run_pod()
        shim = self.only_shim()
        for code in (1, 2, 3):
            container = self.start(pod, "crashes", f"exit {code}")
            self.assertEqual(code, self.has_exited(container).exit_code)
            self.cri.RemoveContainer(container_id=container)
        self.assertEqual(shim, self.only_shim())

    def test_exec_sync_gives_both_streams_and_the_code(self):
        container = self.start(self.run_pod(), "web", "exec sleep 1000")
        done = self.exec(container, "echo to stdout; echo to stderr >&2; exit 7")
        self.assertEqual((b"to stdout\n", b"to stderr\n", 7), (done.stdout, done.stderr, done.exit_code))
        with self.assertRaisesRegex(grpc.RpcError, "no-such-program"):
            self.cri.ExecSync(container_id=container, cmd=["/no-such-program"], timeout=world.TIMEOUT)

    def test_probes_at_once_are_all_answered_and_leave_no_file_open(self):
        container = self.start(self.run_pod(), "web", "exec sleep 1000")
        files = f"/proc/{self.only_shim()}/fd"
        self.exec(container, "true")
        before = len(os.listdir(files))

        def probe(number):
            done = self.exec(container, f"echo {number}; exit {number}")
            return done.stdout.decode(), done.exit_code

        with concurrent.futures.ThreadPoolExecutor(4) as probes:
            answers = list(probes.map(probe, range(20)))
        self.assertEqual([(f"{number}\n", number) for number in range(20)], answers)
        self.eventually(lambda: len(os.listdir(files)) <= before, "files left open")

    def test_exec_sync_that_takes_too_long_is_killed(self):
        container = self.start(self.run_pod(), "web", "exec sleep 1000")
        begin = time.monotonic()
        with self.assertRaises(grpc.RpcError) as raised:
            self.exec(container, "exec sleep 4242", timeout=1)
        self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, raised.exception.code())
        self.assertLess(time.monotonic() - begin, 10)
        self.eventually(lambda: ["sleep", "4242"] not in world.processes().values(), "the program runs on")
        self.assertEqual(Status.RUNNING, self.status(container).state)
        self.assertEqual(0, self.exec(container, "true").exit_code)

    def test_logs_hold_all_of_both_streams(self):
        # containerd 1.6 may lose unread output of a container that exits, with the stock shim too.
        os.mkfifo(self.shared / "go")
        container = self.start(self.run_pod(), "web", "seq 1 20000; echo to stderr >&2; read line < /shared/go; echo -n no newline")
        self.eventually(lambda: len(self.log("web")) >= 20001, "lost in the log")
        (self.shared / "go").write_text("on\n")
        self.assertEqual(0, self.has_exited(container).exit_code)
        # containerd reports the exit before it has written the whole log.
        self.eventually(lambda: len(self.log("web")) >= 20002, "lost in the log")
        out, err = ([line for line in self.log("web") if line[0] == stream] for stream in ("stdout", "stderr"))
        self.assertEqual([("stdout", "F", str(number)) for number in range(1, 20001)], out[:-1])
        self.assertEqual([("stdout", "P", "no newline")], out[-1:])
        self.assertEqual([("stderr", "F", "to stderr")], err)

    def test_a_terminal_is_logged(self):
        container = self.start(self.run_pod(), "shell", "tty; exit 3", tty=True)
        self.assertEqual(3, self.has_exited(container).exit_code)
        self.eventually(lambda: self.log("shell") == [("stdout", "F", "/dev/pts/0")], "not in the log")

    def test_the_reason_of_an_exit_is_reported(self):
        pod = self.run_pod()
        for name, script, code, reason in (("good", "exit 0", 0, "Completed"), ("bad", "exit 9", 9, "Error"),
                                           ("killed", "sh -c 'kill -9 $$'; exit $?", 137, "Error")):
            with self.subTest(name):
                status = self.has_exited(self.start(pod, name, script))
                self.assertEqual((code, reason), (status.exit_code, status.reason))
                self.assertGreater(status.finished_at, status.created_at)

    def test_out_of_memory_is_reported_as_the_reason(self):
        pod = self.run_pod()
        limit = api.Resources(memory_limit_in_bytes=16 << 20)
        greedy = self.start(pod, "greedy", "x=xxxxxxxx; while :; do x=$x$x; done", resources=limit)
        modest = self.start(pod, "modest", "exec sleep 1000", resources=limit)
        status = self.has_exited(greedy)
        self.assertEqual((137, "OOMKilled"), (status.exit_code, status.reason))
        self.cri.StopContainer(container_id=modest)
        self.assertEqual("Error", self.has_exited(modest).reason)

    def test_stop_returns_when_sigterm_works_and_kills_otherwise(self):
        pod = self.run_pod()
        obeys = self.start(pod, "obeys", "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.1; done")
        ignores = self.start(pod, "ignores", IGNORES_TERM)
        for name in ("obeys", "ignores"):
            self.eventually(lambda: ("stdout", "F", "ready") in self.log(name), name)
        begin = time.monotonic()
        self.cri.StopContainer(container_id=obeys, timeout=20)
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual(7, self.status(obeys).exit_code)
        self.eventually(lambda: ("stdout", "F", "bye") in self.log("obeys"))
        begin = time.monotonic()
        self.cri.StopContainer(container_id=ignores, timeout=1)
        self.assertTrue(1 <= time.monotonic() - begin < 10)
        self.assertEqual(137, self.status(ignores).exit_code)

    def test_stats_and_updates_reach_the_container(self):
        container = self.start(self.run_pod(), "web", "exec sleep 1000", resources=api.Resources(memory_limit_in_bytes=64 << 20))
        stats = self.cri.ContainerStats(container_id=container).stats
        self.assertGreater(stats.cpu.usage_core_nano_seconds.value, 0)
        self.assertTrue(0 < stats.memory.working_set_bytes.value < 64 << 20)
        self.cri.UpdateContainerResources(container_id=container, linux=api.Resources(memory_limit_in_bytes=32 << 20))
        limits = [path.read_text() for path in world.group_files("memory.limit_in_bytes") + world.group_files("memory.max")
                  if container in path.parent.name]
        self.assertEqual([f"{32 << 20}\n"], limits)

    def test_what_a_container_leaves_in_the_process_namespace_of_its_pod_is_killed(self):
        pod = self.run_pod(pid=api.POD)
        container = self.start(pod, "web", "sleep 4242 & sleep 0.1; exit 0", pid=api.POD)
        self.assertEqual(0, self.has_exited(container).exit_code)
        self.eventually(lambda: ["sleep", "4242"] not in world.processes().values(), "it lives on")

    def test_containers_exit_when_their_shim_is_killed(self):
        pod = self.run_pod()
        container = self.start(pod, "web", "exec sleep 4242")
        os.kill(self.only_shim(), signal.SIGKILL)
        self.assertNotEqual(0, self.has_exited(container).exit_code)
        self.eventually(lambda: ["sleep", "4242"] not in world.processes().values(), "it lives on")
        self.eventually(lambda: self.cri.PodSandboxStatus(pod_sandbox_id=pod).status.state == api.PodSandboxStatus.NOTREADY)


class Restart(PodTest):
    """containerd is killed while its pods run, and restarts."""

    def test_pods_are_found_again_and_exits_meanwhile_are_reported(self):
        pod = self.run_pod()
        os.mkfifo(self.shared / "fifo")
        os.mkfifo(self.shared / "code")
        stays = self.start(pod, "stays", "while :; do read line < /shared/fifo && echo $line; done")
        ends = self.start(pod, "ends", "read code < /shared/code; echo last words; exit $code")
        pids = {stays: self.pid(stays), ends: self.pid(ends)}
        shims = world.shims()
        self.say("fifo", "before")
        self.eventually(lambda: ("stdout", "F", "before") in self.log("stays"))
        self.daemon.down(signal.SIGKILL)
        self.say("fifo", "meanwhile")
        self.say("code", "5")
        self.eventually(lambda: pids[ends] not in world.processes())
        self.daemon.up()
        self.assertEqual(shims, world.shims())
        self.assertEqual((Status.RUNNING, pids[stays]), (self.status(stays).state, self.pid(stays)))
        status = self.has_exited(ends)
        self.assertEqual((5, "Error"), (status.exit_code, status.reason))
        self.assertEqual(b"hello\n", self.exec(stays, "echo hello").stdout)
        self.say("fifo", "after")
        self.eventually(lambda: [line[2] for line in self.log("stays")] == ["before", "meanwhile", "after"], "lost in the log")
        self.eventually(lambda: self.log("ends") == [("stdout", "F", "last words")], "lost in the log")
        # The pod works as before: a container can be added, and an exit is reported.
        self.start(pod, "late", "exit 0")
        self.cri.StopContainer(container_id=stays, timeout=0)
        self.assertEqual(137, self.status(stays).exit_code)

    def test_a_pod_that_was_stopped_with_containerd_down_is_removed(self):
        pod = self.run_pod()
        self.start(pod, "web", "exec sleep 1000")
        self.daemon.down(signal.SIGKILL)
        for shim in world.shims():
            os.kill(shim, signal.SIGKILL)
        self.daemon.up()
        self.eventually(lambda: self.cri.PodSandboxStatus(pod_sandbox_id=pod).status.state == api.PodSandboxStatus.NOTREADY)

    def say(self, fifo, text):
        (self.shared / fifo).write_text(text + "\n")


if __name__ == "__main__":
    world.main()
