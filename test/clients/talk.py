# SPDX-License-Identifier: Apache-2.0
"""Listening to programs that run, and to what they serve."""

import contextlib
import http.client
import os
import select
import subprocess
import time

from steps import Failed, shorten

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


def end_of(process, limit=20):
    """The exit code, and the rest of what it says."""
    try:
        said, _ = process.communicate(timeout=limit)
        return process.returncode, said
    except subprocess.TimeoutExpired as error:
        raise Failed(f"it does not end; it said {shorten(error.stdout)}") from None


def fetch(port, address="127.0.0.1"):
    """A page, or nothing."""
    connection = http.client.HTTPConnection(address, port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/")
        return connection.getresponse().read()


def without_complaints(said):
    """Without nerdctl's own lines: it passes SIGCHLD on, too, to a container that may be over."""
    return b"".join(line for line in said.splitlines(True) if not line.startswith(b'time="'))
