"""confluent-kafka: events written and read, threads that keep order, events that come twice."""

import json
import signal
import sqlite3
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from logserver_client import Producer, partition_for_key

from logserver.testing import LogServer

from .programs import committed, make_topic, run, running, stored

COUNT = 1_000


def events(server: LogServer, topic: str, count: int = COUNT) -> str:
    """Makes a topic with events; returns its name."""
    make_topic(server, topic)
    lines = run(server, "confluent_kafka.events_producer", "--topic", topic, "--count", str(count))
    assert lines == [f"{count} events stored in {topic}"]
    return topic


def numbers_by_account(lines: list[str]) -> dict[str, list[int]]:
    """The numbers of the events that lines ending in `account-A N` tell of, in their order."""
    found = defaultdict(list)
    for line in lines:
        if "account-" in line:
            _, account, number = line.rsplit(" ", 2)
            found[account].append(int(number))
    return found


def expected(count: int = COUNT) -> dict[str, list[int]]:
    return {f"account-{account}": list(range(account, count, 20)) for account in range(20)}


def test_events_of_an_account_stay_in_order_where_every_client_looks_for_them(server: LogServer) -> None:
    records = stored(server, events(server, "events-stored"))
    found = [json.loads(record.value or b"") for record in records]
    assert len({event["event_id"] for event in found}) == COUNT
    assert numbers_by_account([f" {event['account']} {event['number']}" for event in found]) == expected()
    assert all(record.partition == partition_for_key(record.key or b"", 3) for record in records)


def test_events_that_are_refused_are_told(server: LogServer) -> None:
    topic = make_topic(server, "events-refused", **{"max.message.bytes": "100"})
    arguments = ["--topic", topic, "--count", "3"]
    told = "event of account-1 was not stored"
    assert run(server, "confluent_kafka.events_producer", *arguments, code=1, told=told)[0].startswith("0 events")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_consumer_ends_at_the_end_and_goes_on_where_it_was(server: LogServer, protocol: str) -> None:
    topic = events(server, f"events-{protocol}")
    arguments = ["--topic", topic, "--group", topic, "--protocol", protocol]
    first = run(server, "confluent_kafka.events_consumer", *arguments, "--max", "333")
    assert sum(committed(server, topic, topic).values()) == 333
    second = run(server, "confluent_kafka.events_consumer", *arguments, "--exit-at-end")
    assert numbers_by_account(first + second) == expected()
    assert second[-1] == f"left the group after {COUNT - 333} events"


def test_an_event_that_can_t_be_handled_stays_next_in_line(server: LogServer) -> None:
    topic = make_topic(server, "events-bad", 1)
    with Producer(server.grpc) as producer:
        for value in (b'{"account": "a", "number": 1}', b"nonsense", b'{"account": "a", "number": 3}'):
            producer.send(topic, value)
    for handled in (["partition 0 offset 0 a 1"], []):
        arguments = ["--topic", topic, "--group", topic]
        lines = run(server, "confluent_kafka.events_consumer", *arguments, code=1, told="JSONDecodeError")
        assert lines == ["owns 0", *handled]
        assert committed(server, topic, topic) == {0: 1}


def test_a_stopped_consumer_has_committed_what_it_has_handled(server: LogServer) -> None:
    topic = events(server, "events-stopped", 30)
    with running(server, "confluent_kafka.events_consumer", "--topic", topic, "--group", topic) as consumer:
        consumer.read_until(lambda line: "account-" in line)
        handled = [line for line in consumer.stop(signal.SIGTERM) if "account-" in line]
    assert sum(committed(server, topic, topic).values()) == len(handled)


def test_nothing_is_lost_when_a_consumer_is_killed(server: LogServer) -> None:
    topic, count = events(server, "events-killed", 3_000), 3_000
    arguments = ["--topic", topic, "--group", topic, "--protocol", "consumer", "--commit-every", "50"]
    with running(server, "confluent_kafka.events_consumer", *arguments) as one:
        one.read_until(lambda line: sum("account-" in line for line in one.lines) == 120)
        killed = one.kill()
    seen = {tuple(line.split()[1:4:2]) for line in killed if "account-" in line}
    with running(server, "confluent_kafka.events_consumer", *arguments) as two:

        def all_seen(line: str) -> bool:
            if "account-" in line:
                seen.add(tuple(line.split()[1:4:2]))
            return len(seen) == count

        two.read_until(all_seen)
        left = two.stop()
    assert sum(committed(server, topic, topic).values()) == count
    # Both did each account in order; the second from where the first had committed.
    for lines in (killed, left):
        for mine in numbers_by_account(lines).values():
            assert mine == sorted(set(mine))


def test_a_consumer_takes_several_topics(server: LogServer) -> None:
    topics = [events(server, f"events-{name}", 40) for name in ("left", "right")]
    arguments = [word for topic in topics for word in ("--topic", topic)]
    lines = run(server, "confluent_kafka.events_consumer", *arguments, "--group", "both", "--exit-at-end")
    assert lines[-1] == "left the group after 80 events"


def test_threads_keep_the_order_of_each_key(server: LogServer) -> None:
    topic = events(server, "events-threads")
    arguments = ["--topic", topic, "--group", topic, "--most-under-way", "50"]
    with running(server, "confluent_kafka.ordered_workers", *arguments) as workers:
        workers.read(200)
        first = workers.stop(signal.SIGTERM)
    assert sum(committed(server, topic, topic).values()) == len(first)
    second = run(server, "confluent_kafka.ordered_workers", *arguments, "--max", str(COUNT - len(first)))
    assert numbers_by_account(first + second) == expected()


def test_killed_threads_have_committed_nothing_that_was_not_done(server: LogServer) -> None:
    topic = events(server, "events-threads-killed")
    arguments = ["--topic", topic, "--group", topic, "--work-ms", "5", "--commit-ms", "1"]
    with running(server, "confluent_kafka.ordered_workers", *arguments) as workers:
        workers.read(300)
        lines = workers.kill()
    places = committed(server, topic, topic)
    done = {(account, number) for account, mine in numbers_by_account(lines).items() for number in mine}
    for record in stored(server, topic):
        if record.offset < places.get(record.partition, 0):
            event = json.loads(record.value or b"")
            assert (event["account"], event["number"]) in done
    assert sum(places.values()) > 0


def test_each_deposit_is_booked_once(server: LogServer, tmp_path: Path) -> None:
    topic = events(server, "events-booked")
    records = stored(server, topic)
    with Producer(server.grpc) as producer:
        for record in records[::3]:
            producer.send(topic, record.value, key=record.key)
    again = len(records[::3])
    database = str(tmp_path / "balances.db")
    arguments = ["--topic", topic, "--database", database]
    killed = ["--group", "killed", "--batch", "20"]
    with running(server, "confluent_kafka.deduplicating_consumer", *arguments, *killed) as consumer:
        consumer.read(100)
        consumer.kill()
    # Another group starts at the beginning, as if nothing had been committed.
    lines = run(
        server, "confluent_kafka.deduplicating_consumer", *arguments, "--group", "new", "--max", str(COUNT + again)
    )
    before = len([line for line in lines if line.startswith("booked before:")])
    assert lines[-1] == f"{COUNT + again} events, {before} of them booked before"
    assert before >= again
    balances: Counter[str] = Counter()
    for record in records:
        event = json.loads(record.value or b"")
        balances[event["account"]] += event["cents"]
    connection = sqlite3.connect(database)
    assert Counter(dict(connection.execute("SELECT account, cents FROM balances"))) == balances
    connection.close()
