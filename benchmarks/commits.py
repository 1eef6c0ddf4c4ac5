"""Thousands of groups commit their offsets, beside Apache Kafka."""

import argparse
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.clients.admin import Admin
from benchmarks.peers import field
from benchmarks.peers.field import KAFKA, TANSU, Contestant
from benchmarks.peers.kafka import Installation
from benchmarks.peers.tansu import tansu
from benchmarks.support.contest import Rounds, in_turn
from benchmarks.support.machine import our_version
from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Report
from benchmarks.support.processes import Worker, log_server
from benchmarks.support.usage import Cpu

CLAIM: Final = "5,000 groups commit 1.5 times as many offsets a second as with Apache Kafka, with equal durability"
TARGET: Final = 1.5

FSYNC: Final = ", fsync"
RELAXED: Final = ", page cache"
OURS: Final = "log server"
_FLUSH: Final = "log.flush.interval.messages"
_TOPIC: Final = "committed"
_CONNECTIONS: Final = 32
_TIMEOUT_S: Final = 300

_NOTES: Final = (
    f"OffsetCommit requests of one offset for groups without members, made beforehand, on {_CONNECTIONS} connections; "
    "each connection sends the next group's when one is answered; every group has committed once before the clock runs",
    f"fsync: {_FLUSH}=1 for the whole server, __consumer_offsets included (this server's default); page cache: Kafka's "
    "default",
    "us: processor time of the server's processes by the number of commits. Median (least to most) of the rounds",
)


def started(
    stack: ExitStack, report: Report, directory: Path, with_kafka: bool, with_tansu: bool
) -> dict[str, Contestant]:
    """Starts each server twice: how the topic of the offsets is flushed is a setting of the whole server."""
    found: dict[str, Contestant] = {}
    for how, messages in ((FSYNC, "1"), (RELAXED, "1000000000")):
        settings = {_FLUSH: messages}
        name = OURS + how
        log = directory / f"ours{len(found)}.log"
        ours = stack.enter_context(log_server(directory / f"ours{len(found)}", log, settings, with_kafka=True))
        report.server(name, our_version(), settings)
        found[name] = Contestant(name, ours.kafka, ours.pid, {}, ours.address)
        if with_kafka:
            with field.left_out(report, KAFKA):
                folder = directory / f"kafka{len(found)}"
                it = stack.enter_context(Installation(folder, settings if how == FSYNC else {}).start())
                report.server(KAFKA + how, it.name, it.settings)
                found[KAFKA + how] = Contestant(KAFKA + how, it.address, it.pid, {})
    if with_tansu:
        with field.left_out(report, TANSU):
            broker = stack.enter_context(tansu(directory / "tansu"))
            report.server(TANSU, broker.name, broker.settings)
            found[TANSU] = Contestant(TANSU, broker.address, broker.pid, {})
    for contestant in found.values():
        Admin(contestant.address).create(_TOPIC, 1)
    return found


def rate(run: Any) -> float:
    """Returns commits a second."""
    return float(run["commits"] / run["seconds"])


def measure(
    report: Report, contestants: dict[str, Contestant], worker: Worker, groups: int, rounds: int, seconds: float
) -> Rounds:
    """Measures and fills the report."""

    def run(it: Contestant) -> Any:
        where = {"address": it.address, "server_pid": it.pid, "topic": _TOPIC}
        job = {"groups": groups, "connections": min(_CONNECTIONS, groups), "seconds": seconds}
        return worker.ask({"kind": "commit", **where, **job}, _TIMEOUT_S)

    case = f"{groups:,} groups commit"
    entrants = {name: partial(run, it) for name, it in contestants.items()}
    in_turn("warming up", entrants, 1, must=(OURS + FSYNC,))
    found = in_turn(case, entrants, rounds, must=(OURS + FSYNC, OURS + RELAXED))
    table = report.table(case)
    for name, runs in found.runs.items():
        peer = KAFKA + (FSYNC if name.endswith(FSYNC) else RELAXED)
        table.rows.append(
            {
                "server": name,
                "commits/s": spread(found.values(name, rate)),
                "ratio": None if name in (peer, TANSU) else found.ratio(name, peer, rate),
                "ratio to Tansu": found.ratio(name, TANSU, rate) if name == OURS + RELAXED else None,
                "p50 ms": spread([run["p50_s"] * 1000 for run in runs]),
                "p99 ms": spread([run["p99_s"] * 1000 for run in runs]),
                "server us": spread([Cpu(**run["server"]).total_s / run["commits"] * 1e6 for run in runs]),
            }
        )
        report.runs += [{"server": name, **run} for run in runs]
    table.notes += [f"without {name}: {why}" for name, why in found.failed.items()]
    for how in (FSYNC, RELAXED):
        report.figure(f"{case}: {OURS}{how}, commits/s", found.values(OURS + how, rate))
        if ratios := found.ratios(OURS + how, KAFKA + how, rate):
            report.target(f"offset commits, {groups:,} groups: {OURS}{how} to {KAFKA}{how}", ratios, TARGET)
    return found


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (5, quick: 1)")
    made.add_argument("--seconds", type=float, help="of one run (5, quick: 0.5)")
    made.add_argument("--groups", type=int, help="that commit (5000, quick: 500)")
    made.add_argument("--no-kafka", action="store_true", help="without Apache Kafka")
    made.add_argument("--no-tansu", action="store_true", help="without Tansu")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 5)
    found.seconds = found.seconds or (0.5 if found.quick else 5)
    found.groups = found.groups or (500 if found.quick else 5000)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.commits", CLAIM, chosen.directory)
    report.notes += _NOTES
    with scratch(chosen.directory) as directory, ExitStack() as stack:
        worker = stack.enter_context(Worker("benchmarks.clients.committing", directory / "worker.log"))
        contestants = started(stack, report, directory, not chosen.no_kafka, not chosen.no_tansu)
        measure(report, contestants, worker, chosen.groups, chosen.rounds, chosen.seconds)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
