"""Settings of the server that are changed while it runs: they take effect, and are kept."""

import time
from pathlib import Path
from typing import Any

import pytest
from logserver_records.codec import build_batch

from logserver.errors import ErrorCode
from logserver.testing import LogServer

from .admin import BROKER, DELETE, SET, TOPIC, alter, create, describe, values
from .raw_client import PRODUCE, RawClient

OWN, EVERYBODYS, DEFAULT = 2, 3, 5


def test_a_node_stands_above_all_nodes(client: RawClient) -> None:
    create(client, {"name": "t"})

    def retention() -> tuple[Any, Any]:
        own = values(client, BROKER, "1", "log.retention.ms")["log.retention.ms"]
        assert values(client, TOPIC, "t", "retention.ms")["retention.ms"][0] == (own[0] or "604800000")
        return own

    assert retention() == (None, DEFAULT)
    alter(client, BROKER, "", ("log.retention.ms", SET, "2000"))
    assert retention() == ("2000", EVERYBODYS)
    alter(client, BROKER, "1", ("log.retention.ms", SET, "3000"))
    assert retention() == ("3000", OWN)
    assert values(client, BROKER, "") == {"log.retention.ms": ("2000", EVERYBODYS)}
    (synonyms,) = (
        config.synonyms for config in describe(client, TOPIC, "t", "retention.ms", include_synonyms=True).configs
    )
    assert [(synonym.name, synonym.value, synonym.source) for synonym in synonyms] == [
        ("log.retention.ms", "3000", OWN),
        ("log.retention.ms", "2000", EVERYBODYS),
        ("log.retention.hours", "168", DEFAULT),
    ]
    alter(client, BROKER, "1", ("log.retention.ms", DELETE, None))
    assert retention() == ("2000", EVERYBODYS)
    alter(client, BROKER, "", ("log.retention.ms", DELETE, None))
    assert retention() == (None, DEFAULT)


def produce(client: RawClient, size: int) -> int:
    """Produces a record of that size; returns the error code."""
    batch = build_batch([(int(time.time() * 1000), None, b"x" * size, ())])
    data = [{"name": "t", "partition_data": [{"index": 0, "records": batch}]}]
    response = client.call(PRODUCE, 9, {"acks": -1, "timeout_ms": 30_000, "topic_data": data})
    code: int = response.responses[0].partition_responses[0].error_code
    return code


def test_a_change_reaches_logs_that_are_open(client: RawClient) -> None:
    create(client, {"name": "t"})
    assert produce(client, 3000) == 0
    alter(client, BROKER, "1", ("message.max.bytes", SET, "2000"))
    assert produce(client, 3000) == ErrorCode.message_too_large.value
    # A topic's own setting stays above it.
    alter(client, TOPIC, "t", ("max.message.bytes", SET, "5000"))
    assert produce(client, 3000) == 0


def test_changes_outlive_a_restart(tmp_path: Path) -> None:
    with LogServer(tmp_path, settings={"log.segment.bytes": "5000"}) as server, RawClient(server.kafka) as client:
        create(client, {"name": "t"})
        alter(client, BROKER, "1", ("log.segment.bytes", SET, "6000"))
        alter(client, BROKER, "", ("log.flush.interval.ms", SET, "70"))
    with LogServer(tmp_path, settings={"log.segment.bytes": "5000"}) as server, RawClient(server.kafka) as client:
        assert values(client, TOPIC, "t", "segment.bytes", "flush.ms") == {
            "segment.bytes": ("6000", OWN),
            "flush.ms": ("70", EVERYBODYS),
        }

        async def segment_bytes(daemon: Any) -> int:
            size: int = daemon.broker.partition("t", 0).log.config.segment_bytes
            return size

        assert server.call(segment_bytes) == 6000
        alter(client, BROKER, "1", ("log.segment.bytes", DELETE, None))
        assert values(client, TOPIC, "t", "segment.bytes") == {"segment.bytes": ("5000", 4)}


@pytest.mark.parametrize("node", ["1", ""])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num.partitions", "3"),
        ("log.retention.hours", "1"),
        ("node.id", "3"),
        ("nonsense", "3"),
        ("log.retention.ms", "x"),
        ("message.max.bytes", "-5"),
    ],
)
def test_what_cannot_be_changed(client: RawClient, node: str, name: str, value: str) -> None:
    for validate_only in (True, False):
        result = alter(client, BROKER, node, (name, SET, value), validate_only=validate_only)
        assert result.error_code == ErrorCode.invalid_request.value
        assert name in result.error_message


@pytest.mark.parametrize("node", ["2", "x"])
def test_another_node_is_not_here(client: RawClient, node: str) -> None:
    assert alter(client, BROKER, node, ("log.retention.ms", SET, "1")).error_code == ErrorCode.invalid_request.value


def test_connections_can_be_limited_at_run_time(server: LogServer, client: RawClient) -> None:
    alter(client, BROKER, "1", ("max.connections", SET, "1"))
    with RawClient(server.kafka) as second:
        assert second.is_closed()
    alter(client, BROKER, "1", ("max.connections", DELETE, None))
    with RawClient(server.kafka) as second:
        assert values(second, BROKER, "") == {}
