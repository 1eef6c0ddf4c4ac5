"""What a request of one small record costs at the Kafka door: processor time of the server, and how many there are."""

import argparse
import sys
from contextlib import ExitStack
from typing import Any, Final

from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, scratch, whole_numbers
from benchmarks.support.output import Report, progress
from benchmarks.support.processes import Server, Worker, log_server
from benchmarks.support.topics import Topics

CLAIM: Final = (
    "clients that do not batch: requests with one record each, many of them; Apache Kafka 4.1 took 37,000 a second "
    "over 32 connections on another machine"
)

_RELAXED: Final = {"flush.messages": "1000000000"}
_FSYNC: Final = "fsync"
_NOT_FLUSHED: Final = "relaxed"
_TIMEOUT_S: Final = 300
_FETCHED: Final = "fetched"

_NOTES: Final = (
    "each request has, or is answered with, one record batch of one record; a connection sends its next request when "
    "one is answered",
    "us: processor time of the server's process, all threads, by the number of requests; client us: that of the load "
    "generator, which sends the same bytes again and again and only counts what comes",
    "fsync: flush.messages=1, the default; relaxed: flush.messages=1000000000, as Kafka's default",
    "fetch: the last record of a partition, without a fetch session",
    "Median (least to most) of the rounds",
)


def jobs() -> dict[str, dict[str, Any]]:
    """Returns what is asked, by what it is called."""
    return {
        "produce acks=1, relaxed": {"kind": "produce", "topic": _NOT_FLUSHED, "acks": 1},
        "produce acks=1, fsync": {"kind": "produce", "topic": _FSYNC, "acks": 1},
        "produce acks=all, fsync": {"kind": "produce", "topic": _FSYNC, "acks": -1},
        "fetch": {"kind": "fetch", "topic": _FETCHED, "offset": 1},
    }


def measure(report: Report, options: argparse.Namespace, server: Server, worker: Worker, topics: Topics) -> None:
    """Measures each with each number of connections, in turn, and fills the report."""
    common = {"address": server.kafka, "server_pid": server.pid, "seconds": options.seconds}
    # Two records, of which all fetches are about the last.
    first = {"connections": 1, "in_flight": 1, "acks": -1, "value_bytes": options.value_bytes}
    worker.ask({"kind": "produce", "topic": _FETCHED, **common, **first, "seconds": 0}, _TIMEOUT_S)
    found: dict[tuple[str, int, int], list[Any]] = {}
    answered: dict[str, int] = {}
    for number in range(options.rounds):
        for name, job in jobs().items():
            if options.only and options.only not in name:
                continue
            for connections, in_flight in options.load:
                progress(f"{name}, {connections} connections, {in_flight} in flight: round {number + 1}")
                whole = {**job, **common, "connections": connections, "in_flight": in_flight}
                if job["kind"] == "produce":
                    whole["value_bytes"] = options.value_bytes
                run = worker.ask(whole, _TIMEOUT_S)
                if job["kind"] == "produce":
                    answered[job["topic"]] = answered.get(job["topic"], 0) + run["requests"] + run["connections"]
                    # Only after acks=all may all be read that was answered, also what acks=1 before it had answered.
                    if job["acks"] == -1:
                        stored = topics.records(job["topic"])
                        assert stored == answered[job["topic"]], (stored, answered, run)
                found.setdefault((name, connections, in_flight), []).append(run)
                report.runs.append({"what": name, "in_flight": in_flight, "round": number + 1, **run})
    table = report.table(f"Requests of one record of {options.value_bytes} bytes")
    for (name, connections, in_flight), runs in found.items():
        table.rows.append(
            {
                "what": name,
                "connections": connections,
                "in flight each": in_flight,
                "requests/s": spread([run["requests"] / run["seconds"] for run in runs]),
                "us": spread([_us(run, "server") for run in runs]),
                "of these in the kernel": spread([run["server"]["system_s"] / run["requests"] * 1e6 for run in runs]),
                "client us": spread([_us(run, "client") for run in runs]),
            }
        )


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
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (3, quick: 1)")
    made.add_argument("--seconds", type=float, help="of one run (3, quick: 0.5)")
    made.add_argument("--value-bytes", type=int, default=100, help="size of a record's value (100)")
    made.add_argument(
        "--load",
        type=_load,
        default=_load("1x1,1x16,32x1,32x16,512x1"),
        help="connections and requests in flight on each (1x1,1x16,32x1,32x16,512x1)",
    )
    made.add_argument("--only", help="what has this in its name")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (1 if found.quick else 3)
    found.seconds = found.seconds or (0.5 if found.quick else 3)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.requests", CLAIM, chosen.directory)
    report.notes += _NOTES
    with scratch(chosen.directory) as directory, ExitStack() as stack:
        worker = stack.enter_context(Worker("benchmarks.clients.hammer", directory / "worker.log"))
        server = stack.enter_context(log_server(directory / "data", directory / "server.log", with_kafka=True))
        topics = stack.enter_context(Topics(server.address))
        topics.create(_FSYNC, 1)
        topics.create(_FETCHED, 1)
        topics.create(_NOT_FLUSHED, 1, _RELAXED)
        measure(report, chosen, server, worker, topics)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
