# SPDX-License-Identifier: Apache-2.0
"""Named checks, one after the other, each with a time limit; prints the results as lines of JSON.

A group is a module that declares its checks with @step and ends with main(); run.py starts it once for each shim. After a
check that fails or leaves something the state is unknown, so the group ends there, and run.py continues after it in a new
process.
"""

import json
import os
import signal
import sys
import time
import traceback

AGAIN = 75  # the exit code that asks for a new world
STEPS = []


class Failed(Exception):
    """What a check found, in words."""


class TimeLimit(BaseException):
    """Above Exception, so that no check takes it for an answer."""


class Step:
    def __init__(self, body, name, limit, times, promised):
        self.body, self.name, self.limit, self.times, self.promised = body, name, limit, times, promised


def step(name, limit=60, times=1, promised=False):
    """Declares a check: a function of the world. `limit`: seconds for each of its `times` runs. `promised`: thinshim
    promises it, whatever the stock shim does."""

    def declare(body):
        STEPS.append(Step(body, name, limit, times, promised))
        return body

    return declare


def expect(condition, text):
    if not condition:
        raise Failed(text)


def expect_equal(wanted, found, what=""):
    if wanted != found:
        raise Failed(f"{what + ': ' if what else ''}wanted {shorten(wanted)}, found {shorten(found)}")


def shorten(value, most=300):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= most else f"{text[:most // 2]} ... {text[-most // 2:]}"


def _too_long(*_):
    raise TimeLimit


def attempt(body, world, limit):
    """What is wrong, or nothing."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(limit)
    try:
        body(world)
    except TimeLimit:
        return f"took more than {limit} s"
    except Failed as error:
        return str(error)
    except Exception:  # of the check itself, or of a program that it ran
        return traceback.format_exc(limit=-3)
    finally:
        signal.alarm(0)
    return ""


def report(**line):
    with open(os.environ["CLIENTS_RESULTS"], "a") as file:
        file.write(json.dumps(line) + "\n")


def main(make_world):
    """Takes the steps from number argv[1] on, and that one from its run argv[2] on. `next` in the results says where to go on
    where it ends with AGAIN."""
    first, run = map(int, sys.argv[1:3])
    world = make_world()
    for number, step in enumerate(STEPS[first:], first):
        failed = False
        for run in range(run, step.times):
            report(begun=step.name)
            begin = time.monotonic()
            text = attempt(step.body, world, step.limit)
            left = attempt(lambda world: world.clean(), world, 60)
            report(
                step=step.name,
                passed=not text,
                times=step.times,
                promised=step.promised,
                text=text,
                left=left,
                seconds=round(time.monotonic() - begin, 1),
            )
            failed = failed or bool(text)
            if left and run + 1 < step.times:
                go_on_at(number, run + 1)
        if (failed or left) and number + 1 < len(STEPS):
            go_on_at(number + 1, 0)
        run = 0
    report(end=True)


def go_on_at(number, run):
    report(next=[number, run])
    sys.exit(AGAIN)
