"""Queues: competing workers, news for all, retries and dead letters, how often a message counts, workers by need."""

import json
import mailbox
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest
from logserver_client import Queue, QueueDescription, Queues

from examples.queues.autoscaler import wanted
from logserver.testing import LogServer

from .programs import TIMEOUT_S, run, running, stored


@pytest.fixture(scope="module")
def server() -> Iterator[LogServer]:
    """One of these tests' own, as they move its clock."""
    with LogServer() as server:
        yield server


@pytest.fixture(scope="module")
def queues(server: LogServer) -> Iterator[Queues]:
    with Queues(server.grpc) as queues:
        yield queues


def send(server: LogServer, name: str, *values: bytes) -> None:
    with Queue(server.grpc, name) as queue:
        queue.send_many(values).result()


def wait_for(queues: Queues, name: str, what: Callable[[QueueDescription], bool]) -> QueueDescription:
    """Looks at a queue until it is as it is to be; the server tells nobody by itself."""
    deadline = time.monotonic() + TIMEOUT_S
    while not what(queue := queues.describe(name)):
        assert time.monotonic() < deadline, queue
        Event().wait(0.01)
    return queue


def wait_for_consumer(queues: Queues, name: str) -> None:
    """Returns when a program consumes a queue, which it declares itself."""
    queues.declare(name)
    wait_for(queues, name, lambda queue: queue.consumers == 1)


def is_done(queue: QueueDescription) -> bool:
    counts = queue.counts
    return counts.ready == counts.delayed == counts.in_flight == counts.moving == 0


def test_a_slow_worker_has_one_task_and_a_dead_one_s_task_is_done_by_another(server: LogServer, queues: Queues) -> None:
    arguments = ["--queue", "images"]
    with running(server, "queues.task_worker", *arguments, "--seconds", "3600") as slow:
        assert run(server, "queues.task_sender", *arguments, "--count", "10") == ["sent 10 tasks"]
        assert slow.read(2) == ["waiting for tasks", "task 1"]
        with running(server, "queues.task_worker", *arguments, "--seconds", "0", "--max", "10") as quick:
            quick.read_until(lambda line: line == "task 10")
            assert len(slow.kill()) == 2
            rest = ["task 1, which somebody had before", "done with 10 tasks"]
            assert quick.finish(0) == ["waiting for tasks", *(f"task {number}" for number in range(2, 11)), *rest]
    wait_for(queues, "images", is_done)


def test_news_come_to_all_who_have_subscribed_also_to_who_is_away(server: LogServer) -> None:
    def publish(headline: str) -> list[str]:
        return run(server, "queues.news", "publish", "--headline", headline)

    def subscribe(name: str, count: int) -> list[str]:
        return run(server, "queues.news", "subscribe", "--subscriber", name, "--max", str(count))

    assert subscribe("app", 0) == ["app has subscribed"]
    with running(server, "queues.news", "subscribe", "--subscriber", "web") as web:
        web.read_until(lambda line: line == "web has subscribed")
        assert publish("one") == ["published to 2 subscribers: one"]
        assert web.read(1) == ["web: one"]
        assert subscribe("late", 0) == ["late has subscribed"]
        assert publish("two") == ["published to 3 subscribers: two"]
        assert web.read(1) == ["web: two"]
        assert len(web.stop()) == 3
    assert subscribe("app", 2) == ["app has subscribed", "app: one", "app: two"]
    assert subscribe("late", 1) == ["late has subscribed", "late: two"]


def test_a_mail_is_tried_later_each_time_then_set_aside_and_delivered_after_the_fix(
    server: LogServer, queues: Queues, tmp_path: Path
) -> None:
    mailboxes = ["--queue", "mails", "--mailboxes", str(tmp_path / "mailboxes")]
    sent = ["--queue", "mails", "--to", "grace", "--to", "ada", "--retry-delay", "3600", "--longest-delay", "7200"]
    assert run(server, "queues.mail_sender", *sent) == ["sent 2 mails"]
    send(server, "mails", b"no mail")
    before_ms = server.clock.now_ms()
    with running(server, "queues.mail_worker", *mailboxes, "--open", "ada") as worker:
        assert worker.read(2) == ["try 1: grace has no mailbox", "delivered to ada"]
        for attempt, rest_s in ((2, 3600), (3, 7200)):
            wait_for(queues, "mails", lambda queue: queue.counts.delayed == 1)
            (waiting,) = queues.peek("mails", state="delayed")
            assert waiting.until_ms is not None
            # Up to a fifth of the rest is taken off at random.
            assert before_ms + rest_s * 800 <= waiting.until_ms <= server.clock.now_ms() + rest_s * 1000
            server.clock.advance(rest_s)
            before_ms = server.clock.now_ms()
            assert worker.read(1) == [f"try {attempt}: grace has no mailbox"]
        wait_for(queues, "mails", is_done)
        assert worker.stop(signal.SIGTERM)[-1] == "the worker has ended"

    letters = [
        ": not a mail: Expecting value: line 1 column 1 (char 0), after 1 deliveries",
        "grace: delivery-limit, after 3 deliveries",
    ]
    assert sorted(run(server, "queues.dead_letters", "--queue", "mails")) == letters
    lines = run(server, "queues.dead_letters", "--queue", "mails", "--redrive", "--reason", "delivery-limit")
    assert (sorted(lines[:-1]), lines[-1]) == (letters, "sent back 1, left 1")
    lines = run(server, "queues.mail_worker", *mailboxes, "--open", "grace", "--max", "1")
    assert lines == ["delivered to grace", "the worker has ended"]
    assert run(server, "queues.dead_letters", "--queue", "mails") == letters[:1]
    for name in ("ada", "grace"):
        (mail,) = mailbox.Maildir(tmp_path / "mailboxes" / name, create=False)
        assert mail.get_payload() == f"Good morning, {name}"
    assert is_done(queues.describe("mails"))


@pytest.mark.parametrize(("name", "in_flight"), [("at_most_once", 0), ("at_least_once", 5)])
def test_what_a_program_had_when_it_was_killed_comes_again_only_where_that_is_promised(
    server: LogServer, queues: Queues, tmp_path: Path, name: str, in_flight: int
) -> None:
    values = [b"%d" % number for number in range(1, 6)]
    file = tmp_path / "audit.log"
    arguments = ["--queue", name, *(["--file", str(file)] if in_flight else [])]
    with running(server, f"queues.{name}", *arguments) as example:
        wait_for_consumer(queues, name)
        with example.held():
            send(server, name, *values)
            wait_for(queues, name, lambda queue: (queue.counts.ready, queue.counts.in_flight) == (0, in_flight))
            example.kill()
    wait_for(queues, name, lambda queue: queue.consumers == 0)
    lines = run(server, f"queues.{name}", *arguments, "--send", "2", "--max", str(in_flight + 2))
    if in_flight:
        assert file.read_bytes().splitlines() == [*values, b"event 1", b"event 2"]
    else:
        assert lines == ["1 measurements, 1 in all", "2 measurements, 3 in all"]
    assert is_done(queues.describe(name))


def test_what_could_not_be_written_is_not_acknowledged(server: LogServer, queues: Queues, tmp_path: Path) -> None:
    arguments = ["--queue", "full", "--send", "5", "--max", "5", "--batch", "2"]
    run(server, "queues.at_least_once", *arguments, "--file", "/dev/full", code=1, told="No space left on device")
    wait_for(queues, "full", lambda queue: queue.counts.ready == 5)
    file = tmp_path / "file"
    run(server, "queues.at_least_once", "--queue", "full", "--max", "5", "--file", str(file))
    assert sorted(file.read_text().splitlines()) == [f"event {number}" for number in range(1, 6)]


def test_a_payment_that_comes_again_is_booked_once(server: LogServer, queues: Queues, tmp_path: Path) -> None:
    def payment(number: int) -> bytes:
        return json.dumps({"id": f"payment-{number}", "to": "ada", "cents": 100}).encode()

    file = str(tmp_path / "accounts.db")
    with running(server, "queues.effectively_once", "--queue", "payments", "--database", file) as books:
        wait_for_consumer(queues, "payments")
        send(server, "payments", payment(1), payment(1))
        assert books.read(2) == ["payment-1: booked", "payment-1: booked before"]
        wait_for(queues, "payments", is_done)
        database = sqlite3.connect(file, isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        send(server, "payments", payment(2))
        wait_for(queues, "payments", lambda queue: queue.deliveries == {1: 1})
        # What it has is not its own any more when it is allowed to book.
        server.drop_connections()
        wait_for(queues, "payments", lambda queue: queue.deliveries == {2: 1})
        database.execute("ROLLBACK")
        assert books.read(3) == ["payment-2: booked", "payment-2 will come again", "payment-2: booked before"]
        wait_for(queues, "payments", is_done)
        books.stop(signal.SIGTERM)
    assert database.execute("SELECT name, cents FROM accounts").fetchall() == [("ada", 200)]
    database.close()


def test_a_job_whose_lock_has_run_out_is_given_to_who_asks_next(server: LogServer, queues: Queues) -> None:
    queues.declare("jobs")
    send(server, "jobs", b"job 1", b"job 2")
    with Queue(server.grpc, "jobs") as queue:
        assert [message.value for message in queue.receive(1, wait=10, lock=3600)] == [b"job 1"]
        arguments = ["--queue", "jobs", "--wait", "0.1", "--exit-at-end"]
        assert run(server, "queues.long_polling", *arguments) == ["job 2, delivery 1", "done with 1 jobs"]
        server.clock.advance(3600)
        arguments = ["--queue", "jobs", "--max", "1"]
        assert run(server, "queues.long_polling", *arguments) == ["job 1, delivery 2", "done with 1 jobs"]
    assert is_done(queues.describe("jobs"))


def test_as_many_workers_as_there_is_work() -> None:
    def counts(*work: tuple[int, int]) -> list[int]:
        return [wanted(ready, in_flight, per_worker=10, least=1, most=4) for ready, in_flight in work]

    assert counts((0, 0), (10, 0), (8, 3), (0, 11), (35, 4), (9_999, 4)) == [1, 1, 2, 2, 4, 4]


def test_workers_come_with_the_work_and_go_without_it(server: LogServer, queues: Queues) -> None:
    run(server, "queues.task_sender", "--queue", "waves", "--count", "60")
    arguments = ["--queue", "waves", "--per-worker", "20", "--every", "0.1", "--exit-when-done"]
    lines = run(server, "queues.autoscaler", *arguments)
    assert lines[0] == "60 ready, 0 in flight: 0 -> 3 workers"
    assert lines[-1] == "all workers have left"
    assert {int(line.split(",")[0].split()[1]) for line in lines if line.startswith("task")} == set(range(1, 61))
    # Each was asked to end and has finished what it had.
    assert sum(int(line.split()[2]) for line in lines if line.startswith("done with")) == 60
    assert queues.describe("waves").consumers == 0
    assert len(stored(server, "waves")) == 60


def test_workers_that_die_again_and_again_are_not_replaced_for_ever(server: LogServer, queues: Queues) -> None:
    queues.declare("poison")
    send(server, "poison", b"no task")
    arguments = ["--queue", "poison", "--every", "0.1", "--most-deaths", "1"]
    lines = run(server, "queues.autoscaler", *arguments, code=1, told="2 workers have died: look at what they print")
    assert lines.count("waiting for tasks") == 2
