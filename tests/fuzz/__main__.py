"""Fuzzes: python -m tests.fuzz [--seconds N] [TARGET...]; by chance, and half of the time by coverage with atheris.

Prints executions and findings of each target; what a finding needs is written to tests/fuzz/corpus/TARGET/, which the
tests replay. Exit code 1 if there are findings.
"""

import argparse
import importlib.util
import json
import logging
import subprocess
import sys
from pathlib import Path

from tests.fuzz import by_chance
from tests.fuzz.findings import CORPUS
from tests.fuzz.targets import TARGETS


def by_coverage(name: str, seconds: float) -> tuple[int, list[Path]]:
    """Runs a target under atheris in a process of its own; returns executions and findings.

    If it dies that is a finding, too; of its executions nothing is known then.
    """
    command = [sys.executable, "-m", "tests.fuzz.by_coverage", name, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        print(f"{name}: it has ended with {done.returncode}\n{done.stdout}\n{done.stderr[-3000:]}", flush=True)
        return 0, [CORPUS / name]
    for line in lines[:-1]:
        if line.startswith(name):
            print(line, flush=True)
    told = json.loads(lines[-1])
    return told["executions"], [Path(path) for path in told["findings"]]


def main() -> int:
    """Fuzzes all targets, one after the other."""
    # What the server says of each damaged file is of no interest here.
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(description="Fuzzes the readers of hostile bytes.")
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET")
    given = parser.parse_args()
    names = given.targets or list(TARGETS)
    has_atheris = importlib.util.find_spec("atheris") is not None
    share_s = given.seconds / len(names) / (1 + has_atheris)
    total, findings = 0, set()
    for name in names:
        found = by_chance.fuzz(name, share_s, given.seed)
        print(f"{name}: {found.executions:,} executions by chance, {len(found.paths)} findings", flush=True)
        total += found.executions
        findings.update(found.paths)
        if has_atheris:
            executions, paths = by_coverage(name, share_s)
            print(f"{name}: {executions:,} executions by coverage, {len(paths)} findings", flush=True)
            total += executions
            findings.update(paths)
    print(f"{total:,} executions, {len(findings)} findings, {given.seconds:.0f} s, {len(names)} targets")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
