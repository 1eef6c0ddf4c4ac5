"""Work queues of Python programs: messages sent, received and acknowledged, beside RabbitMQ and Redis Streams."""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.peers import rabbitmq, redis
from benchmarks.peers.fetching import needs_module
from benchmarks.peers.field import left_out
from benchmarks.peers.process import Peer
from benchmarks.support.contest import Rounds, in_turn
from benchmarks.support.machine import our_version
from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch, whole_numbers
from benchmarks.support.output import Report, progress
from benchmarks.support.processes import Server, Worker, log_server
from benchmarks.support.rates import size
from benchmarks.support.usage import cpu_of, memory_of

CLAIM: Final = (
    "acknowledged in batches 1.5 times as many messages a second as the better of RabbitMQ and Redis Streams, one by "
    "one as many as RabbitMQ, equally durable"
)
BATCHES_TARGET: Final = 1.5
ONE_BY_ONE_TARGET: Final = 1.0

OURS: Final = "log server, bundled client"
RABBITMQ: Final = "RabbitMQ, pika"
REDIS: Final = "Redis Streams, redis-py"
_SIZES: Final = (100, 1024)
_TIMEOUT_S: Final = 900
_MIB: Final = 1 << 20
_SETTLE_S: Final = 1.0
_FEWER_FOR_REDIS: Final = 20
_FEWER_TO_WARM_UP: Final = 4

_NOTES: Final = (
    "one process sends, another receives and acknowledges at the same time; messages/s: from the first send to the "
    "last acknowledgement; us: processor time of the server's processes by the number of messages",
    "in batches: 100 messages with one acknowledgement (this server: as many as came together, prefetch 500, as "
    "RabbitMQ's); one by one: each alone, with a prefetch of 100",
    "sent: in groups of 100 (this server: send_many; Redis: a pipeline), up to 1,000 messages unconfirmed (RabbitMQ)",
    f"{OURS}: its defaults (flush.messages=1); the run ends when the last acknowledgement is durable. RabbitMQ answers "
    "no acknowledgements, and Redis each",
    f"{RABBITMQ}: {rabbitmq.ABOUT}",
    f"{REDIS}: consumer group, XREADGROUP COUNT 100, XACK; {redis.ABOUT}; durable here",
    "that wait: the first message is measured from asking for messages until one is received and its acknowledgement "
    "durable, by a new consumer; RssAnon of the server's processes",
    "all run all the time and are measured in turn, A B A B, after each was warmed up. Median (least to most) of the "
    "rounds; a ratio is of two runs of the same round; all share the machine",
    "at a fixed rate: p50 and p99 from when a message was due until it was received, acknowledged one by one; an open "
    "loop, nothing is left out",
)


@dataclass(frozen=True, slots=True)
class Side:
    """A server with queues, and the two processes of its client."""

    name: str
    address: str
    pid: int
    sender: Worker
    receiver: Worker


class Queues:
    """Runs against all sides."""

    def __init__(self, sides: Mapping[str, Side]) -> None:
        self.sides = sides
        self._made = 0

    def run(self, side: Side, messages: int, value_bytes: int, together: bool, rate: float) -> Any:
        """Sends, receives and acknowledges messages of a new queue."""
        if side.name == REDIS and not together and not rate:
            # Each acknowledgement is flushed and waited for.
            messages = max(messages // _FEWER_FOR_REDIS, 1)
        self._made += 1
        where = {"address": side.address, "queue": f"queue-{self._made}"}
        side.sender.ask({"kind": "declare", **where}, _TIMEOUT_S)
        os.sync()
        before = cpu_of(side.pid)
        side.receiver.begin({"kind": "consume", **where, "messages": messages, "together": together})
        with side.receiver.unless_it_fails(), side.sender.unless_it_fails():
            side.receiver.answer(_TIMEOUT_S)
            side.sender.begin({"kind": "send", **where, "messages": messages, "value_bytes": value_bytes, "rate": rate})
            received = side.receiver.answer(_TIMEOUT_S)
            sent = side.sender.answer(_TIMEOUT_S)
        used = cpu_of(side.pid).since(before)
        side.sender.ask({"kind": "delete", **where}, _TIMEOUT_S)
        seconds = (received["ended_ns"] - sent["began_ns"]) / 1e9
        sending_s = (sent["ended_ns"] - sent["began_ns"]) / 1e9
        return {**received, "messages": messages, "seconds": seconds, "sending_s": sending_s, "cpu_s": used.total_s}


def started(stack: ExitStack, report: Report, directory: Path, peers: Sequence[str]) -> dict[str, Side]:
    """Starts the servers that there are."""
    found: dict[str, Side] = {}

    def add(name: str, module: str, server: Server | Peer) -> None:
        told = (server.name, server.settings) if isinstance(server, Peer) else (our_version(), {})
        report.server(name, *told)

        def worker(part: str) -> Worker:
            log = directory / f"{module}-{part}.log"
            made: Worker = stack.enter_context(Worker(f"benchmarks.clients.{module}", log))
            return made

        found[name] = Side(name, server.address, server.pid, worker("sender"), worker("receiver"))

    add(OURS, "queue_log_server", stack.enter_context(log_server(directory / "ours", directory / "ours.log")))
    if "rabbitmq" in peers:
        with left_out(report, RABBITMQ):
            needs_module("pika")
            broker = stack.enter_context(rabbitmq.rabbitmq(directory / "rabbitmq"))
            add(RABBITMQ, "queue_rabbitmq", broker)
    if "redis" in peers:
        with left_out(report, REDIS):
            needs_module("redis")
            server = stack.enter_context(redis.redis(directory / "redis", durable=True))
            add(REDIS, "queue_redis", server)
    return found


def rate(run: Any) -> float:
    """Returns messages a second."""
    return float(run["messages"] / run["seconds"])


def measure(report: Report, queues: Queues, messages: int, fixed_rate: float, rounds: int) -> None:
    """Measures and fills the report."""
    _measured(queues, "warming up", max(messages // _FEWER_TO_WARM_UP, 1), _SIZES[0], True, 0, 1)
    for value_bytes in _SIZES:
        for together in (True, False):
            how = "acknowledged in batches" if together else "acknowledged one by one, prefetch 100"
            case = f"{size(value_bytes)} messages, {how}"
            with report.attempt(case):
                found = _measured(queues, case, messages, value_bytes, together, 0, rounds)
                _judge(report, case, together, found)
                _tell_rates(report, case, found)
        case = f"{size(value_bytes)} messages, {fixed_rate:,.0f} a second"
        with report.attempt(case):
            count = max(int(fixed_rate * 5 * messages / 100_000), 20)
            found = _measured(queues, case, count, value_bytes, False, fixed_rate, rounds)
            _tell_latencies(report, case, found)


def _measured(
    queues: Queues, case: str, messages: int, value_bytes: int, together: bool, rate: float, rounds: int
) -> Rounds:
    entrants = {
        name: partial(queues.run, side, messages, value_bytes, together, rate) for name, side in queues.sides.items()
    }
    return in_turn(case, entrants, rounds, must=(OURS,))


def _tell_rates(report: Report, case: str, found: Rounds) -> None:
    table = report.table(case)
    for name, runs in found.runs.items():
        table.rows.append(
            {
                "queue": name,
                "messages/s": spread(found.values(name, rate)),
                "of the sender alone": spread([run["messages"] / run["sending_s"] for run in runs]),
                f"ratio to {RABBITMQ}": None if name == RABBITMQ else found.ratio(name, RABBITMQ, rate),
                "server us": spread([run["cpu_s"] / run["messages"] * 1e6 for run in runs]),
            }
        )
        report.runs += [{"case": case, "queue": name, **run} for run in runs]
    table.notes += [f"without {name}: {why}" for name, why in found.failed.items()]


def _tell_latencies(report: Report, case: str, found: Rounds) -> None:
    table = report.table(f"Send to receive, {case}")
    for name, runs in found.runs.items():
        cells = {f"p{percent} ms": spread([run[f"p{percent}_s"] * 1000 for run in runs]) for percent in (50, 99)}
        table.rows.append({"queue": name, **cells})
        report.runs += [{"case": case, "queue": name, **run} for run in runs]
    table.notes += [f"without {name}: {why}" for name, why in found.failed.items()]


def measure_backlogs(report: Report, side: Side, backlogs: Sequence[int], rounds: int) -> None:
    """Looks at this server's memory, and how long the first message takes, with many that wait."""
    table = report.table(f"{size(_SIZES[0])} messages that wait")
    for backlog in backlogs:
        progress(f"a backlog of {backlog:,}")
        where = {"address": side.address, "queue": f"backlog-{backlog}"}
        side.sender.ask({"kind": "declare", **where}, _TIMEOUT_S)
        before = memory_of(side.pid).anonymous
        job = {"messages": backlog, "value_bytes": _SIZES[0], "rate": 0}
        side.sender.ask({"kind": "send", **where, **job}, _TIMEOUT_S)
        time.sleep(_SETTLE_S)
        waiting = memory_of(side.pid).anonymous
        took = [side.receiver.ask({"kind": "first", **where}, _TIMEOUT_S) * 1000 for _ in range(rounds)]
        table.rows.append(
            {
                "messages": backlog,
                "RssAnon MiB before": before / _MIB,
                "waiting": waiting / _MIB,
                "one received": memory_of(side.pid).anonymous / _MIB,
                "first message ms": spread(took),
            }
        )
        report.runs.append({"backlog": backlog, "before": before, "waiting": waiting, "first_ms": took})


def _judge(report: Report, case: str, together: bool, found: Rounds) -> None:
    """Holds a case against its target."""
    report.figure(f"{case}: {OURS}, messages/s", found.values(OURS, rate))
    peers = (RABBITMQ, REDIS) if together else (RABBITMQ,)
    there = {name: spread(found.values(name, rate)).median for name in peers if name in found.runs}
    if there:
        best = max(there, key=there.__getitem__)
        bound = BATCHES_TARGET if together else ONE_BY_ONE_TARGET
        report.target(f"{case}: {OURS} to {best}", found.ratios(OURS, best, rate), bound)


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (5, quick: 1)")
    made.add_argument("--messages", type=int, help="of one run (40000, quick: 5000)")
    made.add_argument("--rate", type=float, default=1000, help="messages a second where it is fixed (1000)")
    made.add_argument("--backlog", type=whole_numbers, help="messages that wait (1000,10000000; quick: 100,1000)")
    peers = ("rabbitmq", "redis")
    made.add_argument("--peers", nargs="*", choices=peers, default=peers, help="beside this server (all)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 5)
    found.messages = found.messages or (5_000 if found.quick else 40_000)
    found.backlog = found.backlog or ([100, 1_000] if found.quick else [1_000, 10_000_000])
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.queues", CLAIM, chosen.directory)
    report.notes += _NOTES
    with scratch(chosen.directory) as directory, ExitStack() as stack:
        queues = Queues(started(stack, report, directory, chosen.peers))
        measure(report, queues, chosen.messages, chosen.rate, chosen.rounds)
        measure_backlogs(report, queues.sides[OURS], chosen.backlog, chosen.rounds)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
