"""FindCoordinator, ListGroups, DescribeGroups, ConsumerGroupDescribe, DeleteGroups at every version."""

import pytest

from logserver.errors import ErrorCode
from logserver.testing import LogServer

from .groups import (
    CONSUMER_GROUP_DESCRIBE,
    CONSUMER_GROUP_HEARTBEAT,
    DELETE_GROUPS,
    DESCRIBE_GROUPS,
    LIST_GROUPS,
    commit,
    committed,
    leave,
    stable,
    subscription,
)
from .raw_client import FIND_COORDINATOR, RawClient, served_versions
from .records import create_topic

NOT_FOUND = ErrorCode.group_id_not_found.value


def become_consumer(client: RawClient, group_id: str = "c", topic: str = "t", version: int = 1) -> str:
    """Joins a consumer group (KIP-848); returns the member id."""
    request = {
        "group_id": group_id,
        "member_id": "me" if version else "",
        "member_epoch": 0,
        "rebalance_timeout_ms": 30_000,
        "subscribed_topic_names": [topic],
        "topic_partitions": [],
    }
    answer = client.call(CONSUMER_GROUP_HEARTBEAT, version, request)
    assert answer.error_code == 0
    member_id: str = answer.member_id
    return member_id


@pytest.mark.parametrize("version", served_versions(FIND_COORDINATOR))
def test_this_node_coordinates_everything(server: LogServer, client: RawClient, version: int) -> None:
    if version < 4:
        answer = client.call(FIND_COORDINATOR, version, {"key": "g", "key_type": 0})
    else:
        request = {"key_type": 0, "coordinator_keys": ["g", "h"]}
        answer, other = client.call(FIND_COORDINATOR, version, request).coordinators
        assert (answer.key, other.key) == ("g", "h")
    assert answer.error_code == 0
    assert f"{answer.host}:{answer.port}" == server.kafka


@pytest.mark.parametrize("version", served_versions(LIST_GROUPS))
def test_groups_are_listed(server: LogServer, client: RawClient, version: int) -> None:
    create_topic(server)
    stable(client, group_id="running")
    commit(client, {("t", 0): 1}, group_id="offsets only")
    become_consumer(client)
    request = {"states_filter": [], "types_filter": []}
    answer = client.call(LIST_GROUPS, version, request)
    groups = {group.group_id: group for group in answer.groups}
    assert {key: group.protocol_type for key, group in groups.items()} == {
        "running": "consumer",
        "offsets only": "",
        "c": "consumer",
    }
    if version >= 4:
        assert {key: group.group_state for key, group in groups.items()} == {
            "running": "Stable",
            "offsets only": "Empty",
            "c": "Stable",
        }
        stable_ones = client.call(LIST_GROUPS, version, {"states_filter": ["stable"], "types_filter": []})
        assert {group.group_id for group in stable_ones.groups} == {"running", "c"}
    if version >= 5:
        assert {key: group.group_type for key, group in groups.items()} == {
            "running": "classic",
            "offsets only": "classic",
            "c": "consumer",
        }
        consumers = client.call(LIST_GROUPS, version, {"states_filter": [], "types_filter": ["Consumer"]})
        assert {group.group_id for group in consumers.groups} == {"c"}


@pytest.mark.parametrize("version", served_versions(DESCRIBE_GROUPS))
def test_classic_groups_are_described(server: LogServer, client: RawClient, version: int) -> None:
    create_topic(server)
    joined = stable(client, instance_id="i")
    become_consumer(client)
    request = {"groups": ["g", "none", "c"], "include_authorized_operations": version >= 3}
    found, none, consumer = client.call(DESCRIBE_GROUPS, version, request).groups
    assert (found.error_code, found.group_state, found.protocol_type, found.protocol_data) == (
        0,
        "Stable",
        "consumer",
        "range",
    )
    (member,) = found.members
    assert (member.member_id, member.client_id, member.client_host) == (joined.member_id, "raw", "/127.0.0.1")
    assert (bytes(member.member_metadata), bytes(member.member_assignment)) == (subscription("t"), b"all")
    if version >= 4:
        assert member.group_instance_id == "i"
    expected = NOT_FOUND if version >= 6 else 0
    assert [(group.group_state, group.error_code) for group in (none, consumer)] == [("Dead", expected)] * 2


@pytest.mark.parametrize("version", served_versions(CONSUMER_GROUP_DESCRIBE))
def test_consumer_groups_are_described(server: LogServer, client: RawClient, version: int) -> None:
    topic_id = create_topic(server, partitions=2)
    member_id = become_consumer(client, version=version)
    stable(client)
    request = {"group_ids": ["c", "none", "g"], "include_authorized_operations": True}
    found, none, classic = client.call(CONSUMER_GROUP_DESCRIBE, version, request).groups
    assert (found.error_code, found.group_state, found.assignor_name) == (0, "Stable", "uniform")
    (member,) = found.members
    assert (member.member_id, member.member_epoch, member.subscribed_topic_names) == (member_id, 1, ["t"])
    (topic,) = member.assignment.topic_partitions
    assert (topic.topic_id, topic.topic_name, topic.partitions) == (topic_id, "t", [0, 1])
    assert [none.error_code, classic.error_code] == [NOT_FOUND] * 2
    assert "not a consumer group" in classic.error_message


@pytest.mark.parametrize("version", served_versions(DELETE_GROUPS))
def test_groups_without_members_are_deleted(server: LogServer, client: RawClient, version: int) -> None:
    create_topic(server)
    joined = stable(client)
    commit(client, {("t", 0): 1}, member_id=joined.member_id, epoch=1)

    def delete(*groups: str) -> list[int]:
        answer = client.call(DELETE_GROUPS, version, {"groups_names": groups})
        return [result.error_code for result in answer.results]

    assert delete("g", "none") == [ErrorCode.non_empty_group.value, NOT_FOUND]
    leave(client, (joined.member_id, None))
    assert delete("g") == [0]
    assert delete("g") == [NOT_FOUND]
    assert committed(client) == {}


def test_members_of_consumer_groups_are_removed(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    become_consumer(client)
    request = {
        "group_id": "c",
        "member_id": "static",
        "instance_id": "i",
        "member_epoch": 0,
        "rebalance_timeout_ms": 30_000,
        "subscribed_topic_names": ["t"],
        "topic_partitions": [],
    }
    assert client.call(CONSUMER_GROUP_HEARTBEAT, 1, request).error_code == 0
    answer = leave(client, ("nobody", None), ("", "j"), ("me", "i"), group_id="c")
    unknown, fenced = ErrorCode.unknown_member_id.value, ErrorCode.fenced_instance_id.value
    assert [member.error_code for member in answer.members] == [unknown, unknown, fenced]
    answer = leave(client, ("me", None), ("", "i"), group_id="c")
    assert [member.error_code for member in answer.members] == [0, 0]
    beat = {"group_id": "c", "member_id": "me", "member_epoch": 1, "topic_partitions": []}
    assert client.call(CONSUMER_GROUP_HEARTBEAT, 1, beat).error_code == unknown
    (found,) = client.call(CONSUMER_GROUP_DESCRIBE, 1, {"group_ids": ["c"]}).groups
    assert (found.group_state, found.members) == ("Empty", [])


def test_both_protocols_take_turns(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    joined = stable(client, group_id="c")
    commit(client, {("t", 0): 5}, group_id="c", member_id=joined.member_id, epoch=1)
    request = {
        "group_id": "c",
        "member_id": "me",
        "member_epoch": 0,
        "rebalance_timeout_ms": 30_000,
        "subscribed_topic_names": ["t"],
        "topic_partitions": [],
    }
    # Its members' assignments are no consumers'.
    answer = client.call(CONSUMER_GROUP_HEARTBEAT, 1, request)
    assert answer.error_code == ErrorCode.group_id_not_found.value
    leave(client, (joined.member_id, None), group_id="c")
    become_consumer(client)
    assert committed(client, "c") == {("t", 0): 5}
    client.call(CONSUMER_GROUP_HEARTBEAT, 1, {**request, "member_epoch": -1})
    assert stable(client, group_id="c").error_code == 0
    assert committed(client, "c") == {("t", 0): 5}
