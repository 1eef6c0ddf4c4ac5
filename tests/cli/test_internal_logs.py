"""What is checked of records in the server's own topics, one by one."""

from collections.abc import Callable

import pytest
from logserver_records.codec import Record

from logserver.cli.internal_logs import RECORD_DECODERS, record_check
from logserver.coordinator.formats import OffsetCommitKey, OffsetCommitValue, encode_key, encode_value
from logserver.coordinator.routing import partition_of
from logserver.coordinator.share_state import formats as share_formats
from logserver.coordinator.share_state.state_key import StateKey
from logserver.coordinator.transactions import formats as transaction_formats

PARTITIONS = 7
SHARE_KEY = StateKey("g", "AAAAAAAAAAAAAAAAAAAAAg", 3)


def record(key: bytes | None, value: bytes | None) -> Record:
    return Record(5, 0, key, value, ())


def offset_commit() -> tuple[str, str, Record]:
    value = encode_value(OffsetCommitValue(9, 0, "", 1))
    return "__consumer_offsets", "g", record(encode_key(OffsetCommitKey("g", "t", 0)), value)


def transaction() -> tuple[str, str, Record]:
    value = transaction_formats.TransactionLogValue(1, 0, 1000, transaction_formats.TransactionState.EMPTY)
    encoded = transaction_formats.encode_value(value)
    return "__transaction_state", "x", record(transaction_formats.encode_key("x"), encoded)


def share_snapshot() -> tuple[str, str, Record]:
    value = share_formats.SnapshotValue(0, 0, 0, 0, 1, 2, (share_formats.StateBatch(0, 4, 2, 1),))
    key = share_formats.encode_key(share_formats.SNAPSHOT, SHARE_KEY)
    return "__share_group_state", SHARE_KEY.name, record(key, share_formats.encode_snapshot(value))


Make = Callable[[], tuple[str, str, Record]]


@pytest.mark.parametrize("make", [offset_commit, transaction, share_snapshot])
def test_a_record_is_right_in_its_partition_only(make: Make) -> None:
    topic, name, found = make()
    right = partition_of(name, PARTITIONS)
    for partition in range(PARTITIONS):
        check = record_check(topic, partition, PARTITIONS)
        assert check is not None
        problem = check(found)
        assert (problem is None) == (partition == right)
        assert problem is None or f"belongs to partition {right}" in problem
        # Nothing is left of it, and that is fine, too.
        assert (check(found._replace(value=None)) is None) == (partition == right)


@pytest.mark.parametrize("make", [offset_commit, transaction, share_snapshot])
def test_a_record_that_is_cut_short_is_noticed(make: Make) -> None:
    topic, name, found = make()
    check = record_check(topic, partition_of(name, PARTITIONS), PARTITIONS)
    assert check is not None and found.key is not None and found.value is not None
    for size in range(len(found.value)):
        assert check(found._replace(value=found.value[:size])) is not None
    for size in range(len(found.key)):
        assert check(found._replace(key=found.key[:size])) is not None
    assert check(found._replace(key=None)) is not None


@pytest.mark.parametrize("make", [offset_commit, transaction, share_snapshot])
def test_what_a_record_means_is_told(make: Make) -> None:
    topic, name, found = make()
    assert name.split(":")[0] in str(RECORD_DECODERS[topic](found))
    assert "unreadable" in RECORD_DECODERS[topic](found._replace(value=b"\x00"))


def test_a_type_that_is_not_known_is_passed_by() -> None:
    check = record_check("__consumer_offsets", 0, PARTITIONS)
    assert check is not None and check(record(b"\x7f\x00 of a later version", b"x")) is None


def test_other_topics_have_records_of_any_kind() -> None:
    assert record_check("orders", 0, PARTITIONS) is None


@pytest.mark.parametrize(
    ("key", "value", "is_right"),
    [
        (b"/topics/t", b'{"id":"AAAAAAAAAAAAAAAAAAAAAg","partitions":1,"settings":{"retention.ms":"1"}}', True),
        (b"/topics/t", b'{"id":"AAAAAAAAAAAAAAAAAAAAAg","partitions":1,"settings":{"retention.ms":"soon"}}', False),
        (b"/topics/t", b"{", False),
        (b"/topics/t", b"{}", False),
        (b"/topics/t", None, True),
        (b"/configs/broker/1", b'{"settings":{"message.max.bytes":"1"}}', True),
        (b"/configs/broker/1", b"[]", False),
        (b"/nodes/1/leader_epoch", b"7", True),
        (b"/nodes/1/leader_epoch", b"seven", False),
        (b"/nodes/1/directories", b'{"a":"/disk"}', True),
        (b"/nodes/1/directories", b"7", False),
        (b"/producer_ids/next", b"1000", True),
        (b"/something/else", b"\xff", True),
        (b"", b"", False),
        (None, b"", False),
    ],
)
def test_the_metadata_has_to_be_readable(key: bytes | None, value: bytes | None, is_right: bool) -> None:
    check = record_check("__logserver_metadata", 0, 1)
    assert check is not None
    assert (check(record(key, value)) is None) == is_right
