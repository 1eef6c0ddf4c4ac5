"""What a request of one small record costs at the Kafka door: processor time of the server, and how many there are."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from benchmarks.clients.admin import Admin
from benchmarks.peers import field
from benchmarks.peers.field import KAFKA, KAFKA_FSYNC, OURS, OURS_RELAXED, TANSU, Contestant
from benchmarks.support.contest import Rounds, in_turn
from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch, whole_numbers
from benchmarks.support.output import Plot, Report, Table
from benchmarks.support.processes import Worker

CLAIM: Final = "clients that do not batch: requests with one record each, 1.8 times as many as Apache Kafka takes"

TARGET: Final = 1.8
TANSU_TARGET: Final = 1.0
_LOAD: Final = (32, 1)
"""Connections, and requests under way on each, that are held against the target."""

_TIMEOUT_S: Final = 300
PRODUCE_1: Final = "produce acks=1"
_PRODUCE_ALL: Final = "produce acks=all"
FETCH: Final = "fetch"
_WARM_UPS: Final = 3

_NOTES: Final = (
    "each request has, or is answered with, one record batch of one record; a connection sends its next request when "
    "one is answered",
    "us: processor time of the server's processes, all threads, by the number of requests; client us: that of the load "
    "generator, which sends the same bytes again and again and only counts what comes",
    "fetch: the last record of a partition, without a fetch session",
)

_WHO: Final = {
    PRODUCE_1: (OURS, OURS_RELAXED, KAFKA, TANSU),
    _PRODUCE_ALL: (OURS, KAFKA_FSYNC),
    FETCH: (OURS, KAFKA, TANSU),
}
"""Whom each is asked: of topics that are read, how they were written makes no difference."""


class Requests:
    """Asks the servers of a field."""

    def __init__(self, contestants: Mapping[str, Contestant], worker: Worker, seconds: float, value_bytes: int) -> None:
        self.contestants = contestants
        self._worker = worker
        self._seconds = seconds
        self._value_bytes = value_bytes
        self._admins = {name: Admin(it.address) for name, it in contestants.items()}
        self._answered: dict[str, int] = {}
        for name, it in contestants.items():
            for topic in (_topic(name, PRODUCE_1), _topic(name, FETCH)):
                self._admins[name].create(topic, 1, it.topic_settings)
        self._filled: set[str] = set()

    def entrants(self, what: str, connections: int, in_flight: int) -> dict[str, Callable[[], Any]]:
        """Returns whom something is asked."""
        return {
            name: partial(self._ask, what, connections, in_flight, self.contestants[name])
            for name in _WHO[what]
            if name in self.contestants
        }

    def _ask(self, what: str, connections: int, in_flight: int, it: Contestant) -> Any:
        common = {"address": it.address, "server_pid": it.pid, "connections": connections, "in_flight": in_flight}
        if what == FETCH:
            self._fill(it)
            job = {"kind": "fetch", "topic": _topic(it.name, FETCH), "offset": 1, "seconds": self._seconds}
            return self._worker.ask({**common, **job}, _TIMEOUT_S)
        acks = -1 if what == _PRODUCE_ALL else 1
        topic = _topic(it.name, what)
        job = {"kind": "produce", "topic": topic, "acks": acks, "value_bytes": self._value_bytes}
        run = self._worker.ask({**common, **job, "seconds": self._seconds}, _TIMEOUT_S)
        self._answered[topic] = self._answered.get(topic, 0) + run["requests"] + run["connections"]
        # Only after acks=all may all be read that was answered, also what acks=1 before it had answered.
        if acks == -1:
            stored = self._admins[it.name].records(topic, 1)
            assert stored == self._answered[topic], (stored, self._answered, run)
        return run

    def _fill(self, it: Contestant) -> None:
        """Puts two records there, of which all fetches are about the last."""
        if it.name not in self._filled:
            job = {"kind": "produce", "address": it.address, "server_pid": it.pid, "topic": _topic(it.name, FETCH)}
            more = {"connections": 1, "in_flight": 1, "acks": -1, "value_bytes": self._value_bytes, "seconds": 0}
            self._worker.ask({**job, **more}, _TIMEOUT_S)
            self._filled.add(it.name)


def _topic(contestant: str, what: str) -> str:
    """Returns the topic of a contestant; what is produced goes to the same one whatever its acks."""
    name = "fetched" if what == FETCH else "produced"
    return f"{name}-{''.join(letter for letter in contestant if letter.isalnum())}"


def warm_up(asked: Requests) -> None:
    """Asks every server so often that a JVM has compiled what it runs for it; acks make no difference to that."""
    for what in (PRODUCE_1, FETCH):
        in_turn(f"warming up, {what}", asked.entrants(what, *_LOAD), _WARM_UPS, must=(OURS, OURS_RELAXED))


def requests_per_s(run: Any) -> float:
    """Returns the rate of a run."""
    return float(run["requests"] / run["seconds"])


def measure(
    report: Report, asked: Requests, loads: Sequence[tuple[int, int]], rounds: int, only: str | None = None
) -> None:
    """Measures each with each number of connections, and fills the report.

    Args:
        loads: connections, and requests in flight on each.
        only: what has this in its name.
    """
    for what in _WHO:
        if only and only not in what:
            continue
        table = report.table(f"{what[0].upper()}{what[1:]}, requests of one record")
        name = f"requests-{what.replace(' ', '-').replace('=', '-')}"
        plot = report.plot(Plot(name, what, "connections", "requests/s"))
        cost = report.plot(Plot(f"{name}-cost", what, "connections", "server CPU us a request", y_is_log=True))
        for connections, in_flight in loads:
            case = f"{what}, {connections} connections, {in_flight} in flight"
            with report.attempt(case):
                entrants = asked.entrants(what, connections, in_flight)
                found = in_turn(case, entrants, rounds, must=(OURS, OURS_RELAXED))
                _tell(report, table, (what, connections, in_flight), found)
                _judge(report, (what, connections, in_flight), case, found)
                if in_flight == 1:
                    for name, runs in found.runs.items():
                        rates = spread(found.values(name, requests_per_s))
                        plot.lines.setdefault(name, []).append((connections, rates.median))
                        used = spread([_us(run, "server") for run in runs]).median
                        cost.lines.setdefault(name, []).append((connections, used))
                table.notes += [f"without {name} in {case}: {why}" for name, why in found.failed.items()]


def _tell(report: Report, table: Table, asked: tuple[str, int, int], found: Rounds) -> None:
    what, connections, in_flight = asked
    reference = KAFKA_FSYNC if what == _PRODUCE_ALL else KAFKA
    for name, runs in found.runs.items():
        table.rows.append(
            {
                "server": name,
                "connections": connections,
                "in flight each": in_flight,
                "requests/s": spread(found.values(name, requests_per_s)),
                "ratio to Kafka": None if name == reference else found.ratio(name, reference, requests_per_s),
                "ratio to Tansu": None if name == TANSU else found.ratio(name, TANSU, requests_per_s),
                "us": spread([_us(run, "server") for run in runs]),
                "of these in the kernel": spread([run["server"]["system_s"] / run["requests"] * 1e6 for run in runs]),
                "client us": spread([_us(run, "client") for run in runs]),
            }
        )
        report.runs += [{"what": what, "server": name, "in_flight": in_flight, **run} for run in runs]


def _judge(report: Report, asked: tuple[str, int, int], case: str, found: Rounds) -> None:
    what, connections, in_flight = asked
    ours = OURS_RELAXED if what == PRODUCE_1 else OURS
    report.figure(f"{case}: {ours}, requests/s", found.values(ours, requests_per_s))
    ratios = found.ratios(OURS_RELAXED, KAFKA, requests_per_s)
    if ratios and (what, connections, in_flight) == (PRODUCE_1, *_LOAD):
        report.target(f"unbatched requests, {case}: {OURS_RELAXED} to {KAFKA}", ratios, TARGET)
    ratios = found.ratios(OURS_RELAXED, TANSU, requests_per_s)
    if ratios and (what, in_flight) == (PRODUCE_1, 1):
        report.target(f"unbatched requests, {case}: {OURS_RELAXED} to {TANSU}", ratios, TANSU_TARGET)


def _us(run: Any, who: str) -> float:
    return float((run[who]["user_s"] + run[who]["system_s"]) / run["requests"] * 1e6)


def _load(text: str) -> list[tuple[int, int]]:
    """Reads CONNECTIONSxIN_FLIGHT with commas between them."""
    return [
        (connections, in_flight)
        for part in text.split(",")
        for connections, in_flight in [whole_numbers(part.replace("x", ","))]
    ]


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (5, quick: 1)")
    made.add_argument("--seconds", type=float, help="of one run (1.5, quick: 0.5)")
    made.add_argument("--value-bytes", type=int, default=100, help="size of a record's value (100)")
    made.add_argument(
        "--load",
        type=_load,
        default=_load("1x1,1x16,32x1,32x16,512x1"),
        help="connections and requests in flight on each (1x1,1x16,32x1,32x16,512x1)",
    )
    made.add_argument("--only", help="what has this in its name")
    made.add_argument("--peers", nargs="*", choices=field.PEERS, default=field.PEERS, help="beside this server (all)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 5)
    found.seconds = found.seconds or (0.5 if found.quick else 1.5)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.requests", CLAIM, chosen.directory)
    report.notes += _NOTES
    with scratch(chosen.directory) as directory, ExitStack() as stack:
        worker = stack.enter_context(Worker("benchmarks.clients.hammer", directory / "worker.log"))
        contestants = stack.enter_context(field.started(directory, report, chosen.peers))
        asked = Requests(contestants, worker, chosen.seconds, chosen.value_bytes)
        warm_up(asked)
        measure(report, asked, chosen.load, chosen.rounds, chosen.only)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
