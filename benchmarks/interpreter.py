"""What the interpreter's settings are worth to the server: the switch interval of threads, the garbage collector's."""

import argparse
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.clients.admin import Admin
from benchmarks.support.collecting_server import PYTHON
from benchmarks.support.contest import Rounds, in_turn
from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch
from benchmarks.support.output import Report
from benchmarks.support.processes import Server, Worker, log_server
from benchmarks.support.rates import MB
from logserver.daemon.process import GC_THRESHOLDS
from logserver.settings import ServerSettings

CLAIM: Final = "the switch interval and the collector's thresholds that this server comes with, beside others of each"

SHIPPED: Final = "as it comes"
_SWITCH: Final = "thread.switch.interval.ms"
_SWITCHES_MS: Final = ("0.05", "2", "5")
"""Python's own is 5."""
_THRESHOLDS: Final = (PYTHON, "10000,10,10", "0")
_IS_PYTHONS: Final = "Python's own"
_IS_OFF: Final = "off"
_CONNECTIONS: Final = 32
_READERS: Final = 4
_ONE_BY_ONE: Final = {"connections": 1, "in_flight": 1}
_RECORD_BYTES: Final = 1024
_TIMEOUT_S: Final = 300
_TOPIC: Final = "committed"

_NOTES: Final = (
    f"{SHIPPED}: {_SWITCH}={ServerSettings().thread_switch_interval_ms:g}, thresholds of the collector "
    f"{','.join(map(str, GC_THRESHOLDS))}; each other server differs from that in one of them",
    f"commits: beside {_READERS} connections that fetch the same record again and again, so that the event loop always "
    f"has work; groups without members commit an offset each over {_CONNECTIONS} connections, flushed before answered; "
    "how long one takes shows a flusher that waits for the interpreter, and a loop that waits for the collector",
    "produce: confluent-kafka, 1 KiB, one partition, acks=all",
    "every server holds the groups and a topic with many partitions, which a full collection looks through",
    f"ratio: to {SHIPPED}, of the runs of the same round. Median (least to most) of the rounds; all run all the time",
)


class Lives:
    """Asks the servers."""

    def __init__(self, stack: ExitStack, directory: Path, options: argparse.Namespace) -> None:
        self._options = options
        self._workers = {
            name: stack.enter_context(Worker(f"benchmarks.clients.{name}", directory / f"{name}.log"))
            for name in ("committing", "confluent", "hammer")
        }
        self._topics = 0

    def prepare(self, server: Server) -> None:
        """Makes what a server holds."""
        admin = Admin(server.kafka)
        admin.create(_TOPIC, 1)
        admin.create("held", self._options.partitions)
        first = {"kind": "produce", "topic": _TOPIC, "acks": -1, "value_bytes": _RECORD_BYTES}
        where = {"address": server.kafka, "server_pid": server.pid}
        self._workers["hammer"].ask({**where, **first, **_ONE_BY_ONE, "seconds": 0}, _TIMEOUT_S)

    def run(self, server: Server) -> Any:
        """Returns what a server does in a round."""
        options = self._options
        self._topics += 1
        topic = f"produced-{self._topics}"
        where = {"address": server.kafka, "server_pid": server.pid}
        groups = {"groups": options.groups, "connections": min(_CONNECTIONS, options.groups)}
        commit = {"kind": "commit", "topic": _TOPIC, **groups, "seconds": options.seconds}
        hammer = self._workers["hammer"]
        fetch = {"kind": "fetch", "topic": _TOPIC, "offset": 0, "connections": _READERS, "in_flight": 1}
        hammer.begin({**where, **fetch, "seconds": options.seconds * 2})
        with hammer.unless_it_fails():
            found = self._workers["committing"].ask({**where, **commit}, _TIMEOUT_S)
            hammer.answer(_TIMEOUT_S)
        admin = Admin(server.kafka)
        admin.create(topic, 1)
        records = max(int(options.megabytes * MB / _RECORD_BYTES), 1)
        produce = {"kind": "produce", "topic": topic, "partitions": 1, "records": records, "value_bytes": _RECORD_BYTES}
        produced = self._workers["confluent"].ask({**where, **produce}, _TIMEOUT_S)
        admin.delete(topic)
        return {**found, "mb_per_s": records * _RECORD_BYTES / produced["seconds"] / MB}


def started(stack: ExitStack, directory: Path) -> dict[str, dict[str, Server]]:
    """Starts a server for each setting; the first of each table is the same one."""

    def place(name: str) -> tuple[Path, Path]:
        return directory / name, directory / f"{name}.log"

    shipped = stack.enter_context(log_server(*place("shipped"), with_kafka=True))
    switches = {SHIPPED: shipped}
    for number, text in enumerate(_SWITCHES_MS):
        server = log_server(*place(f"switch-{number}"), {_SWITCH: text}, with_kafka=True)
        switches[f"{text} ms"] = stack.enter_context(server)
    collectors = {SHIPPED: shipped}
    for number, text in enumerate(_THRESHOLDS):
        data, log = place(f"collector-{number}")
        name = {PYTHON: _IS_PYTHONS, "0": _IS_OFF}.get(text, text)
        server = Server(["-m", "benchmarks.support.collecting_server", str(data), text], log)
        collectors[name] = stack.enter_context(server)
    return {"Switch interval of threads": switches, "Thresholds of the garbage collector": collectors}


def commits_per_s(run: Any) -> float:
    """Returns the rate of a run."""
    return float(run["commits"] / run["seconds"])


def mb_per_s(run: Any) -> float:
    """Returns what was produced meanwhile."""
    return float(run["mb_per_s"])


def p99(run: Any) -> float:
    """Returns how long a commit takes, in seconds."""
    return float(run["p99_s"])


def _tell(report: Report, title: str, found: Rounds) -> None:
    table = report.table(title)
    for name, runs in found.runs.items():
        of_shipped = {
            f"{what}, ratio": None if name == SHIPPED else found.ratio(name, SHIPPED, of)
            for what, of in (("commits/s", commits_per_s), ("p99", p99), ("MB/s", mb_per_s))
        }
        waits = {f"p{text} ms": spread([run[f"p{text}_s"] * 1000 for run in runs]) for text in ("50", "99", "99.9")}
        rates = {"commits/s": spread(found.values(name, commits_per_s)), **waits}
        rates |= {"worst ms": spread([run["p100_s"] * 1000 for run in runs])}
        table.rows.append(
            {"setting": name, **rates, "produce MB/s": spread(found.values(name, mb_per_s)), **of_shipped}
        )
        report.runs += [{"table": title, "setting": name, **run} for run in runs]


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (3, quick: 1)")
    made.add_argument("--seconds", type=float, help="of committing in a run (1.5, quick: 0.3)")
    made.add_argument("--groups", type=int, help="that commit (5000, quick: 200)")
    made.add_argument("--partitions", type=int, help="of the topic that is held (1000, quick: 50)")
    made.add_argument("--megabytes", type=float, help="of values produced in a run (64, quick: 2)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 3)
    found.seconds = found.seconds or (0.3 if found.quick else 1.5)
    found.groups = found.groups or (200 if found.quick else 5000)
    found.partitions = found.partitions or (50 if found.quick else 1000)
    found.megabytes = found.megabytes or (2 if found.quick else 64)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.interpreter", CLAIM, chosen.directory)
    report.notes += _NOTES
    with scratch(chosen.directory) as directory, ExitStack() as stack:
        lives = Lives(stack, directory, chosen)
        tables = started(stack, directory)
        every = {name: server for servers in tables.values() for name, server in servers.items()}
        for server in every.values():
            lives.prepare(server)
        entrants = {name: partial(lives.run, server) for name, server in every.items()}
        in_turn("warming up", entrants, 1, must=tuple(every))
        found = in_turn("settings of the interpreter", entrants, chosen.rounds, must=tuple(every))
        for title, servers in tables.items():
            _tell(report, title, Rounds({name: found.runs[name] for name in servers}))
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
