"""OffsetCommit, OffsetFetch, OffsetDelete at every version."""

import pytest

from logserver.errors import ErrorCode
from logserver.testing import LogServer

from .groups import OFFSET_DELETE, commit, committed, fetch, leave, stable
from .raw_client import OFFSET_COMMIT, OFFSET_FETCH, RawClient, served_versions
from .records import create_topic

NOBODY = "A" * 22


@pytest.fixture
def topic_id(server: LogServer) -> str:
    return create_topic(server, partitions=2)


@pytest.mark.parametrize("version", served_versions(OFFSET_COMMIT))
def test_every_version_commits(client: RawClient, topic_id: str, version: int) -> None:
    codes = commit(client, {("t", 0): 5, ("t", 1): 0}, version=version, topic_ids={"t": topic_id})
    assert list(codes.values()) == [0, 0]
    assert committed(client) == {("t", 0): 5, ("t", 1): 0}


@pytest.mark.parametrize("version", served_versions(OFFSET_FETCH))
def test_every_version_reads(client: RawClient, topic_id: str, version: int) -> None:
    commit(client, {("t", 1): 7})
    topics = [{"name": "t", "topic_id": topic_id, "partition_indexes": [0, 1]}]
    answer = fetch(client, topics, version=version)
    missing, found = answer.topics[0].partitions
    assert (missing.committed_offset, missing.metadata, missing.error_code) == (-1, "", 0)
    assert (found.committed_offset, found.metadata, found.error_code) == (7, "m", 0)
    if version >= 5:
        assert (missing.committed_leader_epoch, found.committed_leader_epoch) == (-1, 3)
    if version >= 2:
        everything = fetch(client, None, version=version)
        assert [(p.partition_index, p.committed_offset) for p in everything.topics[0].partitions] == [(1, 7)]
        assert everything.topics[0].topic_id == topic_id if version >= 10 else everything.topics[0].name == "t"


def test_a_group_that_does_not_exist_has_committed_nothing(client: RawClient, topic_id: str) -> None:
    answer = fetch(client, [{"name": "t", "partition_indexes": [0]}], group_id="none")
    assert (answer.error_code, answer.topics[0].partitions[0].committed_offset) == (0, -1)
    assert fetch(client, None, group_id="none").topics == []


def test_members_of_a_group_that_does_not_exist(client: RawClient, topic_id: str) -> None:
    place = ("t", 0)
    for version, code in ((9, ErrorCode.group_id_not_found), (8, ErrorCode.illegal_generation)):
        assert commit(client, {place: 1}, member_id="m", epoch=1, version=version) == {place: code.value}
    topics = [{"name": "t", "partition_indexes": [0]}]
    group = {"group_id": "g", "member_id": "m", "member_epoch": 1, "topics": topics}
    request = {"groups": [group], "require_stable": False}
    assert client.call(OFFSET_FETCH, 9, request).groups[0].error_code == 0
    commit(client, {place: 1})
    assert commit(client, {place: 2}, member_id="m", epoch=1) == {place: ErrorCode.unknown_member_id.value}


def test_members_of_classic_groups_read_without_a_check(client: RawClient, topic_id: str) -> None:
    stable(client)
    topics = [{"name": "t", "partition_indexes": [0]}]
    group = {"group_id": "g", "member_id": "m", "member_epoch": 9, "topics": topics}
    answer = client.call(OFFSET_FETCH, 9, {"groups": [group], "require_stable": False}).groups[0]
    assert (answer.error_code, answer.topics[0].partitions[0].committed_offset) == (0, -1)


def test_topics_that_do_not_exist_are_refused_each(client: RawClient, topic_id: str) -> None:
    unknown = ErrorCode.unknown_topic_or_partition.value
    assert commit(client, {("t", 0): 1, ("u", 0): 1, ("t", 9): 1}) == {
        ("t", 0): 0,
        ("u", 0): unknown,
        ("t", 9): unknown,
    }
    codes = commit(client, {("t", 0): 2, ("u", 0): 1}, version=10, topic_ids={"t": topic_id})
    assert codes == {(topic_id, 0): 0, (NOBODY, 0): ErrorCode.unknown_topic_id.value}
    answer = fetch(client, [{"topic_id": NOBODY, "partition_indexes": [3]}], version=10)
    assert answer.topics[0].partitions[0].error_code == ErrorCode.unknown_topic_id.value


def test_only_members_commit_while_there_are_any(client: RawClient, topic_id: str) -> None:
    joined = stable(client)
    place = ("t", 0)
    assert commit(client, {place: 1}) == {place: ErrorCode.unknown_member_id.value}
    assert commit(client, {place: 1}, member_id="x", epoch=1) == {place: ErrorCode.unknown_member_id.value}
    assert commit(client, {place: 1}, member_id=joined.member_id, epoch=7) == {
        place: ErrorCode.illegal_generation.value
    }
    assert commit(client, {place: 1}, member_id=joined.member_id, epoch=1) == {place: 0}
    leave(client, (joined.member_id, None))
    assert commit(client, {place: 2}) == {place: 0}


def test_offsets_are_forgotten_unless_they_are_in_use(client: RawClient, topic_id: str) -> None:
    def delete(group_id: str = "g", topic: str = "t") -> tuple[int, int]:
        request = {"group_id": group_id, "topics": [{"name": topic, "partitions": [{"partition_index": 0}]}]}
        answer = client.call(OFFSET_DELETE, 0, request)
        return answer.error_code, answer.topics[0].partitions[0].error_code if answer.topics else 0

    commit(client, {("t", 0): 1, ("t", 1): 1})
    assert delete("none")[0] == ErrorCode.group_id_not_found.value
    joined = stable(client)
    assert delete() == (0, ErrorCode.group_subscribed_to_topic.value)
    leave(client, (joined.member_id, None))
    assert delete(topic="u") == (0, ErrorCode.unknown_topic_or_partition.value)
    assert delete() == (0, 0)
    assert committed(client) == {("t", 1): 1}
