#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up test reports, JUnit's XML as Meson and GoogleTest write it, and the Test Anything Protocol in NAME.tap: the last line
printed is "N passed, N failed". A report that is not there, of a build or a program that did not come to its end, is one
failure, and so is a skipped test. What failed is printed before."""

import json
import re
import sys
import xml.etree.ElementTree as tree


def count_tap(report):
    lines = report.splitlines()
    results = [line for line in lines if re.match(r"(not )?ok \d", line)]
    passed = sum(line.startswith("ok") and "# SKIP" not in line for line in results)
    failed = len(results) - passed
    if not results or f"1..{len(results)}" not in lines:
        failed += 1
        lines.append("it ends early")
    if failed:
        print("\n".join(line for line in lines if not line.startswith("ok")) + "\n")
    return passed, failed


def count(path):
    """How many tests of a report passed and failed."""
    try:
        with open(path, errors="replace") as report:
            # What a program printed is in it as it was; XML has no place for control characters.
            text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f]", "", report.read())
        if path.endswith(".tap"):
            return count_tap(text)
        suites = list(tree.fromstring(text).iter("testsuite"))
    except (OSError, tree.ParseError):
        print(f"FAILED {path}: no report\n")
        return 0, 1
    for case in (case for suite in suites for case in suite.iter("testcase")):
        for failure in [*case.iter("failure"), *case.iter("error")]:
            reason = (failure.text or failure.get("message") or "").strip()
            print(f"FAILED {case.get('classname')}.{case.get('name')}:\n{reason[:2000]}\n")
    tests = sum(int(suite.get("tests", 0)) for suite in suites)
    bad = sum(int(suite.get(word, 0) or 0) for suite in suites for word in ("errors", "failures", "skipped", "disabled"))
    # Meson counts a program that was stopped by what had passed until then, and says in a log beside it that it was.
    try:
        with open(path.replace(".junit.xml", ".json")) as log:
            bad += sum(json.loads(line)["result"] in ("TIMEOUT", "INTERRUPT") for line in log)
    except (OSError, ValueError):
        pass
    return tests - bad, bad


def main():
    counts = [count(path) for path in sys.argv[1:]]
    passed, failed = sum(one[0] for one in counts), sum(one[1] for one in counts)
    print(f"{passed} passed, {failed} failed")
    return failed > 0 or passed == 0


if __name__ == "__main__":
    sys.exit(main())
