"""Runs the benchmarks one after the other and writes a report with plots: `python -m benchmarks`."""

import argparse
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.support.comparison import changes, committed
from benchmarks.support.machine import REPORT, ROOT
from benchmarks.support.output import progress
from benchmarks.support.pages import Document, markdown
from benchmarks.support.reported import Reported
from benchmarks.support.sitting import BenchmarkFailed, Estimate, limit_s, run_one

BENCHMARKS: Final[Mapping[str, float]] = {
    "produce": 16,
    "consume": 7,
    "steady": 8,
    "requests": 7,
    "commits": 3,
    "transactions": 6,
    "rebalances": 6,
    "footprint": 6,
    "other_logs": 7,
    "queues": 5,
    "streams": 4,
    "connections": 2,
    "latency": 2,
    "cold_reads": 5,
    "flush": 3,
    "delivery": 2,
    "groups": 4,
    "startup": 2,
    "interpreter": 3,
    "recovery": 5,
    "restarts": 3,
    "compaction": 4,
}
"""All in the order in which they run, with the minutes that they take on two cores: those with targets come first."""
QUICK: Final = "quick"
"""Is run on its own: parts of the others, in three minutes."""
_QUICK_MINUTES: Final = 3.0
_MINUTE_S: Final = 60

_FULL: Final = "full"


def main() -> None:
    options = _options(sys.argv[1:])
    is_short = options.three_minutes or options.only == [QUICK]
    name, target = (QUICK, "bench-quick") if is_short else (_FULL, "bench")
    place = ROOT / "build" / "benchmarks" if options.quick else ROOT / REPORT
    reported = Reported(options.output or place, name, (QUICK,) if is_short else tuple(BENCHMARKS), target)
    names = [QUICK] if is_short else list(options.only or BENCHMARKS)
    if options.rest:
        missing = reported.missing()
        names = [name for name in names if name in missing]
    signal.signal(signal.SIGTERM, _leave)
    passed_on = ["--quick"] * options.quick + (["--directory", options.directory] if options.directory else [])
    failed = _sit(reported, names, passed_on, options.minutes, is_quick=options.quick)
    sys.stdout.write("\n".join(_compared(reported)) + "\n")
    sys.stdout.writelines(f"failed: {line}\n" for line in failed)
    sys.exit(1 if failed else 0)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer runs: whether it works, not how fast")
    parser.add_argument("--directory", help="where data is kept while it runs")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=(*BENCHMARKS, QUICK),
        metavar="BENCHMARK",
        help=f"these and no others; what the report has of others stays. There are: {', '.join((*BENCHMARKS, QUICK))}",
    )
    parser.add_argument("--rest", action="store_true", help="those only that the report has not, or that failed")
    parser.add_argument("--minutes", type=float, help="begin none that would not end within so many")
    parser.add_argument("--three-minutes", action="store_true", help="the short form: benchmarks.quick")
    parser.add_argument("--output", type=Path, help="folder of the report (benchmarks/report; quick: build/benchmarks)")
    options = parser.parse_args(arguments)
    if options.only and QUICK in options.only and len(options.only) > 1:
        parser.error(f"{QUICK} has a report of its own: run it alone")
    return options


def _sit(
    reported: Reported, names: Sequence[str], passed_on: Sequence[str], minutes: float | None, *, is_quick: bool
) -> list[str]:
    """Runs benchmarks and writes the report after each; returns what failed."""
    expected = {name: reported.minutes(name) or BENCHMARKS.get(name, _QUICK_MINUTES) for name in names}
    estimate = Estimate(expected)
    failed: list[str] = []
    began = time.monotonic()
    for number, name in enumerate(names):
        so_far = (time.monotonic() - began) / _MINUTE_S
        left = estimate.of(names[number:])
        progress(f"=== {name}: {number + 1} of {len(names)}, {so_far:.0f} min so far, about {left:.0f} min left")
        if minutes is not None and so_far + estimate.of([name]) > minutes:
            progress(f"{name} is left out: it takes about {estimate.of([name]):.0f} min")
            continue
        own = time.monotonic()
        try:
            document = run_one(name, passed_on, limit_s(expected[name]))
        except BenchmarkFailed as error:
            reported.fail(name, str(error))
            failed.append(f"{name}: {error}")
            progress(f"failed: {failed[-1]}")
        else:
            reported.take(document)
            failed += [f"{name}: {case}" for case in document["failed"]]
            sys.stdout.write(markdown(document) + "\n")
            sys.stdout.flush()
        estimate.took(name, (time.monotonic() - own) / _MINUTE_S)
        reported.write(_compared(reported))
    return failed


def _compared(reported: Reported) -> list[str]:
    return comparison(ROOT / REPORT / f"{reported.name}.json", reported.documents)


def comparison(path: Path, documents: Sequence[Document]) -> list[str]:
    """Returns what to say of a report and the last committed one."""
    found = committed(path)
    if found is None:
        return ["No report is committed to compare this one with."]
    revision, before = found
    every = sorted(changes(before, documents), key=lambda change: not change.is_worse)
    worse = sum(change.is_worse for change in every)
    better = len(every) - worse
    head = f"Beside the report committed with {revision}: {worse} figures worse beyond the noise, {better} better."
    return [head, *(f"- {change}" for change in every)]


def _leave(number: int, frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
