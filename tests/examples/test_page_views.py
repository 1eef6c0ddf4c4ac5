"""kafka-python: page views in large batches, counted once each, and read once more."""

import json
import sqlite3
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from logserver_client import AdminClient, Producer

from logserver.testing import LogServer

from .programs import make_topic, run, running, stored

COUNT = 2_000


def counts(path: Path) -> Counter[str]:
    database = sqlite3.connect(path)
    found: Counter[str] = Counter(dict(database.execute("SELECT page, count FROM views")))
    database.close()
    return found


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_page_views_are_stored_compressed(server: LogServer, compression: str) -> None:
    topic = make_topic(server, f"views-{compression}")
    arguments = ["--topic", topic, "--count", str(COUNT), "--compression", compression]
    (line,) = run(server, "kafka_python.page_views_producer", *arguments)
    assert line.startswith(f"{COUNT} page views stored")
    records = stored(server, topic)
    views = [json.loads(record.value or b"") for record in records]
    assert sorted(view["number"] for view in views) == list(range(COUNT))
    for user in range(10):
        mine = [view["number"] for view in views if view["user"] == f"user-{user}"]
        assert mine == list(range(user, COUNT, 10))


def test_page_views_that_are_refused_are_told(server: LogServer) -> None:
    topic = make_topic(server, "views-refused", **{"max.message.bytes": "100"})
    arguments = ["--topic", topic, "--count", "1", "--compression", "none"]
    run(server, "kafka_python.page_views_producer", *arguments, code=1, told="1 of 1 page views were not stored")


def test_each_view_counts_once_although_the_counter_is_killed(server: LogServer, tmp_path: Path) -> None:
    topic, count = make_topic(server, "views-counted"), 20_000
    run(server, "kafka_python.page_views_producer", "--topic", topic, "--count", str(count))
    arguments = ["--topic", topic, "--database", str(tmp_path / "views.db"), "--batch", "100"]
    with running(server, "kafka_python.page_views_counter", *arguments, "--group", "one") as counter:
        counter.read_until(lambda line: line == "counted 500")
        counter.kill()
    killed_at = counts(tmp_path / "views.db").total()
    assert 500 <= killed_at <= count
    # Another group, which has committed nothing: the places are those of the database.
    with running(server, "kafka_python.page_views_counter", *arguments, "--group", "two") as counter:
        if killed_at < count:
            counter.read_until(lambda line: line == f"counted {count - killed_at}")
        assert not [line for line in counter.stop() if "before" in line]
    expected = Counter(json.loads(record.value or b"")["page"] for record in stored(server, topic))
    assert counts(tmp_path / "views.db") == expected
    assert expected.total() == count


def replayed(server: LogServer, topic: str, start: str) -> list[str]:
    *lines, last = run(server, "kafka_python.replay", "--topic", topic, "--from", start)
    assert last == f"replayed {len(lines)} records"
    return lines


def test_a_replay_starts_where_it_is_told_to_and_ends(server: LogServer) -> None:
    topic, start_ms = make_topic(server, "replayed"), 1_700_000_000_000
    with Producer(server.grpc) as producer:
        for number in range(30):
            value = f"value {number}".encode()
            producer.send(topic, value, partition=number % 2, timestamp_ms=start_ms + number * 1_000)
    everything = {
        f"{number % 2} {number // 2} {start_ms + number * 1_000} value {number}": number for number in range(30)
    }

    def numbers(start: str) -> list[int]:
        return sorted(everything[line] for line in replayed(server, topic, start))

    assert numbers("beginning") == list(range(30))
    assert numbers("11") == list(range(22, 30))
    at = datetime.fromtimestamp((start_ms + 20_000) / 1_000, UTC).isoformat()
    assert numbers(at) == list(range(20, 30))
    assert numbers("2099-01-01T00:00:00+00:00") == []
    lines = replayed(server, topic, "beginning")
    for partition in ("0", "1"):
        mine = [everything[line] for line in lines if line.startswith(partition)]
        assert mine == sorted(mine)


def test_a_replay_starts_at_the_oldest_record_that_is_left(server: LogServer) -> None:
    topic = make_topic(server, "replayed-partly", 1)
    with Producer(server.grpc) as producer:
        for number in range(10):
            producer.send(topic, str(number).encode())
    with AdminClient(server.grpc) as admin:
        admin.delete_records(topic, 0, 6)
    assert [line.split()[3] for line in replayed(server, topic, "2")] == list("6789")


def test_a_replay_ends_where_the_topic_ended_at_its_start(server: LogServer) -> None:
    topic, value = make_topic(server, "replayed-while-written", 1), b"x" * 20_000
    with Producer(server.grpc) as producer:
        for _ in range(300):  # more than one fetch
            producer.send(topic, value)
        producer.flush()
        with running(server, "kafka_python.replay", "--topic", topic) as replay:
            replay.read(1)
            with replay.held():
                for _ in range(10):
                    producer.send(topic, value)
                producer.flush()
            assert replay.finish(0)[-1] == "replayed 300 records"
