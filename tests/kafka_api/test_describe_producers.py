"""DescribeProducers: what a partition remembers of idempotent producers."""

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.testing import LogServer

from .admin import DESCRIBE_PRODUCERS, create
from .raw_client import PRODUCE, RawClient
from .records import batch
from .test_one_node import resign

TIME_MS = 1_700_000_000_000


def described(client: RawClient, topic: str, *partitions: int) -> list[Struct]:
    request = {"topics": [{"name": topic, "partition_indexes": partitions}]}
    found: list[Struct] = client.call(DESCRIBE_PRODUCERS, 0, request).topics[0].partitions
    return found


def test_who_has_written(client: RawClient) -> None:
    create(client, {"name": "t", "num_partitions": 2})
    for producer_id, epoch, sequence in ((7, 2, 0), (7, 2, 3), (5, 0, 0)):
        records = batch(
            "a", "b", "c", timestamp_ms=TIME_MS, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence
        )
        data = [{"name": "t", "partition_data": [{"index": 1, "records": records}]}]
        response = client.call(PRODUCE, 9, {"acks": -1, "timeout_ms": 30_000, "topic_data": data})
        assert response.responses[0].partition_responses[0].error_code == 0
    nobody, two = described(client, "t", 0, 1)
    assert (nobody.error_code, list(nobody.active_producers)) == (0, [])
    assert [
        (found.producer_id, found.producer_epoch, found.last_sequence, found.last_timestamp, found.coordinator_epoch)
        for found in two.active_producers
    ] == [(7, 2, 5, TIME_MS + 2, -1), (5, 0, 2, TIME_MS + 2, -1)]
    assert {found.current_txn_start_offset for found in two.active_producers} == {-1}


def test_what_is_not_there(server: LogServer, client: RawClient) -> None:
    create(client, {"name": "t"})
    assert [part.error_code for part in described(client, "t", 1, -1)] == [
        ErrorCode.unknown_topic_or_partition.value
    ] * 2
    assert described(client, "no", 0)[0].error_code == ErrorCode.unknown_topic_or_partition.value
    assert described(client, "a b", 0)[0].error_code == ErrorCode.invalid_topic_exception.value
    resign(server, "t", 0)
    assert described(client, "t", 0)[0].error_code == ErrorCode.not_leader_or_follower.value
