"""Planted faults: patches of the server, each breaking one promise, and the simulation over a copy that has one.

python -m tests.simulation.planted [NAME...] looks for the first seed that finds each and prints the table of
docs/guarantees.md.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
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


def main() -> None:
    """Prints the table."""
    with ThreadPoolExecutor(2) as pool:
        wanted = sys.argv[1:] or names()
        for name, found in zip(wanted, pool.map(find, wanted), strict=True):
            run = f"`logserver crash-test --seed {found.seed}`" if found is not None else "not found"
            kind = found.violation.partition(":")[0] if found is not None else ""
            print(
                f"| {meaning(name)} | [{name}](../tests/simulation/faults/{name}.patch) | {kind} | {run} |", flush=True
            )


if __name__ == "__main__":
    main()
