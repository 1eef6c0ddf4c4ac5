"""Details of answers as Apache Kafka 4.3.1 gives them, found by asking both (`make differential`)."""

from typing import Any

import pytest

from logserver.errors import ErrorCode

from .admin import create
from .fetching import fetch, only, target
from .groups import (
    CONSUMER_GROUP_DESCRIBE,
    CONSUMER_GROUP_HEARTBEAT,
    DESCRIBE_GROUPS,
    JOIN_GROUP,
    OFFSET_DELETE,
    join_request,
)
from .raw_client import (
    API_VERSIONS,
    DELETE_RECORDS,
    OFFSET_COMMIT,
    OFFSET_FETCH,
    OFFSET_FOR_LEADER_EPOCH,
    RawClient,
    served_versions,
)
from .records import batch, produce, stored

MEMBER = "AAAAAAAAAAAAAAAAAAAAZw"
TXN_OFFSET_COMMIT = 28
NO_OPERATIONS = -(2**31)


@pytest.fixture(autouse=True)
def topic(client: RawClient) -> None:
    """Each test has the topic t."""
    create(client, {"name": "t"})


def commit(client: RawClient, *partitions: int) -> Any:
    """Commits offset 1 outside of any membership."""
    parts = [{"partition_index": number, "committed_offset": 1} for number in partitions]
    whole = {"group_id": "g", "generation_id_or_member_epoch": -1, "topics": [{"name": "t", "partitions": parts}]}
    return client.call(OFFSET_COMMIT, 9, whole)


def beat(client: RawClient, **fields: Any) -> Any:
    """A heartbeat by which a consumer joins, unless it says otherwise."""
    message = {"group_id": "g", "member_id": MEMBER, "member_epoch": 0, "rebalance_timeout_ms": 9000}
    message |= {"subscribed_topic_names": ["t"], "topic_partitions": [], "instance_id": None, "rack_id": None}
    message |= {"server_assignor": None, "subscribed_topic_regex": None}
    return client.call(CONSUMER_GROUP_HEARTBEAT, 1, message | fields)


def test_a_client_with_a_wrong_name_is_told_no_versions(client: RawClient) -> None:
    response = client.call(API_VERSIONS, 4, {"client_software_name": "a b", "client_software_version": "1"})
    assert (response.error_code, list(response.api_keys)) == (ErrorCode.invalid_request.value, [])


@pytest.mark.parametrize("records", [b"", None, batch("a") * 2])
def test_errors_of_a_produce_request_have_no_log_start_offset(client: RawClient, records: bytes | None) -> None:
    refused = produce(client, records)
    assert (refused.error_code, refused.log_start_offset) == (ErrorCode.invalid_record.value, -1)


def test_fetches_that_are_refused_at_once_have_an_empty_list_of_aborted_transactions(client: RawClient) -> None:
    stored(client, batch("a"))
    for version in (11, 12):
        assert only(fetch(client, target(partition=9), version=version)).aborted_transactions == []
        for offset in (0, 9):
            assert only(fetch(client, target(offset), version=version)).aborted_transactions is None


def test_topics_of_which_no_partition_is_named_are_not_answered(client: RawClient) -> None:
    empty = {"topics": [{"name": "t", "partitions": []}]}
    assert client.call(DELETE_RECORDS, 2, empty | {"timeout_ms": 1000}).topics == []
    assert commit(client).topics == []
    commit(client, 0)
    assert client.call(OFFSET_DELETE, 0, {"group_id": "g", **empty}).topics == []


def test_offsets_of_partitions_that_are_not_there_can_not_be_deleted(client: RawClient) -> None:
    commit(client, 0)
    asked = [{"partition_index": number} for number in (0, 1, -1)]
    response = client.call(OFFSET_DELETE, 0, {"group_id": "g", "topics": [{"name": "t", "partitions": asked}]})
    unknown = ErrorCode.unknown_topic_or_partition.value
    assert [one.error_code for one in response.topics[0].partitions] == [0, unknown, unknown]


def test_errors_of_offset_fetch_stand_at_the_group(client: RawClient) -> None:
    assert beat(client).error_code == 0
    topics = [{"name": "t", "partition_indexes": [0]}]
    asked = {"group_id": "g", "member_id": "nobody", "member_epoch": 1, "topics": topics}
    (group,) = client.call(OFFSET_FETCH, 9, {"groups": [asked]}).groups
    assert (group.error_code, group.topics) == (ErrorCode.unknown_member_id.value, [])


def test_commits_of_an_old_epoch_are_no_matter_of_old_versions(client: RawClient) -> None:
    epoch = beat(client).member_epoch
    parts = [{"partition_index": 0, "committed_offset": 1}]
    whole = {"group_id": "g", "member_id": MEMBER, "topics": [{"name": "t", "partitions": parts}]}
    codes = []
    for version in (8, 9):
        response = client.call(OFFSET_COMMIT, version, whole | {"generation_id_or_member_epoch": epoch - 1})
        codes.append(ErrorCode(response.topics[0].partitions[0].error_code))
    assert codes == [ErrorCode.unsupported_version, ErrorCode.stale_member_epoch]


def test_offsets_of_topics_that_are_not_there_are_no_matter_of_the_transaction(client: RawClient) -> None:
    parts = [{"partition_index": number, "committed_offset": 1} for number in (0, 1)]
    topics = [{"name": name, "partitions": parts} for name in ("t", "no")]
    whole = {"transactional_id": "x", "group_id": "g", "producer_id": 7, "producer_epoch": 0, "topics": topics}
    message = whole | {"generation_id": -1, "member_id": "", "group_instance_id": None}
    answered = client.call(TXN_OFFSET_COMMIT, 3, message).topics
    codes = [[ErrorCode(one.error_code) for one in topic.partitions] for topic in answered]
    unknown = ErrorCode.unknown_topic_or_partition
    assert codes == [[ErrorCode.invalid_producer_id_mapping, unknown], [unknown, unknown]]


def test_what_may_be_done_with_a_group_that_is_not_there_is_not_told(client: RawClient) -> None:
    for version in served_versions(DESCRIBE_GROUPS)[3:]:
        message = {"groups": ["g"], "include_authorized_operations": True}
        (group,) = client.call(DESCRIBE_GROUPS, version, message).groups
        assert group.authorized_operations == (NO_OPERATIONS if version >= 6 else 3400)


def test_joins_that_are_refused_name_no_protocol(client: RawClient) -> None:
    for version in served_versions(JOIN_GROUP):
        response = client.call(JOIN_GROUP, version, join_request(session_timeout_ms=1))
        assert response.error_code == ErrorCode.invalid_session_timeout.value
        assert response.protocol_name == (None if version >= 7 else "")


def test_heartbeats_that_no_client_sends_are_refused(client: RawClient) -> None:
    for wrong in ({"group_id": ""}, {"group_id": " "}, {"topic_partitions": None}):
        assert beat(client, **wrong).error_code == ErrorCode.invalid_request.value, wrong


def test_who_leaves_is_not_told_when_to_come_again(client: RawClient) -> None:
    assert beat(client).heartbeat_interval_ms == 5000
    message = {"group_ids": ["g"]}
    (group,) = client.call(CONSUMER_GROUP_DESCRIBE, 1, message).groups
    assert group.members[0].subscribed_topic_regex == ""
    left = beat(client, member_epoch=-1, topic_partitions=None, subscribed_topic_names=None, rebalance_timeout_ms=-1)
    assert (left.error_code, left.member_epoch, left.heartbeat_interval_ms) == (0, -1, 0)


def test_an_epoch_from_before_all_records_ends_where_they_begin(client: RawClient) -> None:
    stored(client, batch("a"))
    partitions = [{"partition": 0, "leader_epoch": epoch, "current_leader_epoch": -1} for epoch in (-2, -1)]
    message = {"replica_id": -1, "topics": [{"topic": "t", "partitions": partitions}]}
    first, undefined = client.call(OFFSET_FOR_LEADER_EPOCH, 4, message).topics[0].partitions
    assert (first.error_code, first.leader_epoch, first.end_offset) == (0, -2, 0)
    assert (undefined.error_code, undefined.leader_epoch, undefined.end_offset) == (0, -1, -1)


def test_creating_a_topic_of_the_servers_own_that_is_there(client: RawClient) -> None:
    (before,) = create(client, {"name": "__consumer_offsets"})
    assert before.error_code == ErrorCode.invalid_topic_exception.value
    commit(client, 0)
    (after,) = create(client, {"name": "__consumer_offsets"})
    assert after.error_code == ErrorCode.topic_already_exists.value


@pytest.mark.parametrize(("name", "value"), [("compression.gzip.level", "0"), ("retention.ms", "+-5")])
def test_settings_that_no_topic_can_have(client: RawClient, name: str, value: str) -> None:
    (refused,) = create(client, {"name": "u", "configs": [{"name": name, "value": value}]})
    assert refused.error_code == ErrorCode.invalid_config.value
    (taken,) = create(client, {"name": "v", "configs": [{"name": "retention.ms", "value": "+5"}]})
    assert taken.error_code == 0
