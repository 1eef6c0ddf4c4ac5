"""Records appended and read with Redis Streams and NATS JetStream, beside this server with both of its clients."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.peers import nats, redis
from benchmarks.peers.fetching import needs_module
from benchmarks.peers.field import RELAXED, left_out
from benchmarks.peers.process import Peer
from benchmarks.support.contest import Rounds, in_turn
from benchmarks.support.machine import our_version
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Report
from benchmarks.support.processes import Server, Worker, log_server
from benchmarks.support.rates import fill, rate, scaled, size
from benchmarks.support.topics import Topics
from benchmarks.support.usage import memory_of
from benchmarks.support.worker import CannotDo

CLAIM: Final = "a Python program appends and reads more records a second than with Redis Streams or NATS JetStream"

CONFLUENT: Final = "log server, confluent-kafka"
BUNDLED: Final = "log server, bundled client"
REDIS: Final = "Redis Streams, redis-py"
NATS: Final = "NATS JetStream, nats-py"
FSYNC: Final = ", fsync"
PAGE_CACHE: Final = ", page cache"
_PEERS: Final = ("redis", "nats")
SIZES: Final = (100, 1024, 10 * 1024)
_MB: Final = 1_000_000
_MANY_RECORDS: Final = 1_000
_FEWER: Final = {REDIS: 4, NATS: 40}
"""Clients that take so much longer than ours get so many times fewer records in a run; their seconds are scaled up."""
_WARM_UP_BYTES: Final = 1024
_FEWER_TO_WARM_UP: Final = 4
_TIMEOUT_S: Final = 900
_MIB: Final = 1 << 20
_SETTLE_S: Final = 3.0

_NOTES: Final = (
    "one writer and one stream, topic of one partition; produce ends when everything is answered, and what is stored "
    "is counted; consume reads all from the beginning, from memory or the page cache, and looks at each value",
    f"{CONFLUENT}: its defaults; {BUNDLED}: send_many, 1,000 records a call; acks=all",
    f"{REDIS}: XADD in pipelines of up to 1,000, XRANGE by the thousand; {redis.ABOUT}",
    f"{NATS}: publish_async with up to 4,000 unanswered, fetch by the thousand without acknowledgement; {nats.ABOUT}",
    "made beforehand: one connection that writes what was made before the clock ran, and counts answers; named after "
    "the client all the same. This server gets record batches of up to 1 MB, five under way, the others single "
    "records, up to 2,000 of them",
    "Redis gets 4 times and NATS 40 times fewer records than this server; what they took is scaled up",
    "fsync: everything is flushed before it is answered; page cache: when the operating system likes, or each second",
    "all run all the time and are measured in turn, A B A B, after each was warmed up; ratio: of the runs of the same "
    "round. Median (least to most) of the rounds; all share the machine",
)


@dataclass(frozen=True, slots=True)
class Side:
    """A server and the process of its client."""

    name: str
    address: str
    pid: int
    worker: Worker
    settings: Mapping[str, str]
    """Of topics, where this server is behind it."""
    ready_after_s: float
    """From the start of its process; this server's is one for all its sides."""
    prebuilt: str = ""
    """What writes that were made beforehand are called by the worker that has them."""


class Logs:
    """Runs against all sides."""

    def __init__(self, sides: Mapping[str, Side], topics: Topics, prebuilt: Mapping[str, Worker]) -> None:
        self.sides = sides
        self._prebuilt = prebuilt
        self._topics = topics
        self._made = 0

    def run(self, side: Side, records: int, value_bytes: int) -> Any:
        """Produces records to a new stream and reads them; returns both runs."""
        self._made += 1
        topic = f"logs-{self._made}"
        where = {"address": side.address, "server_pid": side.pid, "topic": topic}
        ours: dict[str, Any] = {}
        is_ours = side.name.startswith((CONFLUENT, BUNDLED))
        fewer = next((times for name, times in _FEWER.items() if side.name.startswith(name)), 1)
        whole, records = records, max(records // fewer, 1)
        if is_ours:
            self._topics.create(topic, 1, side.settings)
        if side.name.startswith(CONFLUENT):
            ours = {"partitions": 1}
        os.sync()
        more = {**ours, "keyed": False, "at_once": _MANY_RECORDS} if side.name.startswith(BUNDLED) else ours
        job = {"records": records, "value_bytes": value_bytes}
        produced = side.worker.ask({"kind": "produce", **where, **job, **more}, _TIMEOUT_S)
        # Both clients of this server open with one record more.
        count = records + is_ours
        if is_ours and (stored := self._topics.records(topic)) != count:
            raise CannotDo(f"{stored} records are stored instead of {count}")
        consumed = side.worker.ask({"kind": "consume", **where, "records": count, **ours}, _TIMEOUT_S)
        if is_ours:
            self._topics.delete(topic)
        else:
            side.worker.ask({"kind": "delete", "address": side.address, "topic": topic}, _TIMEOUT_S)
        return {"produce": scaled(produced, whole / records), "consume": scaled(consumed, whole / records)}

    def pipeline(self, side: Side, records: int, value_bytes: int) -> Any:
        """Produces records that were made beforehand to a new stream."""
        self._made += 1
        topic = f"logs-{self._made}"
        is_ours = side.name.startswith(CONFLUENT)
        if is_ours:
            self._topics.create(topic, 1, side.settings)
        os.sync()
        job = {"address": side.address, "server_pid": side.pid, "topic": topic, "value_bytes": value_bytes}
        if is_ours:
            run = self._prebuilt["raw"].ask({"kind": "produce", **job, "records": records, "acks": "all"}, _TIMEOUT_S)
            self._topics.delete(topic)
        else:
            run = self._prebuilt["pipelines"].ask({"kind": side.prebuilt, **job, "records": records}, _TIMEOUT_S)
            side.worker.ask({"kind": "delete", "address": side.address, "topic": topic}, _TIMEOUT_S)
        return scaled(run, records / run["records"])


def started(stack: ExitStack, report: Report, directory: Path, peers: Sequence[str]) -> Logs:
    """Starts the servers that there are."""
    sides: dict[str, Side] = {}

    def add(
        name: str, module: str, server: Server | Peer, address: str, topics: Mapping[str, str], prebuilt: str
    ) -> None:
        log = directory / f"{module}-{len(sides)}.log"
        worker = stack.enter_context(Worker(f"benchmarks.clients.{module}", log))
        told = (server.name, server.settings) if isinstance(server, Peer) else (our_version(), topics)
        report.server(name, *told)
        sides[name] = Side(name, address, server.pid, worker, topics, server.ready_after_s, prebuilt)

    ours = stack.enter_context(log_server(directory / "ours", directory / "ours.log", with_kafka=True))
    for how, settings in ((FSYNC, {}), (PAGE_CACHE, RELAXED)):
        add(CONFLUENT + how, "confluent", ours, ours.kafka, settings, "raw")
        add(BUNDLED + how, "sync", ours, ours.address, settings, "")
        durable = how == FSYNC
        for peer, name, start in (("redis", REDIS, redis.redis), ("nats", NATS, nats.nats)):
            if peer in peers:
                with left_out(report, name + how):
                    needs_module(peer)
                    server = stack.enter_context(start(directory / f"{peer}{how[2:5]}", durable=durable))
                    add(name + how, f"log_{peer}", server, server.address, {}, peer)
    prebuilt = {
        name: stack.enter_context(Worker(f"benchmarks.clients.{name}", directory / f"{name}.log"))
        for name in ("raw", "pipelines")
    }
    return Logs(sides, stack.enter_context(Topics(ours.address)), prebuilt)


def _part(found: Rounds, direction: str) -> Rounds:
    """Returns the runs of one direction."""
    return Rounds({name: [run[direction] for run in runs] for name, runs in found.runs.items()}, found.failed)


def measure(report: Report, logs: Logs, records_of: Callable[[int], int], rounds: int) -> None:
    """Measures and fills the report."""
    for value_bytes in SIZES:
        records = records_of(value_bytes)
        with report.attempt(f"{size(value_bytes)} records"):
            measure_clients(report, logs, records, value_bytes, rounds)
        with report.attempt(f"{size(value_bytes)} records, made beforehand"):
            _measure_prebuilt(report, logs, records, value_bytes, rounds)


def warm_up(logs: Logs, records: int, value_bytes: int) -> None:
    """Has every server take and give out records that nobody looks at."""
    for take, sides in (
        (logs.run, list(logs.sides)),
        (logs.pipeline, [name for name, side in logs.sides.items() if side.prebuilt]),
    ):
        entrants = {name: partial(take, logs.sides[name], records, value_bytes) for name in sides}
        must = [name for name in sides if name.startswith((CONFLUENT, BUNDLED))]
        in_turn("warming up", entrants, 1, must=must)


def measure_clients(report: Report, logs: Logs, records: int, value_bytes: int, rounds: int) -> None:
    """What comes of it with each one's Python client."""
    entrants = {name: partial(logs.run, side, records, value_bytes) for name, side in logs.sides.items()}
    must = [name for name in entrants if name.startswith((CONFLUENT, BUNDLED))]
    found = in_turn(f"{size(value_bytes)} records", entrants, rounds, must=must)
    for direction in ("produce", "consume"):
        part = _part(found, direction)
        table = report.table(f"{direction.capitalize()} {size(value_bytes)}")
        fill(table, part, records * value_bytes, value_bytes, CONFLUENT + FSYNC)
        table.notes.append(f"{records:,} records a run")
        for how in (FSYNC, PAGE_CACHE):
            for name in (REDIS + how, NATS + how):
                if ratios := part.ratios(BUNDLED + how, name, rate):
                    case = f"{direction} {size(value_bytes)}: {BUNDLED}{how} to {name}"
                    report.target(case, ratios, 1.0)
    report.runs += [{"bytes": value_bytes, "entrant": name, "runs": runs} for name, runs in found.runs.items()]


def _measure_prebuilt(report: Report, logs: Logs, records: int, value_bytes: int, rounds: int) -> None:
    """What the servers take without a client's work."""
    entrants = {
        name: partial(logs.pipeline, side, records, value_bytes) for name, side in logs.sides.items() if side.prebuilt
    }
    case = f"produce {size(value_bytes)}, made beforehand"
    found = in_turn(case, entrants, rounds, must=[name for name in entrants if name.startswith(CONFLUENT)])
    table = report.table(case[0].upper() + case[1:])
    fill(table, found, records * value_bytes, value_bytes, CONFLUENT + FSYNC)
    for how in (FSYNC, PAGE_CACHE):
        for name in (REDIS + how, NATS + how):
            if ratios := found.ratios(CONFLUENT + how, name, rate):
                report.target(f"{case}: log server{how} to {name}", ratios, 1.0)


def tell_servers(report: Report, logs: Logs, idle: Mapping[str, int]) -> None:
    """Adds what else there is to say of each server: its start, and its memory before and after all of this."""
    table = report.table("The servers")
    for name, side in logs.sides.items():
        if side.prebuilt:
            row = {"start to ready s": side.ready_after_s, "idle MiB": idle[name] / _MIB}
            table.rows.append({"server": name, **row, "after load MiB": memory_of(side.pid).anonymous / _MIB})
    table.notes.append("MiB: RssAnon. This server is one process for both; what was stored has been deleted by then")


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (5, quick: 1)")
    made.add_argument("--megabytes", type=float, help="of values in a run (128, quick: 2)")
    made.add_argument("--peers", nargs="*", choices=_PEERS, default=_PEERS, help="beside this server (all)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 5)
    found.megabytes = found.megabytes or (2 if found.quick else 128)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.other_logs", CLAIM, chosen.directory)
    report.notes += _NOTES
    with scratch(chosen.directory) as directory, ExitStack() as stack:
        logs = started(stack, report, directory, chosen.peers)
        idle = {name: memory_of(side.pid).anonymous for name, side in logs.sides.items()}

        def records_of(value_bytes: int) -> int:
            # The clients of the peers take small records one by one.
            return max(int(chosen.megabytes * (0.25 if value_bytes < 1024 else 1) * _MB / value_bytes), 1)

        warm_up(logs, max(records_of(_WARM_UP_BYTES) // _FEWER_TO_WARM_UP, 1), _WARM_UP_BYTES)
        measure(report, logs, records_of, chosen.rounds)
        time.sleep(_SETTLE_S)
        tell_servers(report, logs, idle)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
