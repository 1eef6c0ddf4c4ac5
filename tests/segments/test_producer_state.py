"""Idempotent producers: a batch sent again is stored once, a gap is refused, also after a restart."""

import struct
from dataclasses import replace

import pytest
from crc32c import crc32c
from logserver_records.batch import BatchHeader, split
from logserver_segments.errors import (
    DuplicateSequence,
    InvalidTransactionState,
    OutOfOrderSequence,
    StaleProducerEpoch,
)
from logserver_segments.partition_log import Appended
from logserver_segments.producer_snapshot import SnapshotDamaged
from logserver_segments.producer_state import ProducerStates

from .support import NOW, SMALL, Box, batch, read_all, run, values

LAST = 2**31 - 1


def _send(box: Box, sequence: int, count: int = 1, *, producer: int = 7, epoch: int = 0) -> Appended:
    payload = batch(*[b"%d" % (sequence + n) for n in range(count)], producer=(producer, epoch, sequence))
    return box.log.append(payload, 0, NOW)


def test_a_batch_sent_again_is_stored_once_and_gets_its_first_answer() -> None:
    box = Box()
    first = _send(box, 0, 3)
    assert first == Appended(0, 2, -1, False)
    assert _send(box, 0, 3) == Appended(0, 2, -1, True)
    assert box.log.log_end_offset == 3


def test_the_last_five_batches_are_known() -> None:
    box = Box()
    for sequence in range(7):
        _send(box, sequence)
    for sequence in range(2, 7):
        assert _send(box, sequence) == Appended(sequence, sequence, -1, True)
    for sequence in (0, 1):
        with pytest.raises(DuplicateSequence, match=f"sequences {sequence} to {sequence} again"):
            _send(box, sequence)
    assert len(read_all(box.log)) == 7


def test_a_batch_that_compaction_took_from_between_two_others_is_known_to_have_been_there() -> None:
    states = ProducerStates(10)

    def header(sequence: int, count: int) -> BatchHeader:
        ((_, found),) = split(batch(*[b"x"] * count, producer=(7, 0, sequence)))
        return found

    for sequence, count, offset in ((0, 2, 0), (3, 3, 3)):
        states.update(header(sequence, count), offset)
    with pytest.raises(DuplicateSequence, match="sequences 2 to 2 again"):
        states.check(header(2, 1))
    # Of other bounds than what was stored.
    for sequence, count in ((1, 2), (2, 2)):
        with pytest.raises(OutOfOrderSequence):
            states.check(header(sequence, count))


def test_a_gap_is_refused_and_nothing_stored() -> None:
    box = Box()
    _send(box, 0, 3)
    with pytest.raises(OutOfOrderSequence, match="sequence 4 where 3 is next"):
        _send(box, 4)
    # Of other bounds than what was stored: neither a repetition nor the next.
    with pytest.raises(OutOfOrderSequence):
        _send(box, 1, 5)
    assert _send(box, 3).base_offset == 3


def test_sequences_wrap_behind_the_largest() -> None:
    box = Box()
    assert _send(box, LAST - 1, 4).base_offset == 0
    assert _send(box, LAST - 1, 4).duplicate
    with pytest.raises(OutOfOrderSequence, match="where 2 is next"):
        _send(box, 3)
    assert _send(box, 2).base_offset == 4
    box.reopen()
    assert _send(box, 2).duplicate
    box = Box()
    _send(box, LAST)
    assert _send(box, 0).base_offset == 1


def test_an_unknown_producer_may_begin_anywhere() -> None:
    box = Box()
    assert _send(box, 55).base_offset == 0
    with pytest.raises(OutOfOrderSequence):
        _send(box, 57)


def test_producers_do_not_mix() -> None:
    box = Box()
    _send(box, 0, producer=1)
    _send(box, 0, producer=2)
    _send(box, 1, producer=1)
    assert _send(box, 0, producer=2) == Appended(1, 1, -1, True)
    box.append(batch(b"without"))
    assert _send(box, 1, producer=2).base_offset == 4


def test_a_newer_epoch_takes_over_and_begins_at_zero() -> None:
    box = Box()
    _send(box, 0, 3, epoch=1)
    with pytest.raises(OutOfOrderSequence, match="began epoch 2 with sequence 3"):
        _send(box, 3, epoch=2)
    assert _send(box, 0, epoch=2).base_offset == 3
    with pytest.raises(StaleProducerEpoch, match="epoch 2 has taken over"):
        _send(box, 3, epoch=1)
    assert _send(box, 0, epoch=2).duplicate


def test_after_a_crash_the_last_five_are_known_again() -> None:
    box = Box(replace(SMALL, segment_bytes=1 << 20))
    for sequence in range(30):
        _send(box, sequence)
    for restart in (box.kill, box.crash):
        restart()
        for sequence in range(25, 30):
            assert _send(box, sequence) == Appended(sequence, sequence, -1, True)
        with pytest.raises(OutOfOrderSequence):
            _send(box, 31)
    assert _send(box, 30).base_offset == 30


def test_after_a_clean_stop_the_last_one_is_known() -> None:
    box = Box()
    for sequence in range(30):
        _send(box, sequence)
    box.reopen()
    assert _send(box, 29) == Appended(29, 29, -1, True)
    for sequence in (25, 28):
        with pytest.raises(DuplicateSequence):
            _send(box, sequence)
    assert _send(box, 30).base_offset == 30


def test_the_newest_snapshot_and_what_follows_tell_the_states() -> None:
    box = Box()
    for sequence in range(30):
        _send(box, sequence // 3, producer=sequence % 3)
    run(box.directory.checkpoint())
    _send(box, 100, producer=9)
    box.disk.reads.clear()
    box.kill()
    assert any(path.endswith(f"{30:020d}.snapshot") for path, _, _ in box.disk.reads)
    assert len(box.log.producers) == 4
    assert _send(box, 100, producer=9).duplicate


@pytest.mark.parametrize("damage", [b"", b"xx", b"\x00\x01" + bytes(8)])
def test_a_damaged_snapshot_is_passed_over_for_an_older_one(damage: bytes) -> None:
    box = Box()
    for sequence in range(30):
        _send(box, sequence)
    box.directory.close()
    newest = f"{box.log.directory}/{30:020d}.snapshot"
    box.disk.damage(newest, damage)
    box.open()
    assert newest.rpartition("/")[2] not in box.names
    # The one before was taken when the last segment began; it knows the last batch of then.
    for sequence in range(box.log.segments[-1].base_offset - 1, 30):
        assert _send(box, sequence).duplicate


def test_without_any_snapshot_the_log_tells_the_states() -> None:
    box = Box()
    for sequence in range(30):
        _send(box, sequence)
    box.directory.close()
    for name in box.names:
        if name.endswith(".snapshot"):
            box.disk.remove(f"{box.log.directory}/{name}")
    box.open()
    assert _send(box, 27).duplicate


def test_a_truncation_takes_back_what_it_had_caused() -> None:
    box = Box()
    for sequence in range(30):
        _send(box, sequence)
    box.log.truncate(20)
    with pytest.raises(OutOfOrderSequence):
        _send(box, 21)
    for sequence in range(15, 20):
        assert _send(box, sequence).duplicate
    assert _send(box, 20) == Appended(20, 20, -1, False)
    box.log.truncate(0)
    assert len(box.log.producers) == 0


def test_the_producer_not_seen_for_longest_goes_first() -> None:
    states = ProducerStates(3)
    for producer in (1, 2, 3, 1, 4):
        _update(states, producer)
    assert [producer for producer, _ in states.items()] == [3, 1, 4]
    again = ProducerStates(2)
    again.load_snapshot(states.to_snapshot())
    assert [producer for producer, _ in again.items()] == [1, 4]


def _update(states: ProducerStates, producer: int, *, offset: int = 0, sequence: int = 0, timestamp: int = NOW) -> None:
    (_, header), *_ = split(batch(b"a", b"b", timestamp=timestamp, producer=(producer, 3, sequence)))
    states.update(header, offset)


def test_the_limit_is_that_of_the_settings() -> None:
    box = Box(replace(SMALL, max_producers=2))
    for producer in (1, 2, 3):
        _send(box, 0, producer=producer)
    assert len(box.log.producers) == 2
    assert _send(box, 7, producer=1).base_offset == 3
    box.kill()
    assert len(box.log.producers) == 2


def test_snapshots_are_in_kafkas_format() -> None:
    states = ProducerStates(10)
    _update(states, 7, offset=40, sequence=10)
    _update(states, 7, offset=50, sequence=12)
    body = struct.pack(">i", 1) + struct.pack(">qhiqiqiq", 7, 3, 13, 51, 1, NOW, -1, -1)
    content = states.to_snapshot()
    assert content == struct.pack(">hI", 1, crc32c(body)) + body
    again = ProducerStates(10)
    again.load_snapshot(content)
    ((producer_id, producer),) = again.items()
    assert (producer_id, producer.epoch, list(producer.batches)) == (7, 3, [(12, 13, 50, 51, NOW)])
    assert again.to_snapshot() == content


def test_a_snapshot_of_a_producer_without_records_can_be_read() -> None:
    # As Kafka writes one that has sent nothing but a transaction marker.
    body = struct.pack(">i", 1) + struct.pack(">qhiqiqiq", 7, 3, -1, -1, 0, -1, 5, 99)
    content = struct.pack(">hI", 1, crc32c(body)) + body
    states = ProducerStates(10)
    states.load_snapshot(content)
    ((_, producer),) = states.items()
    assert (producer.coordinator_epoch, producer.transaction_first_offset, list(producer.batches)) == (5, 99, [])
    assert states.to_snapshot() == content
    for sequence, error in ((0, InvalidTransactionState), (12, OutOfOrderSequence)):
        (_, header), *_ = split(batch(b"a", producer=(7, 3, sequence)))
        with pytest.raises(error):
            states.check(header)


def test_a_damaged_snapshot_is_told_apart() -> None:
    states = ProducerStates(10)
    _update(states, 7)
    content = states.to_snapshot()
    for end in range(len(content)):
        with pytest.raises(SnapshotDamaged):
            ProducerStates(10).load_snapshot(content[:end])
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1
        with pytest.raises(SnapshotDamaged):
            ProducerStates(10).load_snapshot(bytes(damaged))


def test_values_are_stored_once_each_through_a_storm_of_retries_and_restarts() -> None:
    box = Box()
    for sequence in range(60):
        for _ in range(2):
            _send(box, sequence)
        if sequence % 7 == 0:
            (box.reopen if sequence % 2 else box.crash)()
            assert _send(box, sequence).duplicate
    assert values(read_all(box.log)) == [b"%d" % sequence for sequence in range(60)]
