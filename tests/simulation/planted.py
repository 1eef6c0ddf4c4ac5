"""Planted faults: patches of the server, each breaking one promise, and the simulation over a copy that has one.

python -m tests.simulation.planted [NAME...] runs the seed that docs/guarantees.md has for each, and where that does not
find the fault any more as the page says, looks for the first one that does. It prints the rows of the page as they have
to be, and says on standard error which ones are stale; the exit code is 1 if any is.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "guarantees.md"
FAULTS: Final = Path(__file__).parent / "faults"
PACKAGES: Final = (
    "logserver",
    "segments/logserver_segments",
    "segments/logserver_records",
    "proto/logserverpb",
    "clients/logserver_client",
)
_MOST_SEEDS: Final = 60


class Found(NamedTuple):
    """The first seed that found a fault, and what it said."""

    seed: int
    violation: str


def names() -> list[str]:
    """Returns the names of all faults."""
    return sorted(path.stem for path in FAULTS.glob("*.patch"))


def meaning(name: str) -> str:
    """Returns the sentence that says what a fault does."""
    return (FAULTS / f"{name}.patch").read_text(encoding="utf-8").partition("\n")[0]


def plant(name: str, target: Path) -> None:
    """Makes a copy of the server with a fault.

    Raises:
        subprocess.CalledProcessError: the patch does not fit any more.
    """
    for package in PACKAGES:
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    command = ["git", "apply", "-C1", str(FAULTS / f"{name}.patch")]
    # Not as a part of this repository, which would leave out what is not in it.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(target.parent)}
    subprocess.run(command, cwd=target, env=environment, check=True, capture_output=True, text=True)


def run_seed(copy: Path, seed: int) -> dict[str, Any]:
    """Runs a seed over a copy; returns what came of it."""
    paths = [copy, *(copy / folder for folder in ("segments", "proto", "clients"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "logserver", "crash-test", "--seed", str(seed), "--json"],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)["runs"][0]
    return outcome


def find(name: str, first: int = 1, count: int = _MOST_SEEDS) -> Found | None:
    """Runs seeds over a copy with a fault until one finds it; None if none does."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        plant(name, copy)
        for seed in range(first, first + count):
            outcome = run_seed(copy, seed)
            if outcome["violation"]:
                return Found(seed, outcome["violation"])
    return None


def seeds() -> dict[str, int]:
    """Returns the seed that finds each fault, as the page has it."""
    rows = re.findall(r"faults/([a-z-]+)\.patch\).*`logserver crash-test --seed (\d+)`", PAGE.read_text())
    return {name: int(seed) for name, seed in rows}


def row(name: str, found: Found | None) -> str:
    """Returns the row of the page for a fault."""
    run = f"`logserver crash-test --seed {found.seed}`" if found is not None else "not found"
    kind = found.violation.partition(":")[0] if found is not None else ""
    return f"| {meaning(name)} | [{name}](../tests/simulation/faults/{name}.patch) | {kind} | {run} |"


def is_stale(name: str, found: Found | None) -> bool:
    """Returns whether the page says something else of a fault than was found."""
    return row(name, found) not in PAGE.read_text().splitlines()


def look(name: str) -> Found | None:
    """Runs the seed that the page has for a fault, and seeds from the first one on if that one finds nothing."""
    known = seeds().get(name)
    return (find(name, known, 1) if known is not None else None) or find(name)


def main() -> int:
    """Prints the rows; returns the exit code."""
    wanted = sys.argv[1:] or names()
    stale = []
    with ThreadPoolExecutor(2) as pool:
        for name, found in zip(wanted, pool.map(look, wanted), strict=True):
            print(row(name, found), flush=True)
            if is_stale(name, found):
                stale.append(name)
                print(f"stale: {name}, the page has another row", file=sys.stderr, flush=True)
    told = f"stale in {PAGE.name}: {', '.join(stale)}" if stale else f"rows that hold: {len(wanted)}"
    print(told, file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
