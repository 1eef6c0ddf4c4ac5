"""The figures that matter in three minutes, beside Apache Kafka, for `make bench-quick` to compare with the last."""

import argparse
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import consume, footprint, produce, requests, steady, transactions
from benchmarks.peers import field
from benchmarks.peers.field import KAFKA, KAFKA_FSYNC, OURS, OURS_RELAXED, Contestant
from benchmarks.support.contest import in_turn
from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Report
from benchmarks.support.processes import Worker
from benchmarks.support.rates import RAW

CLAIM: Final = "what the full form shows, from fewer and shorter runs: good for seeing that something got slower"

_NO_TANSU: Final = ("kafka",)
_WITHOUT_FSYNC: Final = (OURS, KAFKA)
_OF_CENTRE: Final = (OURS, KAFKA, KAFKA_FSYNC, produce.BUNDLED, produce.BUNDLED_MANY)
_RELAXED: Final = (OURS_RELAXED, KAFKA)
_PRODUCERS: Final = 8
"""At a time, to warm up."""
_CASES: Final = (
    produce.Case(100),
    produce.Case(acks="1"),
    produce.Case(partitions=200),
)


def measure(report: Report, stack: ExitStack, directory: Path, options: argparse.Namespace) -> None:
    """Measures one after the other what the servers of one field can be asked."""
    contestants = stack.enter_context(field.started(directory, report, options.peers))
    megabytes, rounds = options.megabytes, options.rounds
    producing = produce.Producing(contestants, stack, directory)
    produce.warm_up(producing, megabytes)
    for cases, names in (((produce.CENTRE,), _OF_CENTRE), (_CASES, _WITHOUT_FSYNC)):
        records = {case: produce.records_of(case, megabytes) for case in cases}
        produce.measure(report, producing, records, rounds, only=names.__contains__)
    hammer = stack.enter_context(Worker("benchmarks.clients.hammer", directory / "hammer.log"))
    asked = requests.Requests(contestants, hammer, options.seconds, 100)
    requests.warm_up(asked)
    requests.measure(report, asked, [(32, 1)], rounds)
    consuming = consume.Consuming(contestants, stack, directory)
    consume.warm_up(consuming, megabytes, only=_is_client)
    consume.measure(
        report,
        consuming,
        {case: consume.records_of(case, megabytes) for case in (consume.HOT, consume.COLD, consume.BOTH)},
        rounds,
        only=_is_client,
    )
    relaxed: dict[str, Contestant] = {name: contestants[name] for name in _RELAXED if name in contestants}
    at_rate = steady.Steady(relaxed, stack, directory)
    peak = steady.peak_of(report, at_rate, produce.records_of(produce.CENTRE, megabytes))
    loads = [(peak * steady.PART_OF_PEAK, 0)]
    steady.warm_up(at_rate, loads[0][0], options.seconds * 2)
    steady.measure(report, at_rate, loads, rounds, options.seconds * 2)
    peers = [transactions.Peer(name, it.address, it.pid) for name, it in contestants.items() if name in (OURS, KAFKA)]
    _transactions(report, peers, options)


def _is_client(name: str) -> bool:
    return not name.endswith(RAW)


def _transactions(report: Report, peers: list[transactions.Peer], options: argparse.Namespace) -> None:
    for peer in peers:
        transactions.create(peer.address)
    transactions.warm_up(peers, _PRODUCERS, options.seconds)
    entrants = {peer.name: partial(transactions.one_by_one, peer, 10, options.seconds) for peer in peers}
    found = in_turn("transactions of 10 records", entrants, options.rounds, must=(OURS,))
    table = report.table("Transactions of 10 records")
    for name in found.runs:
        table.rows.append({"server": name, "transactions/s": spread(found.values(name, lambda run: run.rate))})
    if ratios := found.ratios(OURS, KAFKA, lambda run: float(run.rate)):
        report.target(f"transactions of 10 records: {OURS} to {KAFKA}", ratios, transactions.TARGET)


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (3, quick: 1)")
    made.add_argument("--megabytes", type=float, help="of values in a run (128, quick: 2)")
    made.add_argument("--seconds", type=float, help="of a run that is not told in bytes (1, quick: 0.1)")
    made.add_argument("--peers", nargs="*", choices=_NO_TANSU, default=_NO_TANSU, help="beside this server (kafka)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 3)
    found.megabytes = found.megabytes or (2 if found.quick else 128)
    found.seconds = found.seconds or (0.1 if found.quick else 1)
    # Of footprint.
    found.no_kafka, found.no_tansu = not found.peers, True
    found.partitions = found.connections = 20 if found.quick else 200
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.quick", CLAIM, chosen.directory)
    report.notes += (*produce.NOTES, *consume.NOTES, *steady.NOTES, *footprint.NOTES)
    with scratch(chosen.directory) as directory:
        with ExitStack() as stack:
            measure(report, stack, directory, chosen)
        footprint.measure(report, directory, chosen, 1)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
