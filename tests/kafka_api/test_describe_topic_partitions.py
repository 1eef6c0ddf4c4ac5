"""DescribeTopicPartitions: in order of names, in pages of partitions."""

from typing import Any

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct

from .admin import DESCRIBE_TOPIC_PARTITIONS, create
from .raw_client import RawClient


@pytest.fixture(autouse=True)
def topics(client: RawClient) -> None:
    """Topics "a" and "b" of three partitions."""
    create(client, *({"name": name, "num_partitions": 3} for name in "ab"))


def described(client: RawClient, *names: str, limit: int = 2000, cursor: Any = None) -> Struct:
    request = {"topics": [{"name": name} for name in names], "response_partition_limit": limit, "cursor": cursor}
    response: Struct = client.call(DESCRIBE_TOPIC_PARTITIONS, 0, request)
    return response


def shown(response: Struct) -> list[tuple[str, list[int]]]:
    return [(topic.name, [part.partition_index for part in topic.partitions]) for topic in response.topics]


def at(cursor: Struct | None) -> tuple[str, int] | None:
    return None if cursor is None else (cursor.topic_name, cursor.partition_index)


def test_all_topics_or_some(client: RawClient) -> None:
    everything = described(client)
    assert shown(everything) == [("a", [0, 1, 2]), ("b", [0, 1, 2])]
    assert everything.next_cursor is None
    assert shown(described(client, "b", "a", "b")) == shown(everything)
    (topic,) = described(client, "b").topics
    assert (topic.error_code, topic.is_internal, topic.topic_authorized_operations) == (0, False, 3576)
    partition = topic.partitions[1]
    assert (partition.leader_id, partition.leader_epoch, partition.replica_nodes, partition.isr_nodes) == (
        1,
        0,
        [1],
        [1],
    )
    assert (partition.eligible_leader_replicas, partition.last_known_elr) == ([], [])


@pytest.mark.parametrize("limit", [-5, 0, 1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("names", [(), ("a", "b")])
def test_pages_come_to_the_end(client: RawClient, limit: int, names: tuple[str, ...]) -> None:
    found: list[tuple[str, int]] = []
    cursor = None
    for _ in range(10):
        response = described(client, *names, limit=limit, cursor=cursor)
        page = [(name, number) for name, numbers in shown(response) for number in numbers]
        assert 1 <= len(page) <= max(limit, 1)
        found += page
        cursor = response.next_cursor
        if cursor is None:
            break
    assert found == [(name, number) for name in "ab" for number in range(3)]


def test_a_page_ends_at_a_topic(client: RawClient) -> None:
    assert at(described(client, limit=3).next_cursor) == ("b", 0)
    assert at(described(client, limit=4).next_cursor) == ("b", 1)


def test_a_cursor_at_a_topic_that_is_gone_goes_on_behind_it(client: RawClient) -> None:
    response = described(client, cursor={"topic_name": "aa", "partition_index": 2})
    assert shown(response) == [("b", [0, 1, 2])]


def test_unknown_topics_are_told_where_they_are_asked_for(client: RawClient) -> None:
    unknown, wrong = described(client, "no", "a b").topics[::-1]
    assert (unknown.name, unknown.error_code) == ("no", ErrorCode.unknown_topic_or_partition.value)
    assert (wrong.name, wrong.error_code) == ("a b", ErrorCode.invalid_topic_exception.value)


@pytest.mark.parametrize("cursor", [("aa", 0), ("a", -1)])
def test_cursors_that_are_none(client: RawClient, cursor: tuple[str, int]) -> None:
    response = described(client, "a", "b", cursor={"topic_name": cursor[0], "partition_index": cursor[1]})
    assert [topic.error_code for topic in response.topics] == [ErrorCode.invalid_request.value] * 2
