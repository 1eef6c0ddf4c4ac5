"""ListOffsets: by place, by time, and by whose epoch it is."""

import pytest

from logserver.errors import ErrorCode
from logserver.kafka_api.codec import Struct
from logserver.testing import LogServer

from .raw_client import DELETE_RECORDS, LIST_OFFSETS, RawClient, served_versions
from .records import batch, create_topic, lead_again, stored

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, PENDING_UPLOAD = range(-1, -7, -1)
T0 = 1_600_000_000_000


def ask(
    client: RawClient, timestamp: int, *, version: int = 11, topic: str = "t", partition: int = 0, epoch: int = -1
) -> Struct:
    wanted = {"partition_index": partition, "timestamp": timestamp, "current_leader_epoch": epoch}
    request = {"replica_id": -1, "topics": [{"name": topic, "partitions": [wanted]}]}
    answer: Struct = client.call(LIST_OFFSETS, version, request).topics[0].partitions[0]
    assert answer.partition_index == partition
    return answer


def found(answer: Struct) -> tuple[int, int, int, int]:
    return answer.error_code, answer.offset, answer.timestamp, answer.leader_epoch


@pytest.fixture
def filled(server: LogServer, client: RawClient) -> None:
    """Offsets 0 to 4: three records from T0 on, two from T0 + 100 on; the first one is deleted."""
    create_topic(server)
    stored(client, batch("a", "b", "c", timestamp_ms=T0), batch("d", "e", timestamp_ms=T0 + 100))
    deletion = {"topics": [{"name": "t", "partitions": [{"partition_index": 0, "offset": 1}]}], "timeout_ms": 1000}
    client.call(DELETE_RECORDS, 2, deletion)


@pytest.mark.parametrize("version", served_versions(LIST_OFFSETS))
def test_every_version_finds_the_ends(client: RawClient, filled: None, version: int) -> None:
    epoch = 0 if version >= 4 else -1
    assert found(ask(client, LATEST, version=version)) == (0, 5, -1, epoch)
    assert found(ask(client, EARLIEST, version=version)) == (0, 1, -1, epoch)
    assert found(ask(client, T0 + 2, version=version)) == (0, 2, T0 + 2, epoch)


def test_a_time_between_records_finds_the_next_one(client: RawClient, filled: None) -> None:
    assert found(ask(client, T0 + 50)) == (0, 3, T0 + 100, 0)
    assert found(ask(client, 0)) == (0, 1, T0 + 1, 0)


def test_a_time_behind_all_records_finds_nothing(client: RawClient, filled: None) -> None:
    assert found(ask(client, T0 + 102)) == (0, -1, -1, -1)


@pytest.mark.parametrize(
    ("timestamp", "since", "expected"),
    [
        (MAX_TIMESTAMP, 7, (0, 4, T0 + 101, 0)),
        (EARLIEST_LOCAL, 8, (0, 1, -1, 0)),
        (LATEST_TIERED, 9, (0, -1, -1, -1)),
        (PENDING_UPLOAD, 11, (0, -1, -1, -1)),
    ],
)
def test_a_place_with_a_name_is_known_since_its_version(
    client: RawClient, filled: None, timestamp: int, since: int, expected: tuple[int, ...]
) -> None:
    assert found(ask(client, timestamp, version=since)) == expected
    assert ask(client, timestamp, version=since - 1).error_code == ErrorCode.unsupported_version.value


def test_a_negative_time_that_is_no_place_is_refused(client: RawClient, filled: None) -> None:
    assert found(ask(client, -7)) == (ErrorCode.unsupported_version.value, -1, -1, -1)


def test_an_empty_partition_has_ends_and_no_times(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    assert found(ask(client, LATEST)) == (0, 0, -1, 0)
    assert found(ask(client, EARLIEST)) == (0, 0, -1, 0)
    assert found(ask(client, MAX_TIMESTAMP)) == (0, -1, -1, -1)
    assert found(ask(client, T0)) == (0, -1, -1, -1)


def test_leader_epochs_are_checked(client: RawClient, filled: None) -> None:
    assert ask(client, LATEST, epoch=0).error_code == 0
    assert ask(client, LATEST, epoch=1).error_code == ErrorCode.unknown_leader_epoch.value


def test_errors_are_each_partition_s_own(client: RawClient, filled: None) -> None:
    partitions = [{"partition_index": number, "timestamp": LATEST} for number in (0, 1)]
    request = {"replica_id": -1, "topics": [{"name": "t", "partitions": partitions}, {"name": "u", "partitions": []}]}
    here, there = client.call(LIST_OFFSETS, 11, request).topics[0].partitions
    assert (here.error_code, there.error_code) == (0, ErrorCode.unknown_topic_or_partition.value)


def test_a_partition_that_is_named_twice_is_refused_both_times(client: RawClient, filled: None) -> None:
    partitions = [{"partition_index": 0, "timestamp": LATEST}] * 2
    request = {"replica_id": -1, "topics": [{"name": "t", "partitions": partitions}]}
    answers = client.call(LIST_OFFSETS, 11, request).topics[0].partitions
    assert [answer.error_code for answer in answers] == [ErrorCode.invalid_request.value] * 2


def test_epochs_are_those_of_the_records(server: LogServer, client: RawClient) -> None:
    create_topic(server)
    stored(client, batch("a", timestamp_ms=T0))
    lead_again(server, 4)
    stored(client, batch("b", timestamp_ms=T0 + 10))
    assert found(ask(client, EARLIEST)) == (0, 0, -1, 0)
    assert found(ask(client, T0 + 5)) == (0, 1, T0 + 10, 4)
    assert found(ask(client, LATEST)) == (0, 2, -1, 4)
    assert ask(client, LATEST, epoch=3).error_code == ErrorCode.fenced_leader_epoch.value
