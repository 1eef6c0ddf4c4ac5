"""Consumes with one client from all servers that speak Kafka's protocol: hot, cold, ten readers; and over gRPC."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
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
from benchmarks.support.page_cache import drop, resident_part
from benchmarks.support.processes import Worker
from benchmarks.support.rates import GIB, MB, RAW, fill, rate, scaled, server_cpu_s, size
from benchmarks.support.worker import CannotDo

CLAIM: Final = "this server gives records out as fast as Apache Kafka, hot and cold, for less processor time"

BUNDLED: Final = "bundled client over gRPC"
BUNDLED_BATCHES: Final = "bundled client over gRPC, batches()"
_SAME_LOGS: Final = (OURS_RELAXED, KAFKA_FSYNC)
"""How a topic was written makes no difference to its readers."""
_COLD_SETTINGS: Final = {"segment.bytes": str(64 << 20)}
_COLD_MOST: Final = 0.02
_WARM_UPS: Final = 3
_TIMEOUT_S: Final = 600
_FANOUT: Final = 10

NOTES: Final = (
    "confluent-kafka with queues that hold a run; every value is looked at; connected, and all it "
    "needs to know known, before the clock runs, for which it reads from the topic; where that is cold its last record",
    "hot: just written, in the page cache; cold: written to disk and dropped from the page cache before each run (less "
    f"than {_COLD_MOST:.0%} of it is in memory, asked by mincore), segments of 64 MiB, another topic each round",
    f"{_FANOUT} consumers: each reads all, on threads of one process; MB/s of all together",
    "prebuilt: the same Fetch of 1 MiB again and again on one connection, the answers are only counted",
    "CPU s/GiB: user + system seconds of the server's processes for each GiB of values given out",
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is consumed."""

    record_bytes: int = 1024
    partitions: int = 1
    consumers: int = 1
    cold: bool = False
    produced: bool = False
    """What is produced before counts, too."""

    def __str__(self) -> str:
        partitions = "1 partition" if self.partitions == 1 else f"{self.partitions:,} partitions"
        readers = "" if self.consumers == 1 else f", {self.consumers} consumers"
        if self.produced:
            return f"produce and consume {size(self.record_bytes)}, {partitions}"
        return f"consume {size(self.record_bytes)} {'cold' if self.cold else 'hot'}, {partitions}{readers}"


HOT: Final = Case()
COLD: Final = Case(cold=True)
BOTH: Final = Case(produced=True)
CASES: Final = (
    *(Case(count) for count in (100, 1024, 10 * 1024)),
    Case(partitions=12),
    Case(consumers=_FANOUT),
    COLD,
    BOTH,
)


class Consuming:
    """Runs cases against the servers of a field."""

    def __init__(self, contestants: Mapping[str, Contestant], stack: ExitStack, directory: Path) -> None:
        self.contestants = {name: it for name, it in contestants.items() if name not in _SAME_LOGS}
        self._admins = {name: Admin(it.address) for name, it in self.contestants.items()}
        self._workers = {
            name: stack.enter_context(Worker(f"benchmarks.clients.{name}", directory / f"{name}.log"))
            for name in ("confluent", "sync", "hammer")
        }
        self._topics = 0

    def filled(self, case: Case, records: int, contestant: Contestant) -> str:
        """Makes a topic with records and returns its name."""
        self._topics += 1
        topic = f"consume-{self._topics}"
        self._admins[contestant.name].create(topic, case.partitions, _COLD_SETTINGS if case.cold else {})
        self._produce(case, records, contestant, topic)
        return topic

    def _produce(self, case: Case, records: int, contestant: Contestant, topic: str) -> Any:
        job = {"records": records, "value_bytes": case.record_bytes}
        run = self._ask("confluent", "produce", case, contestant, topic, **job)
        os.sync()
        return run

    def both(self, case: Case, records: int, contestant: Contestant) -> Any:
        """One run of confluent-kafka that produces, and one that consumes that; what they took together."""
        self._topics += 1
        topic = f"consume-{self._topics}"
        self._admins[contestant.name].create(topic, case.partitions)
        first = self._produce(case, records, contestant, topic)
        second = self._read(case, records, contestant, topic)
        for side in ("server", "client"):
            second[side] = {name: value + first[side][name] for name, value in second[side].items()}
        return {**second, "seconds": first["seconds"] + second["seconds"]}

    def _ask(self, worker: str, kind: str, case: Case, contestant: Contestant, topic: str, **job: Any) -> Any:
        whole = {"kind": kind, "address": contestant.address, "server_pid": contestant.pid, "topic": topic, **job}
        if worker == "confluent":
            whole["partitions"] = case.partitions
        return self._workers[worker].ask(whole, _TIMEOUT_S)

    def confluent(self, case: Case, records: int, contestant: Contestant, topic: str) -> Any:
        """One run of confluent-kafka."""
        if not case.cold:
            return self._read(case, records, contestant, topic)
        topic = self.filled(case, records, contestant)
        for folder in self._folders(contestant, topic):
            drop(folder)
            if (part := resident_part(folder)) > _COLD_MOST:
                raise CannotDo(f"{part:.0%} of {topic} can't be dropped from the page cache")
        return self._read(case, records, contestant, topic)

    def _read(self, case: Case, records: int, contestant: Contestant, topic: str) -> Any:
        # One record opened the producer's connection.
        count = records + 1
        how = {"consumers": case.consumers, "cold": case.cold}
        run = self._ask("confluent", "consume", case, contestant, topic, records=count, **how)
        expected = records * case.record_bytes * case.consumers
        if run["bytes"] != expected:
            raise CannotDo(f"{run['bytes']:,} bytes were read instead of {expected:,}")
        return run

    def _folders(self, contestant: Contestant, topic: str) -> list[Path]:
        if contestant.data is None:
            raise CannotDo("it keeps nothing on disk")
        found = [path for path in contestant.data.iterdir() if path.name.startswith(f"{topic}-")]
        if not found:
            raise CannotDo(f"{contestant.data} has no {topic}")
        return found

    def bundled(self, case: Case, records: int, topic: str, by_batch: bool) -> Any:
        """One run of the bundled client."""
        ours = self.contestants[OURS]
        job = {"records": records + 1, "by_batch": by_batch, "address": ours.grpc}
        return self._ask("sync", "consume", case, ours, topic, **job)

    def raw(self, case: Case, records: int, contestant: Contestant, topic: str) -> Any:
        """One run of the same request over and over, for about as many bytes; its seconds are made to fit."""
        job = {"connections": 1, "in_flight": 1, "offset": 1, "seconds": 1.0}
        run = self._ask("hammer", "fetch", case, contestant, topic, **job)
        return scaled(run, records * case.record_bytes / (run["requests"] * run["response_bytes"]))

    def entrants(self, case: Case, records: int) -> dict[str, Callable[[], Any]]:
        """Returns whom a case is for; hot topics are filled now."""
        found: dict[str, Callable[[], Any]] = {}
        topics: dict[str, str] = {}
        for name, it in self.contestants.items():
            if case.cold and it.data is None:
                continue
            if case.produced:
                found[name] = partial(self.both, case, records, it)
                continue
            topics[name] = "" if case.cold else self.filled(case, records, it)
            found[name] = partial(self.confluent, case, records, it, topics[name])
        if case.consumers == 1 and not case.cold and not case.produced:
            found[BUNDLED] = partial(self.bundled, case, records, topics[OURS], False)
            found[BUNDLED_BATCHES] = partial(self.bundled, case, records, topics[OURS], True)
        if case == HOT:
            for name in (OURS, KAFKA, TANSU):
                if name in topics:
                    found[name + RAW] = partial(self.raw, case, records, self.contestants[name], topics[name])
        return found


def judge(report: Report, case: Case, rounds: Rounds) -> None:
    """Holds a case against its targets."""

    def target(ours: str, theirs: str, bound: float) -> None:
        if ratios := rounds.ratios(ours, theirs, rate):
            report.target(f"{case}: {ours} to {theirs}", ratios, bound)

    if case in (HOT, COLD):
        target(OURS, KAFKA, 1.0)
    if case == HOT:
        target(BUNDLED, OURS, 0.6)
    target(OURS, TANSU, 1.0)
    if case == BOTH and (ratios := rounds.ratios(OURS, KAFKA, server_cpu_s)):
        report.target(f"{case}: server CPU of {OURS} to {KAFKA}", ratios, 0.6, at_most=True)
    report.figure(f"{case}: {OURS}, runs/s", rounds.values(OURS, rate))


def measure(
    report: Report, consuming: Consuming, cases: Mapping[Case, int], rounds: int, *, only: Callable[[str], bool]
) -> dict[Case, Rounds]:
    """Measures cases and fills the report.

    Args:
        cases: with the records of a run.
        only: whether an entrant takes part.
    """
    found = {}
    for case, records in cases.items():
        with report.attempt(str(case)):
            entrants = {name: take for name, take in consuming.entrants(case, records).items() if only(name)}
            found[case] = in_turn(str(case), entrants, rounds, must=(OURS,))
            table = report.table(str(case)[0].upper() + str(case)[1:])
            fill(table, found[case], records * case.record_bytes * case.consumers, case.record_bytes, KAFKA)
            table.notes.append(f"{records:,} records a run")
            judge(report, case, found[case])
            for name, runs in found[case].runs.items():
                report.runs += [{"case": str(case), "entrant": name, **run} for run in runs]
    return found


def plots(report: Report, found: Mapping[Case, Rounds], cases: Mapping[Case, int]) -> None:
    """Adds throughput by record size."""
    by_size = Plot("consume-by-size", "Consume hot, one partition", "record bytes", "MB/s", y_is_log=True)
    cpu = Plot("consume-cpu-by-size", "Consume hot, one partition", "record bytes", "server CPU s/GiB", y_is_log=True)
    for case, rounds in found.items():
        if case != Case(case.record_bytes):
            continue
        carried = cases[case] * case.record_bytes
        for name in rounds.runs:
            if not name.endswith(RAW):
                seconds = spread(rounds.values(name, lambda run: run["seconds"])).median
                by_size.lines.setdefault(name, []).append((case.record_bytes, carried / seconds / MB))
                used = spread(rounds.values(name, server_cpu_s)).median * GIB / carried
                cpu.lines.setdefault(name, []).append((case.record_bytes, used))
    report.plots += [by_size, cpu]


def records_of(case: Case, megabytes: float) -> int:
    """Returns how many records a run has; small ones and those of many readers are fewer bytes."""
    part = 0.2 if case.record_bytes < 1024 or case.consumers > 1 else 1.0
    return max(int(megabytes * part * MB / case.record_bytes), case.partitions)


def options(arguments: Sequence[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (5, quick: 1)")
    made.add_argument("--megabytes", type=float, help="of values in a run (256, quick: 16)")
    made.add_argument("--peers", nargs="*", choices=field.PEERS, default=field.PEERS, help="beside this server (all)")
    made.add_argument("--only", default="", help="cases that have this in their name, e.g. 'cold'")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 5)
    found.megabytes = found.megabytes or (16 if found.quick else 256)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.consume", CLAIM, chosen.directory)
    report.notes += NOTES
    with scratch(chosen.directory) as directory, ExitStack() as stack:
        contestants = stack.enter_context(field.started(directory, report, chosen.peers))
        consuming = Consuming(contestants, stack, directory)
        warm_up(consuming, chosen.megabytes, only=lambda name: True)
        cases = {case: records_of(case, chosen.megabytes) for case in CASES if chosen.only in str(case)}
        found = measure(report, consuming, cases, chosen.rounds, only=lambda name: True)
        plots(report, found, cases)
    report.emit(as_json=chosen.json)


def warm_up(consuming: Consuming, megabytes: float, *, only: Callable[[str], bool]) -> None:
    """Has every server give out what nobody looks at."""
    every = consuming.entrants(HOT, records_of(HOT, megabytes))
    entrants = {name: take for name, take in every.items() if only(name)}
    in_turn("warming up", entrants, _WARM_UPS, must=(OURS,))


if __name__ == "__main__":
    main()
