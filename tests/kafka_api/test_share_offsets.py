"""DescribeShareGroupOffsets, AlterShareGroupOffsets and DeleteShareGroupOffsets over the wire."""

from collections.abc import Mapping
from typing import Any, Final

import pytest
from logserver_client import Queue, Queues

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.testing import LogServer

from .groups import DELETE_GROUPS, commit
from .raw_client import RawClient
from .records import batch, create_topic, stored
from .share import ACCEPT, Member
from .test_share_groups import beat, described

DESCRIBE: Final = 90
ALTER: Final = 91
DELETE: Final = 92
NOTHING: Final = (-1, -1, 0)


@pytest.fixture(autouse=True)
def topic_id(server: LogServer) -> str:
    return create_topic(server, partitions=2)


def offsets(client: RawClient, topics: Mapping[str, list[int]] | None = None, group: str = "g") -> dict[Any, Any]:
    """Returns start offset, lag and error by topic and partition."""
    named = None
    if topics is not None:
        named = [{"topic_name": name, "partitions": partitions} for name, partitions in topics.items()]
    (found,) = client.call(DESCRIBE, 1, {"groups": [{"group_id": group, "topics": named}]}).groups
    assert found.error_code == 0, found
    return {
        (topic.topic_name, one.partition_index): (one.start_offset, one.lag, one.error_code)
        for topic in found.topics
        for one in topic.partitions
    }


def alter(client: RawClient, numbers: Mapping[int, int], topic: str = "t", group: str = "g") -> Struct:
    partitions = [{"partition_index": number, "start_offset": offset} for number, offset in numbers.items()]
    topics = [{"topic_name": topic, "partitions": partitions}]
    return client.call(ALTER, 0, {"group_id": group, "topics": topics})


def altered(answer: Struct) -> list[int]:
    assert answer.error_code == 0, answer
    return [one.error_code for topic in answer.responses for one in topic.partitions]


def delete(client: RawClient, *topics: str, group: str = "g") -> Struct:
    return client.call(DELETE, 0, {"group_id": group, "topics": [{"topic_name": name} for name in topics]})


def test_where_a_group_stands(client: RawClient, topic_id: str) -> None:
    stored(client, batch(*"abcdefghij"))
    assert offsets(client) == {}
    member = Member(client, topic_id)
    assert offsets(client) == {("t", 0): NOTHING, ("t", 1): NOTHING}
    member.leave()
    assert altered(alter(client, {0: 2})) == [0]
    assert offsets(client) == {("t", 0): (2, 8, 0), ("t", 1): NOTHING}
    member = Member(client, topic_id)
    member.fetch()
    member.acknowledge((2, 3, ACCEPT), (5, 5, ACCEPT))
    assert offsets(client, {"t": [0]}) == {("t", 0): (4, 5, 0)}
    assert offsets(client, {"u": [0], "t": [7]}) == {("u", 0): NOTHING, ("t", 7): NOTHING}


def test_before_version_1_there_is_no_lag(client: RawClient) -> None:
    alter(client, {0: 0})
    (group,) = client.call(DESCRIBE, 0, {"groups": [{"group_id": "g", "topics": None}]}).groups
    assert group.topics[0].partitions[0].start_offset == 0


def test_a_group_that_is_set_is_there(client: RawClient, topic_id: str) -> None:
    stored(client, batch(*"abcdef"))
    assert altered(alter(client, {0: 4, 2: 0})) == [0, ErrorCode.unknown_topic_or_partition.value]
    assert altered(alter(client, {0: 4}, topic="u")) == [ErrorCode.unknown_topic_or_partition.value]
    assert described(client).group_state == "Empty"
    assert [first for first, _, _ in Member(client, topic_id).fetch()] == [4]


def test_what_was_settled_comes_again_when_it_is_set_back(client: RawClient, topic_id: str) -> None:
    stored(client, batch(*"abc"))
    alter(client, {0: 0})
    member = Member(client, topic_id)
    assert member.fetch() == [(0, 2, 1)]
    member.acknowledge((0, 2, ACCEPT))
    member.leave()
    assert altered(alter(client, {0: 1})) == [0]
    assert Member(client, topic_id).fetch() == [(1, 2, 1)]


def test_groups_whose_offsets_are_not_set(client: RawClient, topic_id: str) -> None:
    Member(client, topic_id)
    assert alter(client, {0: 1}).error_code == ErrorCode.non_empty_group.value
    assert delete(client, "t").error_code == ErrorCode.non_empty_group.value
    commit(client, {("t", 0): 1}, group_id="offsets")
    assert alter(client, {0: 1}, group="offsets").error_code == ErrorCode.group_id_not_found.value
    assert delete(client, "t", group="offsets").error_code == ErrorCode.group_id_not_found.value
    assert delete(client, "t", group="nobody").error_code == ErrorCode.group_id_not_found.value
    assert alter(client, {0: 1}, group="").error_code == ErrorCode.invalid_group_id.value
    assert delete(client, "t", group="").error_code == ErrorCode.invalid_group_id.value


def test_offsets_are_deleted(server: LogServer, client: RawClient) -> None:
    create_topic(server, "u")
    alter(client, {0: 3})
    found = delete(client, "t", "u", "no")
    unknown = ErrorCode.unknown_topic_or_partition.value
    assert [(topic.topic_name, topic.error_code) for topic in found.responses] == [
        ("t", 0),
        ("u", unknown),
        ("no", unknown),
    ]
    assert offsets(client) == {}
    assert offsets(client, {"t": [0]}) == {("t", 0): NOTHING}
    # There is nothing left to delete.
    assert [topic.error_code for topic in delete(client, "t").responses] == [unknown]


def test_a_group_without_offsets_has_none_to_delete(client: RawClient) -> None:
    client.call(ALTER, 0, {"group_id": "g", "topics": []})
    assert delete(client, "t").error_code == ErrorCode.group_id_not_found.value


def test_a_deleted_group_begins_anew(client: RawClient) -> None:
    alter(client, {0: 3})
    (result,) = client.call(DELETE_GROUPS, 2, {"groups_names": ["g"]}).results
    assert result.error_code == 0
    assert offsets(client, {"t": [0]}) == {("t", 0): NOTHING}
    assert altered(alter(client, {0: 1})) == [0]


def test_what_a_declared_queue_has_done_stays(server: LogServer, client: RawClient) -> None:
    with Queues(server.grpc) as queues, Queue(server.grpc, "q") as queue:
        queues.declare("q")
        for value in (b"a", b"b", b"c"):
            queue.send(value).result(30)
        consumer = queue.consume(prefetch=1)
        assert next(iter(consumer)).value == b"a"
        assert alter(client, {0: 2}, topic="q", group="q").error_code == ErrorCode.non_empty_group.value
        consumer.close()
        assert altered(alter(client, {0: 2}, topic="q", group="q")) == [0]
        (topic,) = delete(client, "q", group="q").responses
        assert topic.error_code == ErrorCode.invalid_request.value
        client.call(DELETE_GROUPS, 2, {"groups_names": ["q"]})
        assert offsets(client, {"q": [0]}, group="q") == {("q", 0): (2, 1, 0)}
        # A group of that name that is made anew has a lower epoch than the state.
        assert altered(alter(client, {0: 1}, topic="q", group="q")) == [0]
        assert [message.value for message in queue.receive(5, wait=30)] == [b"b", b"c"]
    assert beat(client, group_id="q").error_code == 0
