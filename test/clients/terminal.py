# SPDX-License-Identifier: Apache-2.0
"""A terminal with a program on it, as a user has one."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from steps import Failed, shorten


class Terminal:
    def __init__(self, *command, rows=24, columns=80, **options):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            **options,
        )
        os.close(theirs)
        self.text = b""

    def send(self, text):
        os.write(self.ours, text.encode())

    def until(self, text, limit=20):
        """Waits for this text; what came before is gone."""
        end = time.monotonic() + limit
        while text.encode() not in self.text:
            if time.monotonic() > end or not self._read(end):
                raise Failed(f"no {text!r} on the terminal, but {shorten(self.text)}")
        self.text = self.text.split(text.encode(), 1)[1]

    def compute_and_exit(self):
        """A shell on it does, with exit code 6."""
        self.send("echo $((6*7))\n")
        self.until("42")
        self.send("exit 6\n")

    def wait(self, limit=20):
        """The exit code."""
        end = time.monotonic() + limit
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise Failed(f"the program on the terminal does not end, with {shorten(self.text)}")
            if not self._read(time.monotonic() + 0.1):
                time.sleep(0.01)  # all is read; it is about to end
        return self.process.returncode

    def _read(self, end):
        """Whether there may be more."""
        if not select.select([self.ours], [], [], max(0, end - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self.ours, 65536)
        except OSError:  # the last user has closed it
            return False
        self.text += data
        return bool(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.ours)
