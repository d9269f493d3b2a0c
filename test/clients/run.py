#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Runs groups of checks with the stock shim and with thinshim, side by side, and prints which pass with each.

    run.py THINSHIM PROGRAMS RESULTS VERSIONS GROUP...

THINSHIM: the shim; PROGRAMS: the folder of the clients, with folders of containerds and their own shims; RESULTS: a folder
for what is found; VERSIONS: a line of them. The exit code is 1 where thinshim fails what the stock shim passes, fails it
oftener, or fails what it promises whatever the stock shim does; the last line is "N passed, N failed". Else what both fail,
for the sake of the machine or of the client itself, is shown and does not count.
"""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
AGAIN = 75  # see steps.py
LIMIT = 20 * 60  # seconds for a group with one shim
STOCK, THIN = "stock", "thinshim"
END, NOTHING = "it comes to its end", "nothing is left of any of these"
# After the death of a pod's shim 2.3 calls `delete` for the sandbox only, 2.4 for each container: 2.3 needs more of a shim.
CONTAINERD = {"kubelet": "containerd-2.3"}
TITLES = {
    "nerdctl": "nerdctl by hand",
    "rootless": "nerdctl, rootless",
    "crictl": "crictl's verbs",
    "critest": "critest, whole",
    "kubelet": "kubelet, static pods",
}


class Result:
    """The results of one check with one shim, of all its runs."""

    def __init__(self, lines):
        self.times, self.promised = lines[0]["times"], lines[0]["promised"]
        self.passed = sum(line["passed"] for line in lines)
        self.text = "\n".join(filter(None, (line["text"] for line in lines)))
        self.skipped = any(line.get("skipped") for line in lines)
        self.all = self.passed == self.times

    @classmethod
    def of(cls, passed, text="", promised=False):
        return cls([{"times": 1, "promised": promised, "passed": passed, "text": text}])

    def __str__(self):
        if self.skipped:
            return "skipped"
        return {True: "pass", False: "fail"}[self.all] if self.times == 1 else f"{self.passed}/{self.times}"


def run_group(group, kind, thin, programs, results):
    """The results by check."""
    place = results / f"{group}-{kind}.jsonl"
    place.write_text("")
    containerd = programs / CONTAINERD.get(group, "containerd")
    shim = thin if kind == THIN else containerd / "containerd-shim-runc-v2"
    environment = dict(
        os.environ,
        THINSHIM_BINARY=str(shim),
        CLIENTS_PROGRAMS=str(programs),
        CLIENTS_CONTAINERD=str(containerd),
        CLIENTS_RESULTS=str(place),
        CLIENTS_LOGS=str(results / f"{group}-{kind}"),
        PYTHONPATH=str(HERE.parent / "support"),
    )
    end, where, said = time.monotonic() + LIMIT, [0, 0], ""
    with open(results / f"{group}-{kind}.log", "wb") as log:
        while True:
            process = subprocess.Popen(
                [
                    HERE.parents[1] / "build/test/support/in_own_namespaces",
                    "/usr/bin/python3",
                    "-B",
                    HERE / f"{group}.py",
                    *map(str, where),
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                code = process.wait(max(1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.terminate()  # ends all its processes
                process.wait()
                said = f"it was not over after {LIMIT} s"
                break
            if code != AGAIN:
                break
            where = [line["next"] for line in read(place) if "next" in line][-1]
    return summary(read(place), said or pathlib.Path(log.name).read_text(errors="replace")[-800:])


def read(place):
    return [json.loads(line) for line in place.read_text().splitlines()]


def summary(lines, said):
    runs = {}
    for line in lines:
        if "passed" in line:
            runs.setdefault(line["step"], []).append(line)
    found = {name: Result(lines) for name, lines in runs.items()}
    for line in lines:
        if "begun" in line and line["begun"] not in found:
            found[line["begun"]] = Result.of(False, "it did not come back from this")
    ended = any(line.get("end") for line in lines)
    found[END] = Result.of(ended, "" if ended else said, True)
    left = "\n".join(f"{line['step']}: {line['left']}" for line in lines if line.get("left"))
    found[NOTHING] = Result.of(not left, left, True)
    return found


def earlier(group, results):
    """The results of an earlier run, or none."""
    places = {kind: results / f"{group}-{kind}.jsonl" for kind in (STOCK, THIN)}
    if not all(place.exists() for place in places.values()):
        return []
    return list(compare({kind: summary(read(place), "") for kind, place in places.items()}))


def verdict(stock, thin):
    if thin.skipped:
        return "" if stock.skipped else "FAILED"
    if thin.all:
        return "" if stock.all else "better"
    # A flaky client fails at times with both.
    worse = thin.passed / thin.times < stock.passed / stock.times
    return "FAILED" if worse or thin.promised or stock.skipped else "neither"


def compare(found):
    """Rows of check, stock, thinshim, verdict."""
    names = list(dict.fromkeys([*found[STOCK], *found[THIN]]))
    missing = Result.of(False, "not run")
    # What applies to all checks of a group comes last.
    names.sort(key=lambda name: name in (END, NOTHING))
    for name in names:
        stock, thin = (found[kind].get(name, missing) for kind in (STOCK, THIN))
        yield name, stock, thin, verdict(stock, thin)


def show(group, rows):
    print(f"\n== {TITLES[group]}\n   stock thinshim")
    for name, stock, thin, word in rows:
        print(f"{stock!s:>8} {thin!s:>8}  {word:7} {name}")
    for name, stock, thin, word in rows:
        for kind, result in ((STOCK, stock), (THIN, thin)):
            if not result.all and not result.skipped:
                print(f"-- {name}, {kind}:")
                for line in list(dict.fromkeys(result.text.splitlines()))[:12]:
                    print("   " + line[:400])


def table(tables, versions):
    """For the README: the last run of each group."""
    lines = [versions, "", "| | checks | stock shim | thinshim |", "| --- | --- | --- | --- |"]
    for group, rows in tables.items():
        if not rows:
            continue
        ran = [row for row in rows if not (row[1].skipped and row[2].skipped)]
        lines.append(
            f"| {TITLES[group]} | {len(ran)} | {sum(row[1].all for row in ran)} pass | {sum(row[2].all for row in ran)} pass |"
        )
    unlike = [(group, row) for group, rows in tables.items() for row in rows if not row[1].all or not row[2].all]
    unlike = [(group, row) for group, row in unlike if not row[1].skipped]
    if unlike:
        lines += ["", "What does not pass on both:", "", "| | | stock shim | thinshim | |", "| --- | --- | --- | --- | --- |"]
        for group, (name, stock, thin, word) in unlike:
            name = name.replace("|", "\\|").replace("<", "&lt;")
            lines.append(f"| {TITLES[group]} | {name} | {stock} | {thin} | {word} |")
    return "\n".join(lines) + "\n"


def main():
    thin, programs, results = (pathlib.Path(word).resolve() for word in sys.argv[1:4])
    versions, groups = sys.argv[4], sys.argv[5:]
    results.mkdir(parents=True, exist_ok=True)
    print(versions, flush=True)
    tables = {}
    for group in groups:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = {kind: pool.submit(run_group, group, kind, thin, programs, results) for kind in (STOCK, THIN)}
            tables[group] = list(compare({kind: future.result() for kind, future in running.items()}))
        show(group, tables[group])
        sys.stdout.flush()
    (results / "table.md").write_text(
        table({group: tables.get(group) or earlier(group, results) for group in TITLES}, versions)
    )
    words = [word for rows in tables.values() for _, stock, thin, word in rows if not (stock.skipped and thin.skipped)]
    failed = words.count("FAILED")
    print(f"\n{len(words) - failed - words.count('neither')} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
