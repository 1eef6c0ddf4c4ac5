"""What is written is read again as it was, and what can't be written is refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logserver.coordinator.formats import (
    ZERO_TOPIC_ID,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataValue,
    ConsumerGroupTargetAssignmentMemberValue,
    GroupMetadataKey,
    Key,
    MemberState,
    OffsetCommitKey,
    OffsetCommitValue,
    OwnedTopicPartitions,
    TopicPartitions,
    Value,
    decode,
    decode_key,
    decode_value,
    encode_key,
    encode_value,
)

from .strategies import commits, keys, records

KEY = OffsetCommitKey("g", "t", 0)
TOPIC_ID = "5NGUByt-SaWyIUc9_HKpuQ"
TOO_LONG = "x" * 32_768


@pytest.mark.parametrize("kind", records)
@given(data=st.data())
def test_every_record_is_read_as_it_was_written(kind: str, data: st.DataObject) -> None:
    record = data.draw(records[kind])
    key, value = record
    decoded = decode(encode_key(key), encode_value(value))
    assert decoded == record
    assert (type(decoded[0]), type(decoded[1])) == (type(key), type(value))


@given(keys)
def test_a_tombstone_is_a_key_without_value(key: Key) -> None:
    assert decode(encode_key(key), None) == (key, None)


@given(commits())
def test_version_1_is_written_only_for_an_offset_with_an_expiry_of_its_own(value: OffsetCommitValue) -> None:
    version = int.from_bytes(encode_value(value)[:2])
    assert version == (4 if value.expire_timestamp_ms == -1 else 1)


def test_an_offset_with_an_expiry_of_its_own_loses_what_version_1_has_no_field_for() -> None:
    value = OffsetCommitValue(7, 3, "m", 1000, 2000, TOPIC_ID)
    assert decode_value(KEY, encode_value(value)) == OffsetCommitValue(7, -1, "m", 1000, 2000, None)


@pytest.mark.parametrize("metadata", ["", "m", "m" * 200])
def test_a_topic_id_of_zeros_is_none(metadata: str) -> None:
    value = OffsetCommitValue(7, 3, metadata, 1000)
    assert encode_value(value._replace(topic_id=ZERO_TOPIC_ID)) == encode_value(value)
    data = encode_value(value._replace(topic_id=TOPIC_ID))
    assert decode_value(KEY, data[:-16] + bytes(16)) == value


def test_a_member_without_partitions_of_a_topic_has_no_assignment_epochs_there() -> None:
    value = ConsumerGroupCurrentMemberAssignmentValue(
        1, 0, MemberState.STABLE, (OwnedTopicPartitions(TOPIC_ID, (), ()),), ()
    )
    key = decode_key(bytes.fromhex("0008 0000 0000"))
    assert decode_value(key, encode_value(value)) == value._replace(assigned=(OwnedTopicPartitions(TOPIC_ID, ()),))


@pytest.mark.parametrize("key", [OffsetCommitKey(TOO_LONG, "t", 0), OffsetCommitKey("g", TOO_LONG, 0)])
def test_a_longer_text_than_a_reader_takes_is_refused_in_a_key(key: OffsetCommitKey) -> None:
    with pytest.raises(ValueError, match=r"the (group|topic) has 32768 bytes, and a record holds at most 32767"):
        encode_key(key)


def test_a_longer_text_than_a_reader_takes_is_refused_in_a_value() -> None:
    with pytest.raises(ValueError, match="the metadata has 32768 bytes"):
        encode_value(OffsetCommitValue(1, metadata=TOO_LONG))
    with pytest.raises(ValueError, match="the group has 65534 bytes"):
        encode_key(GroupMetadataKey("é" * 32_767))


@pytest.mark.parametrize(
    "value",
    [
        OffsetCommitValue(2**63),
        OffsetCommitValue(1, 2**31),
        OffsetCommitValue(1, expire_timestamp_ms=2**63),
        ConsumerGroupMetadataValue(2**31),
        ConsumerGroupTargetAssignmentMemberValue((TopicPartitions(TOPIC_ID, (2**31,)),)),
    ],
)
def test_a_number_out_of_its_range_is_refused(value: Value) -> None:
    with pytest.raises(ValueError, match="a number is out of its range"):
        encode_value(value)


def test_a_partition_out_of_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="a number is out of its range"):
        encode_key(OffsetCommitKey("g", "t", 2**31))


NOT_TOPIC_IDS = [
    "",
    "A" * 21,
    "A" * 23,
    # Bits that mean nothing are set, the other alphabet, padding, a space, no ASCII.
    "A" * 21 + "B",
    "5NGUByt+SaWyIUc9/HKpuQ",
    "5NGUByt-SaWyIUc9_HKpu=",
    "5NGU Byt-SaWyIUc9_HKpQ",
    "é" * 22,
]


@pytest.mark.parametrize("topic_id", NOT_TOPIC_IDS)
def test_what_is_not_a_topic_id_is_refused(topic_id: str) -> None:
    with pytest.raises(ValueError, match="is not a topic id"):
        encode_value(OffsetCommitValue(1, topic_id=topic_id))


def test_assignment_epochs_of_another_number_than_the_partitions_are_refused() -> None:
    owned = OwnedTopicPartitions(TOPIC_ID, (1, 2), (3,))
    with pytest.raises(ValueError, match="1 assignment epochs for 2 partitions"):
        encode_value(ConsumerGroupCurrentMemberAssignmentValue(1, 0, MemberState.STABLE, (owned,), ()))


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValueError):
        encode_key(OffsetCommitKey("\ud800", "t", 0))
    with pytest.raises(ValueError):
        encode_value(OffsetCommitValue(1, metadata="\udfff"))


def test_the_topics_of_a_group_are_not_written() -> None:
    with pytest.raises(TypeError, match="ConsumerGroupPartitionMetadataValue is not written"):
        encode_value(ConsumerGroupPartitionMetadataValue(()))
