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
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.fuzz import by_chance
from tests.fuzz.targets import TARGETS


class Ended(NamedTuple):
    """What came of a target."""

    name: str
    way: str
    executions: int
    findings: list[str]


def _by_chance(names: Sequence[str], seconds: float, seed: int) -> Iterator[Ended]:
    for name in names:
        found = by_chance.fuzz(name, seconds, seed)
        yield Ended(name, "by chance", found.executions, [str(path) for path in found.paths])


def _by_coverage(names: Sequence[str], seconds: float) -> Iterator[Ended]:
    """Raises:
    subprocess.CalledProcessError: it could not be done.
    """
    command = [sys.executable, "-m", "tests.fuzz.by_coverage", str(seconds), *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith('{"target"'):
                told = json.loads(line)
                yield Ended(told["target"], "by coverage", told["executions"], told["findings"])
            elif line.strip():
                print(line, end="", flush=True)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


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
    seconds = given.seconds / len(names) / (1 + has_atheris)
    total, findings = 0, set()
    ways = [_by_chance(names, seconds, given.seed), *([_by_coverage(names, seconds)] if has_atheris else [])]
    for way in ways:
        for ended in way:
            print(
                f"{ended.name}: {ended.executions:,} executions {ended.way}, {len(ended.findings)} findings", flush=True
            )
            total += ended.executions
            findings.update(ended.findings)
    print(f"{total:,} executions, {len(findings)} findings, {len(names)} targets in {given.seconds:.0f} s")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
