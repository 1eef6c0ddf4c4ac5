"""kafka-python: web hooks with retries, events of several versions, lag, workers by lag."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from logserver_client import Producer

from examples.kafka_python.autoscaler import wanted
from logserver.testing import LogServer

from .programs import committed, make_topic, run, running, stored


class Service(BaseHTTPRequestHandler):
    """A web service that is in trouble twice for each third order, and refuses order 5."""

    tries: Counter[int]
    taken: list[tuple[str, int]]

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["order"]
        self.tries[order] += 1
        if order % 3 == 0 and self.tries[order] <= 2:
            status = 503
        elif order == 5:
            status = 422
        else:
            status = 204
            self.taken.append((self.headers["Idempotency-Key"], order))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keeps the tests' output clean."""


@contextmanager
def service() -> Iterator[tuple[str, type[Service]]]:
    """Runs the service; gives its URL, and what it has seen."""
    seen = type("Seen", (Service,), {"tries": Counter(), "taken": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), seen)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/orders", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_service_in_trouble_is_tried_again_and_a_refused_order_set_aside(server: LogServer) -> None:
    topic, dead = make_topic(server, "hooked"), make_topic(server, "hooked.dead", 1)
    run(server, "kafka_python.orders_producer", "--topic", topic, "--count", "12")
    places = {
        json.loads(record.value or b"")["order"]: f"{topic}/{record.partition}/{record.offset}"
        for record in stored(server, topic)
    }
    with service() as (url, seen):
        arguments = ["--topic", topic, "--dead-letter-topic", dead, "--group", "hooked", "--url", url]
        lines = run(server, "kafka_python.webhooks", *arguments, "--first-pause-ms", "10", "--max", "12")
    assert seen.tries == {order: 3 if order % 3 == 0 else 1 for order in range(1, 13)}
    assert sorted(seen.taken) == sorted((place, order) for order, place in places.items() if order != 5)
    for partition in range(3):
        mine = [order for place, order in seen.taken if place.split("/")[1] == str(partition)]
        assert mine == sorted(mine)
    (letter,) = stored(server, dead)
    assert json.loads(letter.value or b"")["order"] == 5
    assert dict(letter.headers)["dead-letter-reason"] == b"HTTP Error 422: Unprocessable Entity"
    assert len([line for line in lines if line.startswith("try")]) == 8
    assert sum(committed(server, "hooked", topic).values()) == 12


def test_an_order_that_was_not_handed_over_is_not_committed(server: LogServer) -> None:
    topic = make_topic(server, "unhooked")
    run(server, "kafka_python.orders_producer", "--topic", topic, "--count", "3")
    arguments = ["--topic", topic, "--group", "unhooked", "--url", "http://127.0.0.1:1/", "--first-pause-ms", "10"]
    with running(server, "kafka_python.webhooks", *arguments) as hooks:
        hooks.read_until(lambda line: line.startswith("try 3 of"))
        assert hooks.stop(signal.SIGTERM)[-1] == "handed over 0 records"
    assert committed(server, "unhooked", topic) == {}


def test_events_of_all_versions_are_read_as_the_newest(server: LogServer) -> None:
    topic = make_topic(server, "versioned", 1)
    for version in ("1", "3", "2"):
        run(server, "kafka_python.versioned_events", "write", "--topic", topic, "--version", version)
    arguments = ["read", "--topic", topic, "--group", "versioned"]
    lines = run(server, "kafka_python.versioned_events", *arguments, "--max", "3")
    assert lines == ["order 1: 1230 EUR from Ada", "order 3: 1230 USD from Ada", "order 2: 1230 EUR from Ada"]
    assert [dict(record.headers)["version"] for record in stored(server, topic)] == [b"1", b"3", b"2"]


def test_an_event_of_a_later_version_stops_the_reader_and_stays(server: LogServer) -> None:
    topic = make_topic(server, "versioned-later", 1)
    run(server, "kafka_python.versioned_events", "write", "--topic", topic, "--version", "4")
    arguments = ["read", "--topic", topic, "--group", "versioned-later"]
    for _ in range(2):
        told = "version 4 of order_placed: this program knows up to 3"
        assert run(server, "kafka_python.versioned_events", *arguments, code=1, told=told) == []


def test_lag_is_what_is_not_committed(server: LogServer) -> None:
    topic = make_topic(server, "lagging")
    with Producer(server.grpc) as producer:
        for number, partition in enumerate([0, 0, 0, 1, 1, 0]):
            value = json.dumps({"order": number, "amount_cents": 1}).encode()
            producer.send(topic, value, partition=partition).result(timeout=10)
    arguments = ["--topic", topic, "--group", "lagging"]
    assert run(server, "kafka_python.consumer_lag", *arguments) == [
        "lagging is 6 behind; by partition 0: 4, 1: 2, 2: 0"
    ]
    run(server, "kafka_python.manual_commit", *arguments, "--max", "6")
    with Producer(server.grpc) as producer:
        for _ in range(3):
            producer.send(topic, b"{}", partition=2).result(timeout=10)
    expected = ["lagging is 3 behind; by partition 0: 0, 1: 0, 2: 3"]
    assert run(server, "kafka_python.consumer_lag", *arguments, "--alert-above", "3") == expected
    told = f"lagging is 3 records behind on {topic}, more than 2"
    assert run(server, "kafka_python.consumer_lag", *arguments, "--alert-above", "2", code=1, told=told) == expected


def test_as_many_workers_as_the_lag_asks_for_and_fewer_only_by_one() -> None:
    def next_counts(running: int) -> list[int]:
        return [wanted(lag, running, lag_per_worker=100, least=1, most=4) for lag in (0, 100, 101, 250, 400, 9_999)]

    assert next_counts(0) == [1, 1, 2, 3, 4, 4]
    assert next_counts(2) == [1, 1, 2, 3, 4, 4]
    assert next_counts(4) == [3, 3, 3, 3, 4, 4]


def test_workers_come_with_the_lag_and_go_without_it(server: LogServer) -> None:
    topic = make_topic(server, "scaled")
    run(server, "kafka_python.orders_producer", "--topic", topic, "--count", "500")
    arguments = ["--topic", topic, "--group", "scaled", "--lag-per-worker", "200", "--every", "0.2", "--exit-when-done"]
    lines = run(server, "kafka_python.autoscaler", *arguments)
    assert lines[0] == "500 behind: 0 -> 3 workers"
    assert lines[-1] == "all workers have left"
    assert len({line for line in lines if line.startswith("partition")}) == 500
    assert sum(committed(server, "scaled", topic).values()) == 500
