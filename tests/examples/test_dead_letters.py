"""confluent-kafka: records set aside and brought back, and what a database publishes."""

import json
import sqlite3
from pathlib import Path

from logserver_client import Producer

from logserver.testing import LogServer

from .programs import committed, make_topic, run, stored


def headers(record_headers: object) -> dict[str, str]:
    return {name: value.decode() for name, value in record_headers}  # type: ignore[attr-defined]


def test_what_is_no_order_is_set_aside_and_the_others_go_on(server: LogServer) -> None:
    topic, dead = make_topic(server, "shipped", 1), make_topic(server, "shipped.dead")
    with Producer(server.grpc) as producer:
        for value in (b'{"order": 1, "amount_cents": 5}', b"nonsense", b'{"order": 3, "amount_cents": 5}'):
            producer.send(topic, value, key=b"c", headers=[("trace", b"t1")])
    arguments = ["--topic", topic, "--dead-letter-topic", dead]
    lines = run(server, "confluent_kafka.dead_letters", *arguments, "--group", "shipped", "--max", "3")
    reason = "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"
    assert lines == ["shipped order 1", f"set aside partition 0 offset 1: {reason}", "shipped order 3"]
    assert committed(server, "shipped", topic) == {0: 3}
    (letter,) = stored(server, dead)
    assert (letter.key, letter.value) == (b"c", b"nonsense")
    assert headers(letter.headers) == {
        "trace": "t1",
        "dead-letter-topic": topic,
        "dead-letter-partition": "0",
        "dead-letter-offset": "1",
        "dead-letter-reason": reason,
    }


def test_a_dead_letter_that_can_t_be_stored_leaves_its_record_uncommitted(server: LogServer) -> None:
    topic = make_topic(server, "undead", 1)
    dead = make_topic(server, "undead.dead", 1, **{"max.message.bytes": "100"})
    with Producer(server.grpc) as producer:
        producer.send(topic, b'{"order": 1, "amount_cents": 5}')
        producer.send(topic, b"nonsense")
    arguments = ["--topic", topic, "--dead-letter-topic", dead, "--group", "undead", "--max", "2"]
    run(server, "confluent_kafka.dead_letters", *arguments, code=1, told="MSG_SIZE_TOO_LARGE")
    assert committed(server, "undead", topic) == {0: 1}


def test_dead_letters_are_brought_back_once_and_not_for_ever(server: LogServer) -> None:
    topic, dead = make_topic(server, "returned", 1), make_topic(server, "returned.dead")
    with Producer(server.grpc) as producer:
        producer.send(topic, b"nonsense", key=b"c", headers=[("trace", b"t1")])
        producer.send(topic, b'{"order": 2, "amount_cents": -5}', key=b"d")
    shipping = ["--topic", topic, "--dead-letter-topic", dead, "--group", "returned"]
    replaying = ["--dead-letter-topic", dead, "--group", "returned.replay", "--most-replays", "2"]
    run(server, "confluent_kafka.dead_letters", *shipping, "--max", "2")
    first = run(server, "confluent_kafka.dead_letters_replay", *replaying, "--reason", "JSONDecodeError")
    assert first == ["1 dead letters brought back, 1 left"]
    returned = stored(server, topic)[2]
    assert (returned.key, returned.value, headers(returned.headers)) == (
        b"c",
        b"nonsense",
        {"trace": "t1", "replays": "1"},
    )
    nothing = ["0 dead letters brought back, 0 left"]
    assert run(server, "confluent_kafka.dead_letters_replay", *replaying) == nothing
    run(server, "confluent_kafka.dead_letters", *shipping, "--max", "1")
    assert run(server, "confluent_kafka.dead_letters_replay", *replaying) == ["1 dead letters brought back, 0 left"]
    run(server, "confluent_kafka.dead_letters", *shipping, "--max", "1")
    assert run(server, "confluent_kafka.dead_letters_replay", *replaying) == ["0 dead letters brought back, 1 left"]


def test_what_the_database_has_committed_is_published_in_its_order(server: LogServer, tmp_path: Path) -> None:
    topic, database = make_topic(server, "outbox"), str(tmp_path / "shop.db")
    arguments = ["--topic", topic, "--database", database]
    run(server, "confluent_kafka.outbox", "order", *arguments, "--count", "100")
    assert run(server, "confluent_kafka.outbox", "relay", *arguments, "--batch", "30") == ["sent 100 events"]
    assert run(server, "confluent_kafka.outbox", "relay", *arguments) == ["sent 0 events"]
    records = stored(server, topic)
    found = [json.loads(record.value or b"") for record in records]
    assert sorted(event["order"] for event in found) == list(range(1, 101))
    for customer in range(5):
        mine = [event["order"] for event in found if event["customer"] == f"customer-{customer}"]
        assert mine == list(range(customer + 1, 101, 5))
    ids = [headers(record.headers)["event-id"] for record in records]
    assert len(set(ids)) == 100
    # As a relay leaves it that was killed before it could mark what it had sent.
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE outbox SET sent = 0 WHERE position > 90")
    connection.close()
    assert run(server, "confluent_kafka.outbox", "relay", *arguments) == ["sent 10 events"]
    again = [headers(record.headers)["event-id"] for record in stored(server, topic)]
    assert len(again) == 110
    assert set(again) == set(ids)


def test_the_outbox_of_a_server_that_refuses_stays_unsent(server: LogServer, tmp_path: Path) -> None:
    topic = make_topic(server, "outbox-refused", **{"max.message.bytes": "100"})
    arguments = ["--topic", topic, "--database", str(tmp_path / "shop.db")]
    run(server, "confluent_kafka.outbox", "order", *arguments)
    run(server, "confluent_kafka.outbox", "relay", *arguments, code=1, told="MSG_SIZE_TOO_LARGE")
    connection = sqlite3.connect(tmp_path / "shop.db")
    assert connection.execute("SELECT sent FROM outbox").fetchall() == [(0,)]
    connection.close()
