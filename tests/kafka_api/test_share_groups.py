"""ShareGroupHeartbeat and ShareGroupDescribe (KIP-932) over the wire, and share groups among the other groups."""

from typing import Any, Final

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.testing import LogServer

from .admin import DELETE, GROUP, SET, alter
from .groups import (
    CONSUMER_GROUP_DESCRIBE,
    CONSUMER_GROUP_HEARTBEAT,
    DELETE_GROUPS,
    DESCRIBE_GROUPS,
    LIST_GROUPS,
    OFFSET_DELETE,
    commit,
    join,
)
from .raw_client import OFFSET_FETCH, RawClient
from .records import create_topic

SHARE_GROUP_HEARTBEAT: Final = 76
SHARE_GROUP_DESCRIBE: Final = 77
FIND_COORDINATOR: Final = 10


@pytest.fixture
def topic_id(server: LogServer) -> str:
    return create_topic(server, partitions=2)


def beat(client: RawClient, member_id: str = "m", epoch: int = 0, **fields: Any) -> Struct:
    """Sends a heartbeat; one that joins says everything."""
    request: dict[str, Any] = {"group_id": "g", "member_id": member_id, "member_epoch": epoch}
    if epoch == 0:
        request["subscribed_topic_names"] = ["t"]
    return client.call(SHARE_GROUP_HEARTBEAT, 1, {**request, **fields})


def assigned(answer: Struct) -> dict[str, list[int]] | None:
    if answer.assignment is None:
        return None
    return {topic.topic_id: list(topic.partitions) for topic in answer.assignment.topic_partitions}


def described(client: RawClient, group_id: str = "g", **fields: Any) -> Struct:
    found: Struct
    (found,) = client.call(SHARE_GROUP_DESCRIBE, 1, {"group_ids": [group_id, group_id], **fields}).groups
    return found


def test_a_member_joins_stays_and_leaves(client: RawClient, topic_id: str) -> None:
    answer = beat(client, rack_id="here")
    assert (answer.error_code, answer.member_id, answer.heartbeat_interval_ms) == (0, "m", 5_000)
    assert assigned(answer) == {topic_id: [0, 1]}
    epoch = answer.member_epoch
    answer = beat(client, "m", epoch)
    assert (answer.error_code, answer.member_epoch, assigned(answer)) == (0, epoch, None)
    assert assigned(beat(client, "m", epoch, subscribed_topic_names=["t"])) == {topic_id: [0, 1]}
    answer = beat(client, "m", -1)
    assert (answer.error_code, answer.member_epoch, answer.heartbeat_interval_ms) == (0, -1, 0)
    assert beat(client, "m", epoch).error_code == ErrorCode.unknown_member_id.value


def test_more_members_than_partitions_all_have_one(topic_id: str, client: RawClient) -> None:
    members = ["m", "n", "o", "p"]
    alter(client, GROUP, "g", ("share.assignment.interval.ms", SET, "0"))
    epochs = {member: beat(client, member).member_epoch for member in members}
    for _ in members:
        for member in members:
            epochs[member] = beat(client, member, epochs[member]).member_epoch
    found = [assigned(beat(client, member, epochs[member], subscribed_topic_names=["t"])) for member in members]
    assert sorted(found, key=str) == [{topic_id: [0]}, {topic_id: [0]}, {topic_id: [1]}, {topic_id: [1]}]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"group_id": ""}, ErrorCode.invalid_request),
        ({"group_id": " "}, ErrorCode.invalid_request),
        ({"member_id": ""}, ErrorCode.invalid_request),
        ({"member_id": "m" * 37}, ErrorCode.invalid_request),
        ({"rack_id": ""}, ErrorCode.invalid_request),
        ({"subscribed_topic_names": None}, ErrorCode.invalid_request),
        ({"subscribed_topic_names": []}, ErrorCode.invalid_request),
        ({"member_epoch": -2}, ErrorCode.invalid_request),
        ({"member_epoch": 1}, ErrorCode.group_id_not_found),
        ({"member_epoch": -1}, ErrorCode.group_id_not_found),
    ],
)
def test_what_is_refused(client: RawClient, topic_id: str, fields: dict[str, Any], code: ErrorCode) -> None:
    answer = beat(client, **fields)
    assert (answer.error_code, answer.assignment) == (code.value, None)
    assert answer.error_message


def test_a_wrong_epoch_is_fenced(client: RawClient, topic_id: str) -> None:
    epoch = beat(client).member_epoch
    assert beat(client, "m", epoch + 1).error_code == ErrorCode.fenced_member_epoch.value


def test_a_group_is_described(client: RawClient, topic_id: str) -> None:
    beat(client, rack_id="here")
    group = described(client)
    assert (group.error_code, group.group_state, group.assignor_name) == (0, "Stable", "simple")
    assert group.group_epoch == group.assignment_epoch == 2
    assert group.authorized_operations == -(1 << 31)
    (member,) = group.members
    assert (member.member_id, member.rack_id, member.member_epoch) == ("m", "here", 2)
    assert (member.client_host, list(member.subscribed_topic_names)) == ("/127.0.0.1", ["t"])
    (topic,) = member.assignment.topic_partitions
    assert (topic.topic_id, topic.topic_name, list(topic.partitions)) == (topic_id, "t", [0, 1])
    beat(client, "m", -1)
    group = described(client, include_authorized_operations=True)
    assert (group.group_state, list(group.members), group.authorized_operations) == ("Empty", [], 0b110101001000)
    group = described(client, "nobody")
    assert group.error_code == ErrorCode.group_id_not_found.value
    assert described(client, "").error_code == ErrorCode.invalid_group_id.value


def test_a_share_group_among_others(client: RawClient, topic_id: str) -> None:
    beat(client)
    commit(client, {("t", 0): 1}, group_id="offsets")

    def listed(**filters: Any) -> list[tuple[str, str, str, str]]:
        groups = client.call(LIST_GROUPS, 5, {"states_filter": [], "types_filter": [], **filters}).groups
        return [(found.group_id, found.group_type, found.group_state, found.protocol_type) for found in groups]

    mine = ("g", "share", "Stable", "share")
    assert listed() == [mine, ("offsets", "classic", "Empty", "")]
    assert listed(types_filter=["Share"]) == [mine]
    assert listed(types_filter=["share"], states_filter=["Empty"]) == []
    (group,) = client.call(DESCRIBE_GROUPS, 6, {"groups": ["g"]}).groups
    assert (group.error_code, group.group_state) == (ErrorCode.group_id_not_found.value, "Dead")
    (group,) = client.call(CONSUMER_GROUP_DESCRIBE, 1, {"group_ids": ["g"]}).groups
    assert group.error_code == ErrorCode.group_id_not_found.value
    assert described(client, "offsets").error_code == ErrorCode.group_id_not_found.value
    assert beat(client, group_id="offsets").error_code == ErrorCode.group_id_not_found.value


def test_a_share_group_has_neither_consumers_nor_offsets(client: RawClient, topic_id: str) -> None:
    beat(client)
    not_found = ErrorCode.group_id_not_found.value
    assert join(client).error_code == ErrorCode.inconsistent_group_protocol.value
    consumer = {
        "group_id": "g",
        "member_id": "c",
        "member_epoch": 0,
        "rebalance_timeout_ms": 30_000,
        "subscribed_topic_names": ["t"],
        "topic_partitions": [],
    }
    assert client.call(CONSUMER_GROUP_HEARTBEAT, 1, consumer).error_code == not_found
    assert commit(client, {("t", 0): 1}) == {("t", 0): not_found}
    everything = {"groups": [{"group_id": "g", "member_id": None, "member_epoch": -1, "topics": None}]}
    (group,) = client.call(OFFSET_FETCH, 9, everything).groups
    assert (group.error_code, list(group.topics)) == (0, [])
    topics = [{"name": "t", "partitions": [{"partition_index": 0}]}]
    assert client.call(OFFSET_DELETE, 0, {"group_id": "g", "topics": topics}).error_code == not_found


def test_only_a_group_without_members_is_deleted(client: RawClient, topic_id: str) -> None:
    def delete() -> int:
        (result,) = client.call(DELETE_GROUPS, 2, {"groups_names": ["g"]}).results
        code: int = result.error_code
        return code

    beat(client)
    assert delete() == ErrorCode.non_empty_group.value
    beat(client, "m", -1)
    assert delete() == 0
    assert described(client).error_code == ErrorCode.group_id_not_found.value
    # The name is free for another kind of group.
    assert join(client).error_code == 0


def test_a_group_has_settings_of_its_own(client: RawClient, topic_id: str) -> None:
    settings = [("share.heartbeat.interval.ms", SET, "7000"), ("share.auto.offset.reset", SET, "by_duration:P1DT2H")]
    assert alter(client, GROUP, "g", *settings).error_code == 0
    epoch = beat(client).member_epoch
    assert beat(client, "m", epoch).heartbeat_interval_ms == 7_000
    assert beat(client, group_id="other").heartbeat_interval_ms == 5_000
    assert alter(client, GROUP, "g", ("share.heartbeat.interval.ms", DELETE, None)).error_code == 0
    assert beat(client, "m", epoch).heartbeat_interval_ms == 5_000


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("g:5NGUByt-SaWyIUc9_HKpuQ:0", 0),
        ("g", ErrorCode.invalid_request.value),
        ("g:0", ErrorCode.invalid_request.value),
    ],
)
def test_who_keeps_the_state_of_a_partition(client: RawClient, key: str, code: int) -> None:
    (found,) = client.call(FIND_COORDINATOR, 6, {"key_type": 2, "coordinator_keys": [key]}).coordinators
    assert found.error_code == code


def test_before_version_6_nobody_asks_for_that(client: RawClient) -> None:
    request = {"key_type": 2, "coordinator_keys": ["g:5NGUByt-SaWyIUc9_HKpuQ:0"]}
    (found,) = client.call(FIND_COORDINATOR, 5, request).coordinators
    assert found.error_code == ErrorCode.invalid_request.value
