"""How long many members take to share many partitions in both group protocols, beside Apache Kafka."""

import argparse
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from benchmarks.clients.admin import Admin
from benchmarks.peers import field
from benchmarks.peers.field import KAFKA, OURS, Contestant
from benchmarks.support.contest import in_turn
from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Cell, Report
from benchmarks.support.processes import Worker
from benchmarks.support.usage import cpu_of

CLAIM: Final = "100 members share 1,000 partitions anew no later than with Apache Kafka, in both group protocols"

_TOPIC: Final = "shared"
_TIMEOUT_S: Final = 900
_CHANGES: Final = ("join", "one joins", "one leaves")
_INTERVALS: Final = ("group.consumer.heartbeat.interval.ms", "group.initial.rebalance.delay.ms")
_PROTOCOLS: Final = ("classic", "consumer")
_FEWER: Final = 10
"""Times fewer members warm a server up: among others the topic of the offsets is made then."""

_NOTES: Final = (
    "confluent-kafka consumers with their defaults, all in one process; classic: assignor cooperative-sticky; "
    "consumer: the protocol of KIP-848; both servers with their defaults, among them group.initial.rebalance.delay.ms "
    "and the heartbeat intervals, which most of the time is spent on",
    "settled: every partition is owned, by nobody two more than by somebody else",
    "CPU: of the server's processes for all three changes",
)


def measure(report: Report, contestants: Mapping[str, Contestant], worker: Worker, options: argparse.Namespace) -> None:
    """Measures and fills the report."""
    members, partitions = options.members, options.partitions
    number = 0

    def run(protocol: str, members: int, it: Contestant) -> Any:
        nonlocal number
        number += 1
        before = cpu_of(it.pid)
        job = {"topic": _TOPIC, "partitions": partitions, "members": members, "protocol": protocol}
        job["heartbeat_ms"] = options.heartbeat_ms
        found = worker.ask({"kind": "rebalance", "address": it.address, "group": f"crew-{number}", **job}, _TIMEOUT_S)
        return {**found, "cpu_s": cpu_of(it.pid).since(before).total_s}

    for it in contestants.values():
        Admin(it.address).create(_TOPIC, partitions)
    for protocol in _PROTOCOLS:
        case = f"{members} members over {partitions:,} partitions, {protocol} protocol"
        few = {name: partial(run, protocol, max(members // _FEWER, 2), it) for name, it in contestants.items()}
        in_turn(f"warming up, {protocol} protocol", few, 1, must=(OURS,))
        entrants = {name: partial(run, protocol, members, it) for name, it in contestants.items()}
        found = in_turn(case, entrants, options.rounds, must=(OURS,))
        table = report.table(f"{case}: settled after s")
        for name, runs in found.runs.items():
            cells: dict[str, Cell] = {change: spread([run[change] for run in runs]) for change in _CHANGES}
            table.rows.append({"server": name, **cells, "CPU s": spread([run["cpu_s"] for run in runs])})
            report.runs += [{"case": case, "server": name, **run} for run in runs]
        table.notes += [f"without {name}: {why}" for name, why in found.failed.items()]
        for change in _CHANGES:
            values = [run[change] for run in found.runs[OURS]]
            report.figure(f"{case}, {change}: s", values, less_is_better=True)


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (3, quick: 1)")
    made.add_argument("--members", type=int, help="of the group (100, quick: 10)")
    made.add_argument("--partitions", type=int, help="that they share (1000, quick: 100)")
    made.add_argument("--heartbeat-ms", type=int, help="of this server and its clients, which else have their defaults")
    made.add_argument("--no-kafka", action="store_true", help="measure this server only")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 3)
    found.members = found.members or (10 if found.quick else 100)
    found.partitions = found.partitions or (100 if found.quick else 1000)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.rebalances", CLAIM, chosen.directory)
    with scratch(chosen.directory) as directory, ExitStack() as stack:
        peers = () if chosen.no_kafka else ("kafka",)
        interval = chosen.heartbeat_ms
        settings = {name: str(interval) for name in _INTERVALS} if interval else {}
        every = stack.enter_context(field.started(directory, report, peers, settings))
        contestants: dict[str, Contestant] = {name: every[name] for name in (OURS, KAFKA) if name in every}
        report.notes += _NOTES
        worker = stack.enter_context(Worker("benchmarks.clients.crew", directory / "worker.log"))
        measure(report, contestants, worker, chosen)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
