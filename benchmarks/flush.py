"""How many appends a second group commit makes durable, on the storage engine alone, beside flushing file by file."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.engine.files import opened_files, write_and_flush
from benchmarks.engine.logs import append_and_commit, one_batch, opened_logs
from benchmarks.engine.runs import Run
from benchmarks.support.numbers import Spread, pair_ratios, spread
from benchmarks.support.options import parser, scratch, whole_numbers
from benchmarks.support.output import Report, progress
from logserver.daemon.process import prepare_process
from logserver.settings import load_settings

CLAIM: Final = (
    "group commit makes appends to many partitions durable faster than flushing each file in turn, and costs little "
    "with one"
)

_MB: Final = 1_000_000

_NOTES: Final = (
    "engine: each append is one record batch, its CRC checked, stamped and indexed; a partition gets its next append "
    "when one has been committed, so that as many as said are under way; latency is from append to commit, on the "
    "event loop of the daemon",
    "raw: pwrite and fdatasync of the same bytes, one file after the other, one at a time; latency is of one such pair",
    "ratio: appends/s of the engine to those of the raw run next to it. Median (least to most) of the rounds",
)


async def measure(partitions: int, report: Report, options: argparse.Namespace, directory: Path) -> None:
    """Runs every payload and every number of appends under way on one number of partitions."""
    with opened_logs(directory / "data", partitions) as logs, opened_files(directory / "raw", partitions) as files:
        for payload_bytes in options.payload_bytes:
            payload = one_batch(payload_bytes)
            for in_flight in options.in_flight:
                case = f"{partitions:,} partitions, {payload_bytes / 1024:g} KiB, {in_flight} under way in each"
                ours, theirs = [], []
                for number in range(options.rounds):
                    progress(f"{case}: round {number + 1} of {options.rounds}")
                    ours.append(await append_and_commit(logs, payload, in_flight, options.seconds))
                    theirs.append(write_and_flush(files, payload, options.seconds))
                _tell(
                    report,
                    {"partitions": partitions, "KiB": payload_bytes / 1024, "under way": in_flight},
                    ours,
                    theirs,
                )


def _tell(report: Report, case: dict[str, Any], ours: list[Run], theirs: list[Run]) -> None:
    ratio = pair_ratios([run.appends_per_s for run in ours], [run.appends_per_s for run in theirs])
    for name, runs in (("engine", ours), ("raw", theirs)):
        rates = spread([run.appends_per_s for run in runs])
        report.tables[0].rows.append(
            {
                **case,
                "what": name,
                "appends/s": rates,
                "MB/s": rates.median * case["KiB"] * 1024 / _MB,
                "p50 ms": _latency(runs, 50),
                "p99 ms": _latency(runs, 99),
                "ratio": ratio if name == "engine" else None,
            }
        )
        for number, run in enumerate(runs):
            measured = {"appends": len(run.latencies_ms), "seconds": run.seconds}
            latencies = {f"p{percent}_ms": run.latency_ms(percent) for percent in (50, 99)}
            report.runs.append({**case, "what": name, "round": number + 1, **measured, **latencies})


def _latency(runs: list[Run], percent: float) -> Spread:
    return spread([run.latency_ms(percent) for run in runs])


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (5, quick: 2)")
    made.add_argument("--seconds", type=float, help="of one run (1, quick: 0.2)")
    made.add_argument(
        "--partitions", type=whole_numbers, default=[1, 12, 200, 1000], help="numbers of partitions (1,12,200,1000)"
    )
    made.add_argument(
        "--payload-bytes", type=whole_numbers, default=[1024, 65536], help="sizes of a record batch (1024,65536)"
    )
    made.add_argument("--in-flight", type=whole_numbers, default=[1, 5], help="appends under way in each (1,5)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (2 if found.quick else 5)
    found.seconds = found.seconds or (0.2 if found.quick else 1.0)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    prepare_process(load_settings(environment={}, command_line=()))
    report = Report("benchmarks.flush", CLAIM, chosen.directory)
    report.notes += _NOTES
    report.table("Append and flush")
    for partitions in chosen.partitions:
        with scratch(chosen.directory) as directory:
            uvloop.run(measure(partitions, report, chosen, directory))
        # The next one must not wait for the disk to give this one's space back.
        os.sync()
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
