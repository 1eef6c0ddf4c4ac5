"""Transactions in one log: who may write, what ends them, what readers of committed records see."""

from dataclasses import replace

import pytest
from logserver_records.batch import read_header
from logserver_records.codec import build_batch
from logserver_records.control import ControlType, EndTransactionMarker
from logserver_segments.errors import (
    CoordinatorFenced,
    InvalidTransactionState,
    OffsetOutOfRange,
    OutOfOrderSequence,
    StaleProducerEpoch,
)
from logserver_segments.partition_log import AbortedTransaction, ActiveProducer, Appended

from .support import NOW, SMALL, Box, DelayingCommitter, batch, read, records_in, values
from .transactional import ABORT, COMMIT, TransactionalProducer, aborted, read_committed, transactional


def _begin(box: Box, producer_id: int = 7, *, version: int = 1) -> TransactionalProducer:
    return TransactionalProducer(box.log, producer_id, version=version)


# Beginning: verification (KIP-890)


def test_a_batch_that_nobody_verified_begins_no_transaction() -> None:
    box = Box()
    with pytest.raises(InvalidTransactionState, match="producer 7 has no transaction of epoch 0 open"):
        box.log.append(transactional(b"a", producer=(7, 0, 0)), 0, NOW)
    verification = box.log.verify(7, 0, 0)
    assert verification is not None
    # What was verified is one producer's, and one epoch's.
    with pytest.raises(InvalidTransactionState):
        box.log.append(transactional(b"a", producer=(8, 0, 0)), 0, NOW, verification)
    with pytest.raises(InvalidTransactionState):
        box.log.append(transactional(b"a", producer=(7, 1, 0)), 0, NOW, verification)
    assert box.log.log_end_offset == 0
    box.log.append(transactional(b"a", producer=(7, 0, 0)), 0, NOW, verification)


def test_in_an_open_transaction_nothing_is_to_be_verified() -> None:
    box = Box()
    producer = _begin(box)
    producer.send(b"a")
    assert box.log.verify(7, 0) is None
    box.log.append(transactional(b"b", producer=(7, 0, 1)), 0, NOW)
    producer.commit()
    assert box.log.verify(7, 0) is not None


def test_one_verification_serves_all_batches_that_wait_for_it() -> None:
    box = Box()
    first, second = box.log.verify(7, 0, 0), box.log.verify(7, 0, 1)
    assert first is second
    with pytest.raises(OutOfOrderSequence, match="sequence 1 while 0 waits"):
        box.log.append(transactional(b"b", producer=(7, 0, 1)), 0, NOW, second)
    box.log.append(transactional(b"a", producer=(7, 0, 0)), 0, NOW, first)
    box.log.append(transactional(b"b", producer=(7, 0, 1)), 0, NOW, second)


@pytest.mark.parametrize("marker", [COMMIT, ABORT])
def test_a_marker_makes_what_is_being_verified_worthless(marker: EndTransactionMarker) -> None:
    box = Box()
    late = box.log.verify(7, 0, 0)
    box.log.append_marker(7, 0, marker, 0, NOW, 1)
    again = box.log.verify(7, 0, 0)
    assert again is not late
    with pytest.raises(InvalidTransactionState):
        box.log.append(transactional(b"a", producer=(7, 0, 0)), 0, NOW, late)
    box.log.append(transactional(b"a", producer=(7, 0, 0)), 0, NOW, again)


def test_a_newer_epoch_makes_what_is_being_verified_worthless() -> None:
    box = Box()
    older = box.log.verify(7, 0, 0)
    newer = box.log.verify(7, 1, 0)
    with pytest.raises(InvalidTransactionState):
        box.log.append(transactional(b"a", producer=(7, 0, 0)), 0, NOW, older)
    with pytest.raises(StaleProducerEpoch):
        box.log.verify(7, 0, 0)
    box.log.append(transactional(b"a", producer=(7, 1, 0)), 0, NOW, newer)
    with pytest.raises(StaleProducerEpoch):
        box.log.verify(7, 0, 0)


def test_an_unknown_producer_whose_epochs_rise_begins_at_zero() -> None:
    box = Box()
    verification = box.log.verify(7, 3, 5, supports_epoch_bump=True)
    with pytest.raises(OutOfOrderSequence, match="began with sequence 5, not 0"):
        box.log.append(transactional(b"a", producer=(7, 3, 5)), 0, NOW, verification)
    # Without that, whoever is not known may begin anywhere: retention may have removed what came before.
    verification = box.log.verify(8, 3, 5)
    box.log.append(transactional(b"a", producer=(8, 3, 5)), 0, NOW, verification)


def test_verifications_are_bounded_and_expire() -> None:
    box = Box(replace(SMALL, max_producers=2))
    first = box.log.verify(1, 0)
    for producer_id in (2, 3):
        box.log.verify(producer_id, 0)
    assert len(box.log.producers.verifications) == 2
    with pytest.raises(InvalidTransactionState):
        box.log.append(transactional(b"a", producer=(1, 0, 0)), 0, NOW, first)
    box.log.producers.expire(NOW, 1000)
    box.log.producers.expire(NOW + 1000, 1000)
    assert len(box.log.producers.verifications) == 2
    box.log.producers.expire(NOW + 1001, 1000)
    assert len(box.log.producers.verifications) == 0


# Inside


def test_a_plain_batch_does_not_come_in_between() -> None:
    box = Box()
    producer = _begin(box)
    producer.send(b"a")
    with pytest.raises(InvalidTransactionState, match="transaction open since offset 0"):
        box.log.append(batch(b"b", producer=(7, 0, 1)), 0, NOW)
    producer.commit()
    assert box.log.append(batch(b"b", producer=(7, 0, 1)), 0, NOW).base_offset == 2


def test_a_transactional_batch_sent_again_gets_its_first_answer() -> None:
    box = Box()
    producer = _begin(box)
    payload = transactional(b"a", b"b", producer=(7, 0, 0))
    assert producer.send(b"a", b"b") == Appended(0, 1, -1, False)
    assert box.log.append(payload, 0, NOW) == Appended(0, 1, -1, True)
    producer.commit()
    # Also behind the end, without beginning a transaction.
    assert box.log.append(payload, 0, NOW) == Appended(0, 1, -1, True)
    assert box.log.last_stable_offset == box.log.log_end_offset == 3


def test_sequences_go_on_behind_a_marker_of_the_same_epoch() -> None:
    box = Box()
    producer = _begin(box)
    producer.send(b"a", b"b")
    producer.commit()
    verification = box.log.verify(7, 0)
    with pytest.raises(OutOfOrderSequence):
        box.log.append(transactional(b"c", producer=(7, 0, 0)), 0, NOW, verification)
    box.log.append(transactional(b"c", producer=(7, 0, 2)), 0, NOW, verification)


def test_sequences_begin_anew_behind_a_marker_of_the_next_epoch() -> None:
    box = Box()
    producer = _begin(box, version=2)
    producer.send(b"a", b"b")
    producer.abort()
    with pytest.raises(StaleProducerEpoch):
        box.log.verify(7, 0)
    verification = box.log.verify(7, 1)
    with pytest.raises(StaleProducerEpoch):
        box.log.append(transactional(b"c", producer=(7, 0, 2)), 0, NOW, verification)
    with pytest.raises(OutOfOrderSequence):
        box.log.append(transactional(b"c", producer=(7, 1, 2)), 0, NOW, verification)
    box.log.append(transactional(b"c", producer=(7, 1, 0)), 0, NOW, verification)


# The server's own batches


def test_offsets_in_a_transaction_are_verified_and_fenced_too() -> None:
    box = Box()
    payload = transactional(b"offset", producer=(7, 1, -1))
    with pytest.raises(InvalidTransactionState):
        box.log.append_trusted(payload, 0, NOW)
    box.log.append_trusted(payload, 0, NOW, box.log.verify(7, 1))
    # Without sequences, they are no repetitions of each other.
    box.log.append_trusted(payload, 0, NOW)
    assert (box.log.log_end_offset, box.log.last_stable_offset) == (2, 0)
    with pytest.raises(StaleProducerEpoch):
        box.log.append_trusted(transactional(b"offset", producer=(7, 0, -1)), 0, NOW)
    for _ in range(2):
        assert box.log.active_producers() == [ActiveProducer(7, 1, -1, NOW, -1, 0)]
        box.reopen()
    box.log.append_marker(7, 1, ABORT, 0, NOW, 1)
    assert (box.log.last_stable_offset, aborted(box.log)) == (3, [AbortedTransaction(7, 0, 2, 3)])


# Ending


def test_a_marker_is_a_control_batch_of_the_producer() -> None:
    box = Box()
    producer = _begin(box)
    producer.send(b"a")
    marker = EndTransactionMarker(ControlType.COMMIT, 5)
    assert box.log.append_marker(7, 0, marker, 3, NOW + 9, 1) == Appended(1, 1, -1, False)
    header = read_header(bytes(read(box.log, 1).data))
    assert (header.is_control, header.is_transactional) == (True, True)
    assert (header.producer_id, header.producer_epoch, header.base_sequence, header.leader_epoch) == (7, 0, -1, 3)
    assert box.log.active_producers() == [ActiveProducer(7, 0, 0, NOW + 9, 5, -1)]


def test_a_marker_of_an_older_epoch_ends_nothing() -> None:
    box = Box()
    box.log.append(transactional(b"a", producer=(7, 2, 0)), 0, NOW, box.log.verify(7, 2))
    with pytest.raises(StaleProducerEpoch, match="epoch 2 has taken over"):
        box.log.append_marker(7, 1, COMMIT, 0, NOW, 1)
    # A newer one fences whoever wrote.
    box.log.append_marker(7, 3, ABORT, 0, NOW, 1)
    with pytest.raises(StaleProducerEpoch):
        box.log.append(transactional(b"b", producer=(7, 2, 1)), 0, NOW)


def test_from_version_2_on_a_marker_has_a_newer_epoch_unless_it_comes_again() -> None:
    box = Box()
    producer = _begin(box, version=2)
    producer.send(b"a")
    with pytest.raises(StaleProducerEpoch, match="not above epoch 0"):
        box.log.append_marker(7, 0, COMMIT, 0, NOW, 2)
    assert producer.commit().base_offset == 1
    assert box.log.append_marker(7, 1, COMMIT, 0, NOW, 2).base_offset == 2
    # Once the next transaction is open, it would end that one.
    producer.send(b"b")
    with pytest.raises(StaleProducerEpoch):
        box.log.append_marker(7, 1, COMMIT, 0, NOW, 2)
    # There is no epoch above the largest.
    box.log.append(transactional(b"a", producer=(8, 32767, 0)), 0, NOW, box.log.verify(8, 32767))
    box.log.append_marker(8, 32767, COMMIT, 0, NOW, 2)


def test_a_coordinator_that_was_replaced_ends_nothing() -> None:
    box = Box()
    producer = _begin(box)
    producer.send(b"a")
    producer.end(EndTransactionMarker(ControlType.ABORT, 4))
    producer.send(b"b")
    with pytest.raises(CoordinatorFenced, match="epoch 3, but one of epoch 4"):
        producer.end(EndTransactionMarker(ControlType.COMMIT, 3))
    producer.end(EndTransactionMarker(ControlType.COMMIT, 4))
    assert read_committed(box.log) == [(2, b"b")]


def test_a_marker_that_comes_again_changes_nothing() -> None:
    box = Box()
    producer = _begin(box)
    producer.send(b"a")
    for _ in range(3):
        producer.abort()
    assert aborted(box.log) == [AbortedTransaction(7, 0, 1, 2)]
    assert (box.log.last_stable_offset, box.log.log_end_offset) == (4, 4)


def test_a_marker_may_come_without_a_transaction() -> None:
    box = Box()
    box.log.append_marker(7, 3, ABORT, 0, NOW, 2)
    assert (box.log.last_stable_offset, aborted(box.log)) == (1, [])
    # But it fences.
    with pytest.raises(StaleProducerEpoch):
        box.log.verify(7, 2)


# The last stable offset


def test_the_last_stable_offset_stops_at_the_transaction_open_for_longest() -> None:
    box = Box()
    one, two = _begin(box, 1), _begin(box, 2)
    box.append(batch(b"plain"))
    assert box.log.last_stable_offset == 1
    one.send(b"a")
    two.send(b"b")
    box.append(batch(b"plain"))
    assert box.log.last_stable_offset == 1
    one.commit()
    assert box.log.last_stable_offset == 2
    one.send(b"c")
    two.abort()
    assert box.log.last_stable_offset == 5
    one.commit()
    assert box.log.last_stable_offset == box.log.log_end_offset == 8


def test_the_last_stable_offset_waits_for_the_marker_to_be_committed() -> None:
    box = Box(committer=DelayingCommitter)
    one, two = _begin(box, 1), _begin(box, 2)

    def commit_all() -> int:
        box.committer.finish(box.clock.monotonic)
        return box.log.last_stable_offset

    box.append(batch(b"plain"))
    assert box.log.last_stable_offset == 0
    one.send(b"a")
    assert commit_all() == 1
    two.send(b"b")
    two.commit()
    one.commit()
    # Ended both, the first to begin last.
    assert (box.log.last_stable_offset, box.log.committed_offset) == (1, 2)
    assert read_committed(box.log) == [(0, b"plain")]
    assert commit_all() == 5


def test_a_marker_is_not_committed_with_what_is_right_before_it() -> None:
    box = Box(committer=DelayingCommitter)
    producer = _begin(box)
    box.append(batch(b"plain"))
    producer.send(b"a")
    box.committer.begin_round(0)
    assert producer.commit().base_offset == 2
    box.committer.advance(300)
    assert (box.log.last_stable_offset, box.log.committed_offset) == (1, 2)
    box.committer.finish(300)
    assert box.log.last_stable_offset == 3


def test_a_cut_forgets_no_marker_that_is_not_committed() -> None:
    box = Box(committer=DelayingCommitter)
    one, two = _begin(box, 1), _begin(box, 2)
    box.append(batch(b"plain"))
    one.send(b"a")
    box.committer.finish(0)
    one.commit()
    two.send(b"b")
    two.commit()
    box.log.roll()
    box.append(batch(b"behind"))
    for offset in (5, 4, 3):
        # First what is cut is plain, then the marker of one of the two transactions, then its record.
        box.log.truncate(offset)
        assert (box.log.last_stable_offset, box.log.log_end_offset) == (1, offset)
    box.committer.finish(300)
    assert box.log.last_stable_offset == 3


def test_the_last_stable_offset_is_never_below_the_log_start() -> None:
    box = Box()
    producer = _begin(box)
    producer.send(b"a", b"b", b"c")
    box.append(batch(b"plain"))
    box.log.delete_records_before(1)
    assert box.log.last_stable_offset == 1
    box.log.delete_records_before(4)
    assert (box.log.last_stable_offset, read_committed(box.log)) == (4, [])
    assert box.log.active_producers()[-1].transaction_first_offset == 0
    producer.abort()
    assert aborted(box.log) == [AbortedTransaction(7, 0, 4, 5)]


def test_a_log_without_transactions_is_stable_as_far_as_it_is_committed() -> None:
    box = Box(committer=DelayingCommitter)
    box.fill(5)
    assert box.log.last_stable_offset == box.log.committed_offset == 0
    box.committer.finish(box.clock.monotonic)
    assert box.log.last_stable_offset == 5


# Reading


def test_a_reader_of_committed_records_stops_at_the_last_stable_offset() -> None:
    box = Box(replace(SMALL, segment_bytes=1 << 20))
    box.fill(40)
    producer = _begin(box)
    producer.send(b"a")
    box.fill(40, first=41)
    for offset in (0, 20, 39):
        found = read(box.log, offset, 1 << 20)
        assert found.next_offset == 81
        stable = box.log.read(offset, 1 << 20, True)
        assert isinstance(stable, tuple) and stable.next_offset == 40
    for offset in (40, 60, 81):
        assert box.log.read(offset, 100, True) == (b"", offset)
    with pytest.raises(OffsetOutOfRange):
        box.log.read(82, 100, True)
    producer.commit()
    assert [offset for offset, _ in read_committed(box.log)] == list(range(81))


def test_where_a_reader_stops_is_found_anew_behind_a_cut() -> None:
    box = Box(replace(SMALL, segment_bytes=1 << 20))
    for size in (1, 500):
        box.append(batch(b"x" * size))
        _begin(box, size).send(b"in")
        stable = box.log.read(0, 1 << 20, True)
        assert isinstance(stable, tuple) and values(records_in(stable.data)) == [b"x" * size]
        box.log.truncate(0)


@pytest.mark.parametrize("cold", ["", ".log", "index", "."])
def test_stopping_there_does_not_depend_on_what_is_in_memory(cold: str) -> None:
    box = Box(replace(SMALL, segment_bytes=3000))
    for number in range(4):
        box.fill(20, first=21 * number)
        _begin(box, number).send(b"in")
    box.fill(20)
    if cold:
        box.disk.cold = lambda path: cold in path
    open_since = [20, 41, 62, 83]
    for number, offset in enumerate(open_since):
        assert box.log.last_stable_offset == offset
        assert [known for known, _ in read_committed(box.log)][-1] == offset - 1
        TransactionalProducer(box.log, number).abort()
    assert [known for known, _ in read_committed(box.log)] == [n for n in range(104) if n not in open_since]


def test_a_transaction_s_records_are_seen_all_or_not_at_all() -> None:
    box = Box()
    one, two = _begin(box, 1), _begin(box, 2)
    for number in range(10):
        one.send(b"one %d" % number)
        two.send(b"two %d" % number)
    one.abort()
    assert read_committed(box.log) == []
    two.commit()
    assert [value for _, value in read_committed(box.log)] == [b"two %d" % number for number in range(10)]
    # The same from anywhere inside.
    for offset in range(box.log.log_end_offset):
        assert all(value is not None and value.startswith(b"two") for _, value in read_committed(box.log, offset))


def test_a_producer_s_next_transaction_is_not_taken_for_the_one_aborted_before() -> None:
    box = Box()
    producer = _begin(box)
    for number in range(6):
        producer.send(b"%d" % number)
        producer.end(COMMIT if number % 2 else ABORT)
    assert [value for _, value in read_committed(box.log, max_bytes=1 << 20)] == [b"1", b"3", b"5"]


def test_batches_may_get_their_time_and_codec_from_the_topic() -> None:
    box = Box(replace(SMALL, log_append_time=True))
    producer = _begin(box)
    payload = build_batch(
        [(1, None, b"a", ())], producer_id=7, producer_epoch=0, base_sequence=0, is_transactional=True
    )
    box.log.append(payload, 0, NOW, box.log.verify(7, 0))
    assert producer.commit(now=NOW + 5).append_time_ms == NOW + 5
    assert box.log.active_producers()[0].last_timestamp_ms == NOW + 5
