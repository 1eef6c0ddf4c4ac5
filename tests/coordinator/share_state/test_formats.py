"""The records of a state: read as they were written, byte for byte Kafka's, and anything else refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logserver_records.codec import decode_batch

from logserver.coordinator.delivery.moves import Destination, Move
from logserver.coordinator.delivery.stored import Stored, StoredRange, StoredState
from logserver.coordinator.formats import CorruptCoordinatorRecord, FormatError, UnknownRecordType, UnknownRecordVersion
from logserver.coordinator.share_state.extras_format import ExtrasValue, decode_extras, encode_extras
from logserver.coordinator.share_state.formats import (
    EXTRAS,
    SNAPSHOT,
    UPDATE,
    SnapshotValue,
    StateBatch,
    UpdateValue,
    decode_key,
    decode_snapshot,
    decode_update,
    encode_key,
    encode_snapshot,
    encode_update,
)
from logserver.coordinator.share_state.limits import StateLimits
from logserver.coordinator.share_state.machine import ShareMachine
from logserver.coordinator.share_state.state_key import StateKey
from logserver.coordinator.share_state.writing import Batch
from tests.broker.harness import NOW_MS

from .kept_log import KeptLog
from .nodes import KEY, acknowledged, available, stored
from .strategies import keys, plain, states

int32s = st.integers(-(1 << 31), (1 << 31) - 1)
int64s = st.integers(-(1 << 63), (1 << 63) - 1)
batches = st.lists(
    st.builds(
        lambda first, records, state, deliveries: StateBatch(first, first + records, state, deliveries),
        st.integers(0, 1 << 62),
        st.integers(0, 1 << 40),
        st.sampled_from([0, 2, 4]),
        st.integers(0, 0x7FFF),
    ),
    max_size=4,
).map(tuple)
snapshots = st.builds(SnapshotValue, int32s, int32s, int32s, int64s, int64s, int64s, batches, int32s)
updates = st.builds(UpdateValue, int32s, int32s, int64s, batches, int32s)


@given(keys, st.sampled_from([SNAPSHOT, UPDATE, EXTRAS]))
def test_keys(key: StateKey, record_type: int) -> None:
    assert decode_key(encode_key(record_type, key)) == (record_type, key)


@given(snapshots)
def test_snapshots(value: SnapshotValue) -> None:
    assert decode_snapshot(encode_snapshot(value)) == value


@given(updates)
def test_updates(value: UpdateValue) -> None:
    assert decode_update(encode_update(value)) == value


def encoded(state: Stored) -> bytes:
    """Returns what Kafka does not keep of a state."""
    return encode_extras(ExtrasValue(state.epoch, state.reserve_end, state.last_intent, state.moves), state.ranges)


def replayed(*appended: Stored) -> Stored:
    """Returns what a restart makes of a snapshot and updates."""
    log, machine = KeptLog(), ShareMachine(StateLimits())
    state = machine.state(KEY)
    for number, each in enumerate(appended):
        batch = Batch(NOW_MS)
        state.hand_over()
        if number:
            batch.update(KEY, state, each)
        else:
            batch.snapshot(KEY, state, each)
        log.append(batch)
    found = log.replayed().states[KEY].stored()
    assert found is not None
    return found


@given(states())
def test_a_snapshot_gives_the_state_back(state: Stored) -> None:
    assert plain(replayed(state)) == plain(state)


@given(states())
def test_an_update_gives_the_state_back(state: Stored) -> None:
    assert plain(replayed(stored(0), state)) == plain(state)


def test_an_update_replaces_what_it_names_with_all_its_extras() -> None:
    rested = available(4, 6, 2)
    rested = rested._replace(extras=rested.extras._replace(failures=1, until_ms=NOW_MS))
    before = stored(0, available(0, 3), rested, available(8, 9, 40_000), reserve_end=10)
    after = stored(1, available(5, 5, 3), acknowledged(9), reserve_end=20, last_intent=7, epoch=3)
    assert replayed(before, after) == stored(
        1,
        available(1, 3),
        rested._replace(last=4),
        available(5, 5, 3),
        rested._replace(first=6),
        available(8, 8, 40_000),
        acknowledged(9),
        reserve_end=20,
        last_intent=7,
        epoch=3,
    )


def test_numbers_without_ranges_are_written() -> None:
    assert replayed(stored(0), stored(5, epoch=2, reserve_end=9, last_intent=3)) == stored(
        5, epoch=2, reserve_end=9, last_intent=3
    )


def test_a_move_is_cut_to_the_ranges_that_still_name_it() -> None:
    state = stored(0, available(0, 9))
    ((found,), move) = state.ranges, _move(0, 9)
    moving = found._replace(extras=found.extras._replace(intent=1))
    (kept,) = replayed(
        state._replace(ranges=[moving], moves=[move]), stored(0, acknowledged(3, 5), acknowledged(8, 9))
    ).moves
    assert (kept.first, kept.last) == (0, 7)
    assert not replayed(state._replace(ranges=[moving], moves=[_move(0, 9)]), stored(10)).moves


def _move(first: int, last: int) -> Move:
    return Move(1, first, last, "rejected", Destination("dead"), 1, 1, NOW_MS, NOW_MS, NOW_MS)


def test_what_is_only_kafkas_is_a_state_too() -> None:
    machine = ShareMachine(StateLimits())
    snapshot = SnapshotValue(3, 5, 2, 10, 0, 0, (StateBatch(10, 12, 0, 1), StateBatch(13, 13, 4, 5)), 1)
    machine.apply(encode_key(SNAPSHOT, KEY), encode_snapshot(snapshot), 0, NOW_MS)
    # In any order, with 0 as a delivery count, and with ranges that overlap: what comes last is so.
    update = UpdateValue(3, 7, 11, (StateBatch(20, 21, 2, 1), StateBatch(12, 12, 2, 1), StateBatch(14, 15, 0, 0)))
    machine.apply(encode_key(UPDATE, KEY), encode_update(update), 1, NOW_MS)
    image = machine.states[KEY].image()
    assert (image.state_epoch, image.leader_epoch, image.start_offset) == (5, 7, 11)
    assert image.stored is not None
    assert image.stored.ranges == [
        available(11),
        acknowledged(12),
        StoredRange(13, 13, StoredState.ARCHIVED, 0),
        available(14, 15, 0),
        acknowledged(20, 21),
    ]
    assert machine.states[KEY].summary().delivery_complete_count == 4
    machine.apply(encode_key(SNAPSHOT, KEY), None, 2, NOW_MS)
    assert not machine.states


def test_an_update_without_a_snapshot_is_a_state() -> None:
    machine = ShareMachine(StateLimits())
    machine.apply(encode_key(UPDATE, KEY), encode_update(UpdateValue(0, 1, 4, (StateBatch(4, 4, 0, 1),))), 9, NOW_MS)
    image = machine.states[KEY].image()
    assert image.stored is not None and image.stored.ranges == [available(4)]
    assert machine.needed_from == 9


def test_a_range_that_only_has_bytes_of_tags_is_read_slowly_and_the_same() -> None:
    value = UpdateValue(0, 1, 4, (StateBatch(4, 5, 0, 1), StateBatch(6, 7, 2, 1)), 2)
    data = encode_update(value)
    # A tagged field of a later release behind the first batch.
    head = 2 + 4 + 4 + 8 + 1 + 19
    assert data[head] == 0
    assert decode_update(data[:head] + b"\x01\x05\x02ab" + data[head + 1 :]) == value


@pytest.mark.parametrize(
    ("first", "last", "state", "deliveries"), [(-1, 0, 0, 1), (5, 4, 0, 1), (0, 0, 1, 1), (0, 0, 3, 1), (0, 0, 0, -1)]
)
def test_batches_that_make_no_sense(first: int, last: int, state: int, deliveries: int) -> None:
    data = encode_update(UpdateValue(0, 0, 0, (StateBatch(first, last, state, deliveries),)))
    with pytest.raises(CorruptCoordinatorRecord):
        decode_update(data)


def test_types_and_versions_that_are_not_known() -> None:
    for number in (2, 15, EXTRAS + 1):
        with pytest.raises(UnknownRecordType):
            decode_key(encode_key(number, KEY))
    for decode in (decode_snapshot, decode_update, decode_extras):
        with pytest.raises(UnknownRecordVersion):
            decode(b"\0\1" + bytes(100))


@given(snapshots, updates, states(), st.data())
def test_values_that_are_cut_or_damaged_are_refused_or_read(
    snapshot: SnapshotValue, update: UpdateValue, state: Stored, data: st.DataObject
) -> None:
    for whole, decode in (
        (encode_snapshot(snapshot), decode_snapshot),
        (encode_update(update), decode_update),
        (encoded(state), decode_extras),
        (encode_key(SNAPSHOT, KEY), decode_key),
    ):
        with pytest.raises(FormatError):
            decode(whole[: data.draw(st.integers(0, len(whole) - 1))])
        with pytest.raises(FormatError):
            decode(whole + b"\0")
        damaged = bytearray(whole)
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        with suppress(FormatError):
            decode(bytes(damaged))


def test_a_count_beyond_the_bytes_costs_nothing() -> None:
    for head, decode in ((encode_update(UpdateValue(0, 0, 0, ())), decode_update), (b"\0\0\0\0\0\0", decode_extras)):
        with pytest.raises(CorruptCoordinatorRecord):
            decode(head[:-2] + b"\xff\xff\xff\xff\x0f" + b"\0")


def test_kafkas_and_our_records_stand_in_one_batch() -> None:
    batch = Batch(NOW_MS)
    state = ShareMachine(StateLimits()).state(KEY)
    batch.snapshot(KEY, state, stored(0, available(0, 9)))
    records = decode_batch(batch.build(), max_decompressed_bytes=1 << 20)
    assert [decode_key(record.key or b"")[0] for record in records] == [SNAPSHOT, EXTRAS]
