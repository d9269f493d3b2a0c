#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Includes go down only: the picture of the rooms, enforced.

    main.cc > shim > task > {ttrpc oci stdio cgroup} > process > async > base      proto: a leaf

A file of src/ may include its own room and any room below. Rooms of one level don't know each other. Libraries that
are somebody's secret (libuv, YAML, JSON) and headers that cost an idle shim memory are refused elsewhere.

Usage: check_layers.py [ROOT]     prints "file:line: what" for each violation; exit code 1 where there is one
       check_layers.py --self-test
"""
import pathlib
import re
import sys
import tempfile

LEVELS = {"base": 0, "async": 1, "process": 2, "ttrpc": 3, "oci": 3, "stdio": 3, "cgroup": 3, "task": 4, "shim": 5}
MAIN = "main.cc"
PROTO_ROOMS = {"ttrpc", "oci", "cgroup", "task", "shim", MAIN}

# What the name of a system header begins with, and the only places in src/ that may include it.
LIBRARIES = {
    "uv.h": ["async/"],
    "uv/": ["async/"],
    "yaml-cpp/": ["shim/config.cc"],
    "rapidjson/": ["oci/"],
    "sstream": ["shim/config.cc"],  # what YAML reads from
}
# Not in src/ at all: they bring locales or threads, or GCC 12 doesn't have them.
BANNED = {"iostream", "fstream", "iomanip", "locale", "codecvt", "regex", "filesystem", "format", "expected",
          "thread", "mutex", "future"}

INCLUDE = re.compile(r'\s*#\s*include\s*(["<])([^">]+)[">]')


def room_of(path):
    """base/log.h -> base; main.cc -> main.cc; anything else directly below src/ has no room."""
    return path.split("/")[0] if "/" in path else path


def quoted_problem(source, path, header):
    room = room_of(path)
    if header.endswith(".pb.h"):
        return None if room in PROTO_ROOMS else f"{room} includes {header}, but knows no messages"
    target = room_of(header)
    if target not in LEVELS:
        return f'"{header}" does not begin with a room'
    if not (source / header).is_file():
        return f'"{header}" does not exist'
    if room == MAIN or room == target:
        return None
    if LEVELS[target] == LEVELS[room]:
        return f"{room} includes {header}: rooms of one level don't know each other"
    if LEVELS[target] > LEVELS[room]:
        return f"{room} includes {header}: {target} is above {room}"
    return None


def system_problem(path, header):
    if header in BANNED:
        return f"<{header}> is not used in src/"
    for prefix, places in LIBRARIES.items():
        if header.startswith(prefix) and not path.startswith(tuple(places)):
            return f"<{header}> belongs to {' '.join(places)} alone"
    return None


def violations(root):
    source = pathlib.Path(root) / "src"
    found = []
    for file in sorted(source.rglob("*")):
        if file.suffix not in (".h", ".cc"):
            continue
        path = file.relative_to(source).as_posix()
        if room_of(path) not in LEVELS and path != MAIN:
            found.append(f"src/{path}:1: belongs to no room")
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            kind, header = match.groups()
            problem = quoted_problem(source, path, header) if kind == '"' else system_problem(path, header)
            if problem:
                found.append(f"src/{path}:{number}: {problem}")
    return found


# File, its only line of interest, what is said about it (None: nothing).
SELF_TEST = [
    ("base/a.h", "", None),
    ("async/a.h", '#include "base/a.h"', None),
    ("process/a.h", "#include <string>", None),
    ("oci/a.h", '#include "wire.pb.h"', None),
    ("stdio/a.h", '#include "async/a.h"', None),
    ("task/a.h", '#include "oci/a.h"', None),
    ("shim/a.h", '#include "task/a.h"', None),
    ("shim/b.h", '#include "base/a.h"', None),
    ("main.cc", '#include "shim/a.h"', None),
    ("async/uv.cc", "#include <uv.h>", None),
    ("shim/config.cc", "#include <yaml-cpp/yaml.h>", None),
    ("base/up.h", '#include "async/a.h"', "base includes async/a.h: async is above base"),
    ("oci/up.cc", '  #  include "task/a.h"  // why', "oci includes task/a.h: task is above oci"),
    ("task/up.cc", '#include "shim/a.h"', "task includes shim/a.h: shim is above task"),
    ("oci/across.cc", '#include "stdio/a.h"', "oci includes stdio/a.h: rooms of one level don't know each other"),
    ("ttrpc/across.h", '#include "oci/a.h"', "ttrpc includes oci/a.h: rooms of one level don't know each other"),
    ("process/proto.cc", '#include "wire.pb.h"', "process includes wire.pb.h, but knows no messages"),
    ("task/near.cc", '#include "a.h"', '"a.h" does not begin with a room'),
    ("task/gone.cc", '#include "base/gone.h"', '"base/gone.h" does not exist'),
    ("task/uv.cc", "#include <uv.h>", "<uv.h> belongs to async/ alone"),
    ("shim/yaml.cc", "#include <yaml-cpp/node.h>", "<yaml-cpp/node.h> belongs to shim/config.cc alone"),
    ("main.cc.d/x.cc", "", "belongs to no room"),
    ("stray.h", "", "belongs to no room"),
    ("base/print.cc", "#include <iostream>", "<iostream> is not used in src/"),
]


def self_test():
    with tempfile.TemporaryDirectory() as root:
        expected = []
        for path, line, problem in SELF_TEST:
            file = pathlib.Path(root) / "src" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"// a comment\n{line}\n")
            if problem:
                expected.append(f"src/{path}:{1 if 'no room' in problem else 2}: {problem}")
        found = violations(root)
        if sorted(found) == sorted(expected):
            return 0
        print("check_layers.py: self test failed", file=sys.stderr)
        for line in sorted(set(expected) - set(found)):
            print(f"  not found:  {line}", file=sys.stderr)
        for line in sorted(set(found) - set(expected)):
            print(f"  unexpected: {line}", file=sys.stderr)
        return 1


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).resolve().parent.parent)
    if not (root / "src").is_dir():
        print(f"check_layers.py: no src/ in {root}", file=sys.stderr)
        return 1
    found = violations(root)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
