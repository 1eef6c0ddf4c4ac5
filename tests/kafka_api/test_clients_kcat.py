"""kcat (librdkafka 1.x or 2.x, as the system has it) stores, reads, asks, and is a member of groups."""

import json
from typing import Any

import pytest

from logserver.testing import LogServer

from ..other_clients.kcat import kcat
from .groups import committed
from .raw_client import RawClient
from .records import batch, create_topic, stored

T0 = 1_700_000_000_000


def consumed(server: LogServer, *options: str) -> list[dict[str, Any]]:
    """Returns the records that kcat reads."""
    return [json.loads(line) for line in kcat(server.kafka, "-C", "-q", "-J", *options).splitlines()]


def fill(server: LogServer, count: int = 10) -> None:
    """Stores numbered values, 10 ms after each other."""
    create_topic(server)
    with RawClient(server.kafka) as client:
        stored(client, *(batch(str(number), timestamp_ms=T0 + number * 10) for number in range(count)))


def test_metadata(server: LogServer) -> None:
    create_topic(server, partitions=2)
    create_topic(server, "u")
    everything = json.loads(kcat(server.kafka, "-L", "-J"))
    assert everything["brokers"] == [{"id": 1, "name": server.kafka}]
    assert everything["controllerid"] == 1
    assert {topic["topic"]: len(topic["partitions"]) for topic in everything["topics"]} == {"t": 2, "u": 1}
    shown = kcat(server.kafka, "-L", "-t", "t")
    assert "partition 1, leader 1, replicas: 1, isrs: 1" in shown and 'topic "u"' not in shown


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_keys_and_headers_in_every_compression(server: LogServer, compression: str) -> None:
    create_topic(server, partitions=2)
    lines = "".join(f"key {number}:value {number} äöü\n" for number in range(50))
    options = ("-t", "t", "-p", "1", "-K:", "-H", "a=b", "-H", "c=d", "-z", compression)
    kcat(server.kafka, "-P", *options, stdin=lines)
    assert [
        (record["partition"], record["offset"], record["key"], record["payload"], record["headers"])
        for record in consumed(server, "-t", "t", "-o", "beginning", "-e")
    ] == [(1, number, f"key {number}", f"value {number} äöü", ["a", "b", "c", "d"]) for number in range(50)]


@pytest.mark.parametrize("settings", [("acks=0",), ("acks=1",), ("acks=all", "enable.idempotence=true")])
def test_every_acks(server: LogServer, settings: tuple[str, ...]) -> None:
    create_topic(server)
    kcat(server.kafka, "-P", "-t", "t", *(word for one in settings for word in ("-X", one)), stdin="a\nb\nc\n")
    assert [record["payload"] for record in consumed(server, "-t", "t", "-o", "beginning", "-c", "3")] == [
        "a",
        "b",
        "c",
    ]


def test_reading_from_an_offset_and_a_time(server: LogServer) -> None:
    fill(server)

    def values(*options: str) -> list[str]:
        return [record["payload"] for record in consumed(server, "-t", "t", "-p", "0", *options, "-e")]

    assert values("-o", "beginning") == [str(number) for number in range(10)]
    assert values("-o", "7") == ["7", "8", "9"]
    assert values("-o", "-2") == ["8", "9"]
    assert values("-o", "end") == []
    assert values("-o", "2", "-c", "3") == ["2", "3", "4"]
    assert values("-o", f"s@{T0 + 71}") == ["8", "9"]
    assert values("-o", f"s@{T0 + 40}", "-o", f"e@{T0 + 60}") == ["4", "5"]


def test_offsets_by_end_and_time(server: LogServer) -> None:
    fill(server)
    asked = {"-2": 0, "-1": 10, str(T0 + 35): 4, str(T0): 0}
    for time, offset in asked.items():
        assert kcat(server.kafka, "-Q", "-t", f"t:0:{time}") == f"t [0] offset {offset}\n"


def test_a_group_goes_on_where_it_was(server: LogServer, client: RawClient) -> None:
    fill(server)

    def some(*options: str) -> list[str]:
        settings = (
            "-X",
            "auto.offset.reset=earliest",
            "-X",
            "heartbeat.interval.ms=100",
            "-X",
            "session.timeout.ms=6000",
        )
        return kcat(server.kafka, "-G", "g", *settings, "-q", *options, "t").splitlines()

    assert some("-c", "4") == ["0", "1", "2", "3"]
    assert committed(client) == {("t", 0): 4}
    assert some("-e") == ["4", "5", "6", "7", "8", "9"]
    assert committed(client) == {("t", 0): 10}
