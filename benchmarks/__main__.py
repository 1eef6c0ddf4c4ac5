"""Runs all benchmarks one after the other and writes what they print to one page: `python -m benchmarks`."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.support.machine import child_environment
from benchmarks.support.output import progress

BENCHMARKS: Final = (
    "produce",
    "consume",
    "steady",
    "commits",
    "rebalances",
    "footprint",
    "streams",
    "flush",
    "startup",
    "latency",
    "groups",
    "restarts",
    "connections",
    "requests",
    "transactions",
)

_HEAD: Final = """\
# Benchmarks

What `make bench` measured, on the machine and with the versions that each part names. Peers ran in the same run, in
turn; a ratio is of two runs next to each other. Numbers of another machine are other numbers.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer runs: whether it works, not how fast")
    parser.add_argument("--directory", help="where data is kept while it runs")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=BENCHMARKS, help="these and no others")
    parser.add_argument(
        "--output", type=Path, default=Path("benchmarks", "report.md"), help="the page to write (benchmarks/report.md)"
    )
    options = parser.parse_args()
    passed_on = ["--quick"] * options.quick + (["--directory", options.directory] if options.directory else [])
    parts = [_HEAD]
    for name in options.only:
        progress(f"=== {name}")
        parts.append(run_one(name, passed_on))
    options.output.write_text("\n".join(parts))
    progress(f"written: {options.output}")


def run_one(name: str, arguments: list[str]) -> str:
    """Returns what one benchmark prints; it is printed too."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        env=child_environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    sys.stdout.write(done.stdout)
    sys.stdout.flush()
    return done.stdout


if __name__ == "__main__":
    main()
