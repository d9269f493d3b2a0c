# SPDX-License-Identifier: Apache-2.0
"""A command-line client: its calls begin with the same words and have the same environment."""

import json
import subprocess

from steps import Failed, shorten
from terminal import Terminal

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Client:
    """A call waits for the program's exit; `begin` and `terminal` leave it running. `before`: words before the program."""

    def __init__(self, program, *always, before=(), **environment):
        self.name = program.name
        self.always = [*before, program, *always]
        self.environment = {"PATH": PATH, "HOME": "/root", **environment}
        self.begun = []

    def command(self, *words):
        return list(map(str, (*self.always, *words)))

    def __call__(self, *words, input=b"", limit=30, check=True, **options):
        """Checks its exit too: raises Failed after a timeout, or if it fails."""
        if "stdin" not in options:
            options["input"] = input
        spelled = shorten(" ".join(map(str, (self.name, *words))))
        try:
            done = subprocess.run(self.command(*words), timeout=limit, env=self.environment, capture_output=True, **options)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{spelled}: not over after {limit} s; it said {shorten(error.stdout)}") from None
        if check and done.returncode != 0:
            raise Failed(f"{spelled}: exit code {done.returncode}: {shorten(done.stderr or done.stdout, 600)}")
        return done

    def line(self, *words):
        return self(*words).stdout.decode().strip()

    def lines(self, *words, **options):
        return self(*words, **options).stdout.decode().splitlines()

    def json(self, *words):
        return json.loads(self(*words).stdout)

    def begin(self, *words, stdin=subprocess.PIPE):
        process = subprocess.Popen(
            self.command(*words), env=self.environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.begun.append(process)
        return process

    def terminal(self, *words):
        return Terminal(*self.command(*words), env=self.environment)

    def kill_begun(self):
        for process in self.begun:
            process.kill()
            process.wait()
            for stream in filter(None, (process.stdin, process.stdout)):
                stream.close()
        self.begun = []
