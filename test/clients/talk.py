# SPDX-License-Identifier: Apache-2.0
"""Speaking with programs that run, and looking at what came of it."""

import contextlib
import http.client
import os
import select
import subprocess
import time

import world
from registry import PAGE
from steps import Failed, expect, expect_equal, shorten

MEGABYTE = b"0123456789abcde\n" * 65536


def read_until(process, text, limit=20):
    """What a process that was begun says up to this text."""
    end, said = time.monotonic() + limit, b""
    while text not in said:
        if not select.select([process.stdout], [], [], max(0, end - time.monotonic()))[0]:
            raise Failed(f"no {text!r} but {shorten(said)}")
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            raise Failed(f"the end after {shorten(said)}")
        said += data
    return said


def expect_echo(process, *texts):
    """Each comes back before the next is said."""
    for text in texts:
        process.stdin.write(text)
        process.stdin.flush()
        read_until(process, text)


def expect_shell(terminal):
    """That of an exec: it answers, and its exit code is told."""
    with terminal:
        terminal.until("#")
        terminal.compute_and_exit()
        terminal.until("exit code 6")
        expect(terminal.wait() != 0, "it says success")


def end_of(process, limit=20):
    """The exit code, and the rest of what it says."""
    try:
        said, _ = process.communicate(timeout=limit)
        return process.returncode, said
    except subprocess.TimeoutExpired as error:
        raise Failed(f"it does not end; it said {shorten(error.stdout)}") from None


def fetch(port, address):
    """A page, or nothing."""
    connection = http.client.HTTPConnection(address, port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/")
        return connection.getresponse().read()


def expect_page(port, address="127.0.0.1"):
    expect(world.eventually(lambda: fetch(port, address) == PAGE.encode(), 10), "no answer")


def without_complaints(said):
    """Without nerdctl's own lines: it passes SIGCHLD on, too, to a container that may be over."""
    return b"".join(line for line in said.splitlines(True) if not line.startswith(b'time="'))


def expect_megabyte(said):
    expect(said == MEGABYTE, f"{len(said)} of {len(MEGABYTE)} bytes")


def expect_numbers(lines):
    """Of `seq 1 200000; echo END`."""
    expect_equal((200001, "END"), (len(lines), lines[-1] if lines else None), "lines and the last of them")


def expect_growth(lines, limit=10):
    """A log does not stand still; `lines` is asked again and again."""
    count = len(lines())
    expect(world.eventually(lambda: len(lines()) > count, limit), "the log stands still")


def expect_gone(*words, limit=15):
    """Processes with this command line."""

    def count():
        return list(world.processes().values()).count(list(words))

    expect(world.eventually(lambda: not count(), limit), f"{count()} processes {' '.join(words)} live on")
