"""Topics and records for tests of the data APIs."""

import time
from collections.abc import Mapping
from typing import Any

from logserver_records.batch import whole_batches
from logserver_records.codec import build_batch, decode_batch
from logserver_records.compression import Compression

from logserver.daemon import Daemon
from logserver.kafka_api.codec import Struct
from logserver.testing import LogServer

from .raw_client import PRODUCE, RawClient


def create_topic(
    server: LogServer, name: str = "t", partitions: int = 1, settings: Mapping[str, str] | None = None
) -> str:
    """Creates a topic; returns its id."""
    topic_id: str = server.call(lambda daemon: daemon.broker.create_topic(name, partitions, settings or {})).topic_id
    return topic_id


def batch(
    *values: str, timestamp_ms: int | None = None, compression: Compression = Compression.NONE, **fields: Any
) -> bytes:
    """Returns a batch of records without keys, a millisecond after each other."""
    start_ms = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
    records = [(start_ms + number, None, value.encode(), ()) for number, value in enumerate(values)]
    return build_batch(records, compression=compression, **fields)


def values_of(records: bytes | None) -> list[str]:
    """Returns the values of all records of a fetch."""
    assert records is not None
    return [
        (record.value or b"").decode()
        for position, _ in whole_batches(records)
        for record in decode_batch(records, position, max_decompressed_bytes=1 << 26, verify_crc=True)
    ]


def produce_request(
    records: bytes | None,
    topic: str = "t",
    partition: int = 0,
    *,
    acks: int = -1,
    timeout_ms: int = 30_000,
    **more: Any,
) -> dict[str, Any]:
    """Returns a request of Produce, up to version 12, for one partition."""
    data = [{"name": topic, "partition_data": [{"index": partition, "records": records}]}]
    return {"transactional_id": None, "acks": acks, "timeout_ms": timeout_ms, "topic_data": data, **more}


def produce(
    client: RawClient, records: bytes | None, topic: str = "t", partition: int = 0, *, version: int = 12, **more: Any
) -> Struct:
    """Produces to one partition; returns its response."""
    response = client.call(PRODUCE, version, produce_request(records, topic, partition, **more))
    result: Struct = response.responses[0].partition_responses[0]
    return result


def stored(client: RawClient, *batches: bytes, topic: str = "t", partition: int = 0) -> None:
    """Produces batches that are to succeed."""
    for records in batches:
        assert produce(client, records, topic, partition).error_code == 0


def lead_again(server: LogServer, epoch: int, topic: str = "t", partition: int = 0) -> None:
    """Leads a partition under another leader epoch, as after a failure."""

    async def lead(daemon: Daemon) -> None:
        found = daemon.broker.partition(topic, partition)
        daemon.broker.resign(found, "a test leads it again")
        found.lead(epoch)

    server.call(lead)
