"""From when a record is due to when a consumer has it, at fixed rates: an open loop, free of coordinated omission."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.clients.admin import Admin
from benchmarks.peers import field
from benchmarks.peers.field import KAFKA, OURS_RELAXED, Contestant
from benchmarks.support.contest import Rounds, in_turn
from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch, whole_numbers
from benchmarks.support.output import Plot, Report, progress
from benchmarks.support.processes import Worker

CLAIM: Final = "at a fifth of Kafka's peak rate a record's way through this server has at most 0.8 of Kafka's p99"
TARGET: Final = 0.8
PART_OF_PEAK: Final = 0.2

_RECORD_BYTES: Final = 1024
_TIMEOUT_S: Final = 300
_PERCENTS: Final = ("50", "90", "99", "99.9", "99.99", "100")

NOTES: Final = (
    "a record's stamp is when it was due by the fixed rate; it is never left out or put off because others wait. One "
    "process sends, another receives, with one clock; 1 KiB, one partition, acks=all",
    "linger.ms=0: as a client sets it that is in a hurry; 5: the default, and that much is in every number",
    "the sender looks every half millisecond for what is due, so that much is in every number",
    "the peak is what confluent-kafka produces to Apache Kafka in this run, 1 KiB, acks=all (without Kafka: --peak)",
)


class Steady:
    """Runs against the servers of a field."""

    def __init__(self, contestants: Mapping[str, Contestant], stack: ExitStack, directory: Path) -> None:
        self.contestants = contestants
        self._admins = {name: Admin(it.address) for name, it in contestants.items()}
        self._workers = {
            name: stack.enter_context(Worker(f"benchmarks.clients.{module}", directory / f"{name}.log"))
            for name, module in (("sender", "steady"), ("receiver", "steady"), ("confluent", "confluent"))
        }
        self._topics = 0

    def _topic(self, contestant: Contestant) -> str:
        self._topics += 1
        topic = f"steady-{self._topics}"
        self._admins[contestant.name].create(topic, 1, contestant.topic_settings)
        return topic

    def peak(self, contestant: Contestant, records: int) -> float:
        """Returns records a second that a server takes."""
        job = {"kind": "produce", "address": contestant.address, "server_pid": contestant.pid, "records": records}
        more = {"topic": self._topic(contestant), "partitions": 1, "value_bytes": _RECORD_BYTES}
        run = self._workers["confluent"].ask({**job, **more, "settings": {"acks": "all"}}, _TIMEOUT_S)
        return records / float(run["seconds"])

    def run(self, contestant: Contestant, rate: float, seconds: float, linger_ms: int) -> Any:
        """Returns percentiles in seconds."""
        topic = self._topic(contestant)
        os.sync()
        where = {"address": contestant.address, "topic": topic}
        sender, receiver = self._workers["sender"], self._workers["receiver"]
        sender.ask({"kind": "put", **where}, _TIMEOUT_S)
        receiver.begin({"kind": "receive", **where, "records": int(rate * seconds), "timeout_s": seconds + 60})
        with receiver.unless_it_fails():
            receiver.answer(_TIMEOUT_S)
            job = {"rate": rate, "seconds": seconds, "value_bytes": _RECORD_BYTES}
            sent = sender.ask({"kind": "send", **where, **job, "settings": {"linger.ms": linger_ms}}, _TIMEOUT_S)
            found = receiver.answer(_TIMEOUT_S)
        self._admins[contestant.name].delete(topic)
        return {**found, **sent}


def p99(run: Any) -> float:
    """Returns what the target is about, in seconds."""
    return float(run["99"])


def measure(
    report: Report, steady: Steady, loads: Sequence[tuple[float, int]], rounds: int, seconds: float
) -> dict[tuple[float, int], Rounds]:
    """Measures each rate with each linger and fills the report.

    Args:
        loads: records a second, and linger.ms; the first one is held against the target.
    """
    found = {}
    for number, (rate, linger_ms) in enumerate(loads):
        case = f"{rate:,.0f} records/s, linger.ms={linger_ms}"
        with report.attempt(case):
            entrants = {
                name: partial(steady.run, it, rate, seconds, linger_ms) for name, it in steady.contestants.items()
            }
            found[rate, linger_ms] = in_turn(case, entrants, rounds, must=(OURS_RELAXED,))
            _tell(report, number, case, found[rate, linger_ms])
            _plot(report, number, case, found[rate, linger_ms])
    return found


def _tell(report: Report, number: int, case: str, found: Rounds) -> None:
    table = report.table(f"End to end, {case}")
    for name, runs in found.runs.items():
        cells = {f"p{percent} ms": spread([run[percent] * 1000 for run in runs]) for percent in _PERCENTS[:4]}
        worst = spread([run["100"] * 1000 for run in runs])
        late = max(run["late_s"] for run in runs) * 1000
        ratio = None if name == KAFKA else found.ratio(name, KAFKA, p99)
        table.rows.append(
            {"server": name, **cells, "worst ms": worst, "p99 to Apache Kafka": ratio, "sender late ms": late}
        )
        report.runs += [{"case": case, "server": name, **run} for run in runs]
    table.notes += [f"without {name}: {why}" for name, why in found.failed.items()]
    # Without the rate, which is another one each time, so that the next report can be compared.
    ratios = found.ratios(OURS_RELAXED, KAFKA, p99)
    if ratios and number == 0:
        report.target(f"end to end p99 at a fifth of the peak, {OURS_RELAXED} to {KAFKA}", ratios, TARGET, at_most=True)
    name = f"end to end p99 s, load {number + 1}: {OURS_RELAXED}"
    report.figure(name, found.values(OURS_RELAXED, p99), less_is_better=True)


def _plot(report: Report, number: int, case: str, rounds: Rounds) -> None:
    plot = Plot(
        f"latency-{number + 1}", f"End to end, {case}", "percent of the records that take longer", "ms", y_is_log=True
    )
    for name, runs in rounds.runs.items():
        plot.lines[name] = [
            (100 - float(percent), spread([run[percent] * 1000 for run in runs]).median) for percent in _PERCENTS[:-1]
        ]
    plot.x_is_reversed = True
    report.plot(plot)


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (5, quick: 1)")
    made.add_argument("--seconds", type=float, help="of one run (5, quick: 1)")
    made.add_argument("--peak", type=float, help="records/s to take for Kafka's peak, instead of measuring it")
    made.add_argument("--rates", type=whole_numbers, default=[1000], help="records/s besides (1000)")
    made.add_argument("--peers", nargs="*", choices=field.PEERS, default=field.PEERS, help="beside this server (all)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 5)
    found.seconds = found.seconds or (1 if found.quick else 5)
    return found


def peak_of(report: Report, steady: Steady, records: int) -> float:
    """Returns the peak rate of Apache Kafka, or of this server if that one is missing; the report says so."""
    name = KAFKA if KAFKA in steady.contestants else OURS_RELAXED
    found = []
    for number in range(4):
        progress(f"peak of {name}: {number + 1} of 4")
        found.append(steady.peak(steady.contestants[name], records))
    # The first ones warm it up.
    peak = spread(found[1:]).median
    report.note(f"peak of {name}: {peak:,.0f} records/s")
    return peak


def warm_up(steady: Steady, rate: float, seconds: float) -> None:
    """Has every server take and give out records at a rate, and nobody looks at how long that takes."""
    entrants = {name: partial(steady.run, it, rate, seconds, 0) for name, it in steady.contestants.items()}
    in_turn("warming up", entrants, 1, must=(OURS_RELAXED,))


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.steady", CLAIM, chosen.directory)
    report.notes += NOTES
    with scratch(chosen.directory) as directory, ExitStack() as stack:
        steady = Steady(stack.enter_context(field.started(directory, report, chosen.peers)), stack, directory)
        peak = chosen.peak or peak_of(report, steady, 20_000 if chosen.quick else 400_000)
        rate = peak * PART_OF_PEAK
        loads = [(rate, 0), (rate, 5), *((rate, 0) for rate in chosen.rates)]
        warm_up(steady, rate, min(chosen.seconds, 3))
        measure(report, steady, loads, chosen.rounds, chosen.seconds)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
