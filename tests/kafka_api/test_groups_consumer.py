"""ConsumerGroupHeartbeat (KIP-848) over the wire, at every version, and commits of its members."""

from typing import Any

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.testing import LogServer

from .groups import CONSUMER_GROUP_HEARTBEAT, commit
from .raw_client import OFFSET_FETCH, RawClient, served_versions
from .records import create_topic


@pytest.fixture
def topic_id(server: LogServer) -> str:
    return create_topic(server, partitions=2)


def beat(client: RawClient, member_id: str = "m", epoch: int = 0, *, version: int = 1, **fields: Any) -> Struct:
    """Sends a heartbeat; one that joins says everything."""
    request: dict[str, Any] = {"group_id": "g", "member_id": member_id, "member_epoch": epoch, "topic_partitions": None}
    if epoch == 0:
        request |= {"rebalance_timeout_ms": 30_000, "subscribed_topic_names": ["t"], "topic_partitions": []}
    return client.call(CONSUMER_GROUP_HEARTBEAT, version, {**request, **fields})


def owned(answer: Struct) -> dict[str, list[int]] | None:
    if answer.assignment is None:
        return None
    return {topic.topic_id: list(topic.partitions) for topic in answer.assignment.topic_partitions}


@pytest.mark.parametrize("version", served_versions(CONSUMER_GROUP_HEARTBEAT))
def test_every_version_joins_stays_and_leaves(client: RawClient, topic_id: str, version: int) -> None:
    answer = beat(client, "" if version == 0 else "m", version=version)
    assert (answer.error_code, answer.member_epoch, answer.heartbeat_interval_ms) == (0, 1, 5_000)
    assert owned(answer) == {topic_id: [0, 1]}
    member_id = answer.member_id
    assert member_id if version == 0 else member_id == "m"
    # Nothing is told again that has not changed, unless the member says everything.
    assert owned(beat(client, member_id, 1, version=version)) is None
    everything = {
        "rebalance_timeout_ms": 30_000,
        "subscribed_topic_names": ["t"],
        "topic_partitions": [{"topic_id": topic_id, "partitions": [0, 1]}],
    }
    assert owned(beat(client, member_id, 1, version=version, **everything)) == {topic_id: [0, 1]}
    assert beat(client, member_id, -1, version=version).member_epoch == -1
    assert beat(client, member_id, 1, version=version).error_code == ErrorCode.unknown_member_id.value


def until_told(client: RawClient, before: Struct) -> Struct:
    """Sends heartbeats until one is answered with an assignment that is not empty.

    New assignments are made a moment after the last one (group.consumer.assignment.interval.ms).
    """
    answer = beat(client, before.member_id, before.member_epoch)
    while not owned(answer):
        assert answer.error_code == 0, answer.error_message
        answer = beat(client, answer.member_id, answer.member_epoch)
    return answer


def test_a_member_gives_up_before_another_gets(client: RawClient, topic_id: str) -> None:
    first, second = beat(client, "m"), beat(client, "n")
    assert owned(second) == {}
    first = until_told(client, first)
    kept = owned(first)
    assert kept is not None
    assert [len(numbers) for numbers in kept.values()] == [1]
    # As long as it has not said that it has given it up, the other one waits.
    second = beat(client, "n", second.member_epoch)
    assert (second.error_code, owned(second) or {}) == (0, {})
    partitions = [{"topic_id": topic_id, "partitions": kept[topic_id]}]
    assert beat(client, "m", first.member_epoch, topic_partitions=partitions).error_code == 0
    got = owned(until_told(client, second))
    assert got is not None
    assert sorted(got[topic_id] + kept[topic_id]) == [0, 1]


def test_subscriptions_by_pattern(server: LogServer, client: RawClient, topic_id: str) -> None:
    other = create_topic(server, "other")
    answer = beat(client, subscribed_topic_names=None, subscribed_topic_regex="o.*")
    assert owned(answer) == {other: [0]}
    broken = beat(client, "n", subscribed_topic_names=None, subscribed_topic_regex="(")
    assert broken.error_code == ErrorCode.invalid_regular_expression.value


def test_a_static_member_comes_back_to_its_partitions(client: RawClient, topic_id: str) -> None:
    beat(client, "m", instance_id="i")
    # The instance id has not changed, so it need not be said again.
    assert beat(client, "m", 1).error_code == 0
    assert beat(client, "n", instance_id="i").error_code == ErrorCode.unreleased_instance_id.value
    assert beat(client, "m", -2, instance_id="i").member_epoch == -2
    back = beat(client, "n", instance_id="i")
    assert (back.error_code, owned(back)) == (0, {topic_id: [0, 1]})
    assert beat(client, "m", 1, instance_id="i").error_code == ErrorCode.fenced_instance_id.value


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        (ErrorCode.invalid_request, {"group_id": ""}),
        (ErrorCode.invalid_request, {"member_id": ""}),
        (ErrorCode.invalid_request, {"epoch": -3}),
        (ErrorCode.invalid_request, {"epoch": -2}),
        (ErrorCode.invalid_request, {"rebalance_timeout_ms": -1}),
        (ErrorCode.invalid_request, {"subscribed_topic_names": None}),
        (ErrorCode.invalid_request, {"topic_partitions": [{"topic_id": "A" * 22, "partitions": [0]}]}),
        (ErrorCode.unsupported_assignor, {"server_assignor": "mine"}),
        (ErrorCode.unknown_member_id, {"epoch": 1}),
        (ErrorCode.unknown_member_id, {"epoch": -1}),
    ],
)
def test_refusals_have_kafka_s_codes(client: RawClient, topic_id: str, code: ErrorCode, fields: dict[str, Any]) -> None:
    answer = beat(client, **fields)
    assert answer.error_code == code.value
    assert answer.error_message


def test_members_of_other_epochs_are_fenced(client: RawClient, topic_id: str) -> None:
    beat(client)
    assert beat(client, "m", 7).error_code == ErrorCode.fenced_member_epoch.value


def test_members_commit_and_read_with_their_epoch(client: RawClient, topic_id: str) -> None:
    beat(client)
    place = ("t", 0)
    assert commit(client, {place: 3}, member_id="m", epoch=1) == {place: 0}
    assert commit(client, {place: 4}, member_id="m", epoch=2) == {place: ErrorCode.stale_member_epoch.value}
    old = commit(client, {place: 4}, member_id="m", epoch=2, version=8)
    assert old == {place: ErrorCode.unsupported_version.value}
    assert commit(client, {place: 4}, member_id="n", epoch=1) == {place: ErrorCode.unknown_member_id.value}
    assert commit(client, {place: 4}) == {place: ErrorCode.unknown_member_id.value}

    def read(member_id: str, epoch: int) -> tuple[int, int]:
        topics = [{"name": "t", "partition_indexes": [0]}]
        group = {"group_id": "g", "member_id": member_id, "member_epoch": epoch, "topics": topics}
        answer = client.call(OFFSET_FETCH, 9, {"groups": [group], "require_stable": True}).groups[0]
        return answer.error_code, answer.topics[0].partitions[0].committed_offset if answer.topics else -1

    assert read("m", 1) == (0, 3)
    assert read("m", 2)[0] == ErrorCode.stale_member_epoch.value
    assert read("n", 1)[0] == ErrorCode.unknown_member_id.value
