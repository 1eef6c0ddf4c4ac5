"""Produces with one client to all servers that speak Kafka's protocol, and with the bundled client to this one."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.clients.admin import Admin
from benchmarks.peers import field
from benchmarks.peers.field import KAFKA, KAFKA_FSYNC, OURS, OURS_RELAXED, TANSU, Contestant
from benchmarks.support.contest import Rounds, in_turn
from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Plot, Report
from benchmarks.support.processes import Worker
from benchmarks.support.rates import GIB, MB, RAW, fill, rate, scaled, server_cpu_s, size

CLAIM: Final = (
    "with fsync on, this server takes records faster than Apache Kafka without, from the same client, and for less "
    "processor time"
)

BUNDLED: Final = "bundled client over gRPC, fsync"
BUNDLED_MANY: Final = "bundled client over gRPC, send_many, fsync"
_MANY_RECORDS: Final = 1_000
_WARM_UPS: Final = 3
_TIMEOUT_S: Final = 600
_MANY_PARTITIONS: Final = 200
_FEWER: Final = 8
"""Kafka with flush.messages=1 gets so many times fewer records on many partitions, as it flushes each of them alone."""
_LARGE_BYTES: Final = 512 * 1024
_LARGE: Final = {"max.message.bytes": str(8 << 20)}

NOTES: Final = (
    "confluent-kafka with its defaults (linger 5 ms, batches of up to 1 MB) and a queue that never fills; records go "
    "to the partitions in turn; a run ends when all are acknowledged, and what is stored is counted",
    "values are random bytes; with compression hexadecimal digits, which halve",
    "prebuilt batches: one connection, record batches of up to 1 MB made beforehand, five requests under way: the "
    "ceiling of the server, without a client's work",
    f"send_many: {_MANY_RECORDS:,} records in each call",
    f"{KAFKA_FSYNC}: acks=all only, as it flushes inside of each append, whatever acks is; from {_MANY_PARTITIONS} "
    f"partitions on {_FEWER} times fewer records than the others, what it took is scaled up",
    "everything is written to disk (sync) before each run",
    "CPU s/GiB: user + system seconds of the server's processes for each GiB of values",
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is produced; the default is the case that the others vary."""

    record_bytes: int = 1024
    partitions: int = 1
    acks: str = "all"
    compression: str = "none"

    def __str__(self) -> str:
        partitions = "1 partition" if self.partitions == 1 else f"{self.partitions:,} partitions"
        compression = "" if self.compression == "none" else f", {self.compression}"
        return f"produce {size(self.record_bytes)}, acks={self.acks}, {partitions}{compression}"


CENTRE: Final = Case()
_SMALL: Final = Case(100)
CASES: Final = (
    *(Case(count, acks=acks) for count in (100, 1024, 10 * 1024, 1 << 20) for acks in ("all", "1")),
    *(replace(CENTRE, compression=compression) for compression in ("lz4", "zstd")),
    *(replace(CENTRE, partitions=partitions) for partitions in (12, 200, 1000)),
)


class Producing:
    """Runs cases against the servers of a field."""

    def __init__(self, contestants: Mapping[str, Contestant], stack: ExitStack, directory: Path) -> None:
        self.contestants = contestants
        self._admins = {it.address: Admin(it.address) for it in contestants.values()}
        self._workers = {
            name: stack.enter_context(Worker(f"benchmarks.clients.{name}", directory / f"{name}.log"))
            for name in ("confluent", "sync", "raw")
        }
        self._topics = 0

    def confluent(self, case: Case, records: int, contestant: Contestant) -> Any:
        """One run of confluent-kafka."""
        job = {
            "partitions": case.partitions,
            "settings": {"acks": case.acks, "compression.type": case.compression},
            "compressible": case.compression != "none",
        }
        return self._run("confluent", case, records, contestant, job)

    def _scaled_up(self, case: Case, records: int, contestant: Contestant) -> Any:
        """One run of confluent-kafka with fewer records, told as if it had all."""
        fewer = max(records // _FEWER, case.partitions)
        return scaled(self.confluent(case, fewer, contestant), records / fewer)

    def bundled(self, case: Case, records: int, contestant: Contestant, at_once: int = 1) -> Any:
        """One run of the bundled client."""
        job = {"keyed": False, "at_once": at_once, "address": contestant.grpc}
        return self._run("sync", case, records, contestant, job)

    def raw(self, case: Case, records: int, contestant: Contestant) -> Any:
        """One run of prebuilt batches."""
        return self._run("raw", case, records, contestant, {"acks": case.acks})

    def _run(self, worker: str, case: Case, records: int, contestant: Contestant, job: Mapping[str, Any]) -> Any:
        self._topics += 1
        topic = f"produce-{self._topics}"
        admin = self._admins[contestant.address]
        large = _LARGE if case.record_bytes >= _LARGE_BYTES else {}
        admin.create(topic, case.partitions, {**contestant.topic_settings, **large})
        os.sync()
        whole = {
            "kind": "produce",
            "address": contestant.address,
            "server_pid": contestant.pid,
            "topic": topic,
            "records": records,
            "value_bytes": case.record_bytes,
            **job,
        }
        run = self._workers[worker].ask(whole, _TIMEOUT_S)
        if contestant.counts_records:
            # Every client opens with one record more, before its clock runs.
            admin.check_records(topic, case.partitions, run.get("records", records) + 1)
        admin.delete(topic)
        return run

    def entrants(self, case: Case, records: int) -> dict[str, Callable[[], Any]]:
        """Returns whom a case is for."""
        found: dict[str, Callable[[], Any]] = {
            name: partial(self.confluent, case, records, it) for name, it in self.contestants.items()
        }
        if KAFKA_FSYNC in found and case.acks != "all":
            # It flushes inside of each append, so what acks says makes no difference.
            del found[KAFKA_FSYNC]
        elif KAFKA_FSYNC in found and case.partitions >= _MANY_PARTITIONS:
            found[KAFKA_FSYNC] = partial(self._scaled_up, case, records, self.contestants[KAFKA_FSYNC])
        ours = self.contestants[OURS]
        if case.acks == "all" and case.compression == "none" and case.partitions == 1:
            found[BUNDLED] = partial(self.bundled, case, records, ours)
            found[BUNDLED_MANY] = partial(self.bundled, case, records, ours, _MANY_RECORDS)
        if case in (CENTRE, _SMALL):
            for name in (OURS, OURS_RELAXED, KAFKA, TANSU):
                if name in self.contestants:
                    found[name + RAW] = partial(self.raw, case, records, self.contestants[name])
        return found


def judge(report: Report, case: Case, rounds: Rounds) -> None:
    """Holds a case against its targets."""

    def target(ours: str, theirs: str, bound: float) -> None:
        if ratios := rounds.ratios(ours, theirs, rate):
            report.target(f"{case}: {ours} to {theirs}", ratios, bound)

    match case:
        case Case(1024, 1, "all", "none"):
            target(OURS, KAFKA, 1.2)
            target(OURS, KAFKA_FSYNC, 5)
            target(BUNDLED, OURS, 1.0)
            target(BUNDLED_MANY, OURS, 1.0)
        case Case(1024, 1, "1", "none"):
            target(OURS, KAFKA, 1.4)
        case Case(100, 1, "all", "none"):
            target(OURS, KAFKA, 1.2)
        case Case(1024, 200, "all", "none"):
            target(OURS, KAFKA, 1.0)
    target(OURS_RELAXED, TANSU, 1.0)
    values = rounds.values(OURS, lambda run: 1 / run["seconds"])
    report.figure(f"{case}: {OURS}, runs/s", values)


def measure(
    report: Report, producing: Producing, cases: Mapping[Case, int], rounds: int, *, only: Callable[[str], bool]
) -> dict[Case, Rounds]:
    """Measures cases and fills the report.

    Args:
        cases: with the records of a run.
        only: whether an entrant takes part.
    """
    found = {}
    for case, records in cases.items():
        with report.attempt(str(case)):
            entrants = {name: take for name, take in producing.entrants(case, records).items() if only(name)}
            found[case] = in_turn(str(case), entrants, rounds, must=(OURS, OURS_RELAXED))
            table = report.table(str(case)[0].upper() + str(case)[1:])
            fill(table, found[case], records * case.record_bytes, case.record_bytes, KAFKA)
            table.notes.append(f"{records:,} records a run")
            judge(report, case, found[case])
            for name, runs in found[case].runs.items():
                report.runs += [{"case": str(case), "entrant": name, **run} for run in runs]
    return found


def plots(report: Report, found: Mapping[Case, Rounds], cases: Mapping[Case, int]) -> None:
    """Adds throughput by record size and by partitions."""
    by_size = Plot("produce-by-size", "Produce, acks=all, one partition", "record bytes", "MB/s", y_is_log=True)
    by_partitions = Plot("produce-by-partitions", "Produce 1 KiB, acks=all", "partitions", "MB/s")
    cpu = Plot("produce-cpu-by-partitions", "Produce 1 KiB, acks=all", "partitions", "server CPU s/GiB")
    for case, rounds in found.items():
        if (case.acks, case.compression) != ("all", "none"):
            continue
        carried = cases[case] * case.record_bytes
        for name in rounds.runs:
            if name.endswith(RAW):
                continue
            mb = spread(rounds.values(name, lambda run: carried / run["seconds"] / MB)).median  # noqa: B023
            if case.partitions == 1:
                by_size.lines.setdefault(name, []).append((case.record_bytes, mb))
            if case.record_bytes == CENTRE.record_bytes:
                by_partitions.lines.setdefault(name, []).append((case.partitions, mb))
                used = spread(rounds.values(name, server_cpu_s)).median * GIB / carried
                cpu.lines.setdefault(name, []).append((case.partitions, used))
    report.plots += [by_size, by_partitions, cpu]


def records_of(case: Case, megabytes: float) -> int:
    """Returns how many records a run has; fewer bytes of what takes its time: small records, and many partitions."""
    part = 0.4 if case.record_bytes < 1024 else 1.0
    if case.partitions >= _MANY_PARTITIONS:
        part = 0.5 if case.partitions < 1000 else 0.125
    return max(int(megabytes * part * MB / case.record_bytes), case.partitions)


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (5, quick: 1)")
    made.add_argument("--megabytes", type=float, help="of values in a run (256, quick: 16)")
    made.add_argument("--peers", nargs="*", choices=field.PEERS, default=field.PEERS, help="beside this server (all)")
    made.add_argument("--only", default="", help="cases that have this in their name, e.g. 'acks=all, 1 partition'")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 5)
    found.megabytes = found.megabytes or (16 if found.quick else 256)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.produce", CLAIM, chosen.directory)
    report.notes += NOTES
    with scratch(chosen.directory) as directory, ExitStack() as stack:
        contestants = stack.enter_context(field.started(directory, report, chosen.peers))
        producing = Producing(contestants, stack, directory)
        warm_up(producing, chosen.megabytes)
        cases = {case: records_of(case, chosen.megabytes) for case in CASES if chosen.only in str(case)}
        found = measure(report, producing, cases, chosen.rounds, only=lambda name: True)
        plots(report, found, cases)
    report.emit(as_json=chosen.json)


def warm_up(producing: Producing, megabytes: float) -> None:
    """Has every server take a run that nobody looks at."""
    records = records_of(CENTRE, megabytes)
    entrants = {name: partial(producing.confluent, CENTRE, records, it) for name, it in producing.contestants.items()}
    in_turn("warming up", entrants, _WARM_UPS, must=(OURS,))


if __name__ == "__main__":
    main()
