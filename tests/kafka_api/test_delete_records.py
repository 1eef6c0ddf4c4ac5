"""DeleteRecords: the log start offset rises, and that is all."""

import pytest

from logserver.errors import ErrorCode
from logserver.testing import LogServer

from .raw_client import DELETE_RECORDS, RawClient, served_versions
from .records import batch, create_topic, stored


def delete(
    client: RawClient, offset: int, *, topic: str = "t", partition: int = 0, version: int = 2
) -> tuple[int, int]:
    partitions = [{"partition_index": partition, "offset": offset}]
    request = {"topics": [{"name": topic, "partitions": partitions}], "timeout_ms": 1000}
    answer = client.call(DELETE_RECORDS, version, request).topics[0].partitions[0]
    assert answer.partition_index == partition
    return answer.error_code, answer.low_watermark


@pytest.fixture
def filled(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    stored(client, batch("a", "b", "c"))


@pytest.mark.parametrize("version", served_versions(DELETE_RECORDS))
def test_every_version_answers_the_new_start(client: RawClient, filled: None, version: int) -> None:
    assert delete(client, 2, version=version) == (0, 2)
    # What is gone stays gone.
    assert delete(client, 1, version=version) == (0, 2)


def test_minus_one_is_the_high_watermark(client: RawClient, filled: None) -> None:
    assert delete(client, -1) == (0, 3)


@pytest.mark.parametrize("offset", [4, -2])
def test_other_offsets_are_out_of_range(client: RawClient, filled: None, offset: int) -> None:
    assert delete(client, offset) == (ErrorCode.offset_out_of_range.value, -1)


def test_topics_that_keep_their_records_refuse(server: LogServer, client: RawClient, filled: None) -> None:
    create_topic(server, "compacted", settings={"cleanup.policy": "compact"})
    assert delete(client, 0, topic="compacted") == (ErrorCode.policy_violation.value, -1)
    assert delete(client, 0, topic="__consumer_offsets") == (ErrorCode.unknown_topic_or_partition.value, -1)
    server.call(lambda daemon: daemon.broker.create_internal_topic("__consumer_offsets", 1, {}))
    assert delete(client, 0, topic="__consumer_offsets") == (ErrorCode.invalid_topic_exception.value, -1)


def test_errors_are_each_partition_s_own(client: RawClient, filled: None) -> None:
    partitions = [{"partition_index": number, "offset": 1} for number in (7, 0)]
    request = {"topics": [{"name": "t", "partitions": partitions}], "timeout_ms": 1000}
    missing, done = client.call(DELETE_RECORDS, 2, request).topics[0].partitions
    assert missing.error_code == ErrorCode.unknown_topic_or_partition.value
    assert (done.error_code, done.low_watermark) == (0, 1)
