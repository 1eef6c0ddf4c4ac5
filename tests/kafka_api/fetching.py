"""Requests of Fetch for tests."""

from typing import Any

from logserver.kafka_api.codec import Struct
from logserver.kafka_api.codec.schema import ZERO_UUID

from .raw_client import FETCH, RawClient
from .records import values_of

VERSION = 12
"""The last that goes by names."""


def target(
    offset: int = 0, *, topic: str = "t", topic_id: str = ZERO_UUID, partition: int = 0, **more: Any
) -> dict[str, Any]:
    """Returns one topic of a request with one partition."""
    asked = {"partition": partition, "fetch_offset": offset, "partition_max_bytes": 1 << 20, **more}
    return {"topic": topic, "topic_id": topic_id, "partitions": [asked]}


def fetch_request(*targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Returns a request that does not wait, without a session."""
    return {"max_wait_ms": 0, "min_bytes": 1, "max_bytes": 1 << 25, "topics": targets, **more}


def fetch(client: RawClient, *targets: dict[str, Any], version: int = VERSION, **more: Any) -> Struct:
    """Fetches; returns the response."""
    return client.call(FETCH, version, fetch_request(*targets, **more))


def partitions_of(response: Struct) -> list[tuple[str, Struct]]:
    """Returns (topic, partition) of a response, in its order."""
    return [(topic.topic, partition) for topic in response.responses for partition in topic.partitions]


def only(response: Struct) -> Struct:
    """Returns the one partition of a response."""
    ((_, partition),) = partitions_of(response)
    return partition


def read(client: RawClient, *targets: dict[str, Any], **more: Any) -> list[list[str]]:
    """Fetches; returns the values of each partition."""
    response = fetch(client, *targets, **more)
    assert response.error_code == 0
    found = []
    for _, partition in partitions_of(response):
        assert partition.error_code == 0
        found.append(values_of(partition.records))
    return found
