"""A log with transactions against a plain list, through everything that can happen to it."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from logserver_segments.errors import CoordinatorFenced, InvalidTransactionState, StaleProducerEpoch, StorageError

from .log_model import LogModel, ModelBatch, ModelRecord, encode
from .transactional import ABORT, COMMIT, aborted, read_committed

WRITERS = (21, 22, 23)
MARKER_VALUE = bytes(6)
"""Version 0, coordinator epoch 0."""


@dataclass
class ModelTransaction:
    """A transaction: its producer, its batches, its end."""

    producer_id: int
    batches: list[ModelBatch]
    end: ModelBatch | None = None

    @property
    def first(self) -> int:
        return self.batches[0].base

    @property
    def is_aborted(self) -> bool:
        return self.end is not None and self.end.marker == ABORT


class TransactionModel(LogModel):
    """Transactions are read off the list of batches, so all that loses or keeps batches keeps them right."""

    def transactions(self) -> list[ModelTransaction]:
        """All transactions with records, in the order of their first records."""
        found: list[ModelTransaction] = []
        now: dict[int, ModelTransaction] = {}
        for part in self.batches:
            if part.producer is None:
                continue
            producer_id = part.producer[0]
            if part.is_transactional and part.marker is None:
                if producer_id not in now:
                    now[producer_id] = ModelTransaction(producer_id, [])
                    found.append(now[producer_id])
                now[producer_id].batches.append(part)
            elif part.marker is not None and producer_id in now:
                now.pop(producer_id).end = part
        return found

    def _open_of(self, producer_id: int) -> ModelTransaction | None:
        found = [one for one in self.transactions() if one.producer_id == producer_id and one.end is None]
        return found[0] if found else None

    def _next_of(self, producer_id: int) -> tuple[int, int]:
        """Epoch and sequence of a writer's next batch."""
        epoch = sequence = 0
        known_from = -1
        for part in self.batches:
            if part.producer is not None and part.producer[0] == producer_id:
                if part.producer_epoch != epoch:
                    epoch, sequence = part.producer_epoch, 0
                if part.marker is None:
                    sequence = part.producer[1] + len(part.records)
                    known_from = part.base
        if sequence and known_from < self.start:
            # Its last batch was deleted, so perhaps nobody knows the sequence.
            return epoch + 1, 0
        return epoch, sequence

    # What must always hold

    @invariant()
    def nothing_undecided_is_stable(self) -> None:
        log = self.box.log
        self._note_committed()
        first_kept = max(self.start, log.segments[0].base_offset)
        lowest = highest = self.committed
        for one in self.transactions():
            if one.end is not None and one.end.base < self.committed:
                continue
            lowest = min(lowest, max(one.first, self.start))
            # Of what was deleted, perhaps nobody knows any more.
            kept = [part.base for part in one.batches if part.base >= first_kept]
            if one.first >= self.start:
                highest = min(highest, one.first)
            elif kept:
                highest = min(highest, kept[0])
        assert lowest <= log.last_stable_offset <= highest, (lowest, log.last_stable_offset, highest)

    @invariant()
    def open_transactions_are_known(self) -> None:
        known = {found.producer_id: found for found in self.box.log.active_producers()}
        for one in self.transactions():
            if one.end is None and one.first >= self.start:
                assert known[one.producer_id].transaction_first_offset == one.first
                assert known[one.producer_id].epoch == one.batches[-1].producer_epoch
        # Nobody else has one.
        opened = {one.producer_id for one in self.transactions() if one.end is None}
        assert {found.producer_id for found in known.values() if found.transaction_first_offset >= 0} <= opened

    # Writing

    @rule(producer_id=st.sampled_from(WRITERS), count=st.integers(1, 3), is_fenced=st.booleans())
    def append_in_a_transaction(self, producer_id: int, count: int, is_fenced: bool) -> None:
        epoch, sequence = self._next_of(producer_id)
        if is_fenced and self._open_of(producer_id) is None:
            epoch, sequence = epoch + 1, 0
        part = self._batch(self.end, [self.box.clock.now] * count, 5, (producer_id, sequence))
        part.is_transactional, part.producer_epoch = True, epoch
        log, now = self.box.log, self.box.clock.now
        verification = log.verify(producer_id, epoch, sequence)
        # If its records were deleted, perhaps nobody knows that it is open.
        one = self._open_of(producer_id)
        if one is None:
            assert verification is not None
            self._refused(InvalidTransactionState, lambda: log.append(encode(part), self.epoch, now))
        elif one.first >= self.start and one.batches[-1].producer_epoch == epoch:
            assert verification is None
        appended = log.append(encode(part), self.epoch, now, verification)
        assert (appended.base_offset, appended.duplicate) == (part.base, False)
        self.batches.append(part)
        again = log.append(encode(part), self.epoch, now)
        assert (again.base_offset, again.last_offset, again.duplicate) == (part.base, part.next - 1, True)

    @rule(producer_id=st.sampled_from(WRITERS), is_commit=st.booleans(), is_bumped=st.booleans())
    def end_a_transaction(self, producer_id: int, is_commit: bool, is_bumped: bool) -> None:
        epoch, _ = self._next_of(producer_id)
        self._end(producer_id, epoch + is_bumped, is_commit, 2 if is_bumped else 1)

    def _end(self, producer_id: int, epoch: int, is_commit: bool, version: int) -> None:
        now = self.box.clock.now
        marker = COMMIT if is_commit else ABORT
        record = ModelRecord(self.end, now, MARKER_VALUE)
        part = ModelBatch([record], (producer_id, -1), self.epoch, epoch, True, marker)
        appended = self.box.log.append_marker(producer_id, epoch, marker, self.epoch, now, version)
        assert (appended.base_offset, appended.last_offset) == (part.base, part.base)
        self.batches.append(part)

    @rule(producer_id=st.sampled_from(WRITERS), is_commit=st.booleans())
    def end_it_again(self, producer_id: int, is_commit: bool) -> None:
        last = self._last_of(producer_id)
        if last is not None and last.marker is not None:
            self._end(producer_id, last.producer_epoch, is_commit, 2)

    @rule(producer_id=st.sampled_from(WRITERS))
    def who_was_fenced_changes_nothing(self, producer_id: int) -> None:
        last = self._last_of(producer_id)
        if last is None or last.base < self.start or not last.producer_epoch:
            return
        log, now, epoch = self.box.log, self.box.clock.now, last.producer_epoch - 1
        part = self._batch(self.end, [now], 5, (producer_id, 0))
        part.is_transactional, part.producer_epoch = True, epoch
        self._refused(StaleProducerEpoch, lambda: log.verify(producer_id, epoch))
        self._refused(StaleProducerEpoch, lambda: log.append(encode(part), self.epoch, now))
        self._refused(StaleProducerEpoch, lambda: log.append_trusted(encode(part), self.epoch, now))
        self._refused(StaleProducerEpoch, lambda: log.append_marker(producer_id, epoch, ABORT, self.epoch, now, 1))

    @rule(producer_id=st.sampled_from(WRITERS))
    def what_does_not_fit_the_transaction_is_refused(self, producer_id: int) -> None:
        one = self._open_of(producer_id)
        if one is None or one.first < self.start:
            return
        log, now, last = self.box.log, self.box.clock.now, one.batches[-1]
        assert last.producer is not None
        plain = self._batch(self.end, [now], 5, (producer_id, last.producer[1] + len(last.records)))
        plain.producer_epoch = last.producer_epoch
        self._refused(InvalidTransactionState, lambda: log.append(encode(plain), self.epoch, now))
        # From version 2 on the marker has a newer epoch.
        self._refused(
            StaleProducerEpoch, lambda: log.append_marker(producer_id, last.producer_epoch, ABORT, self.epoch, now, 2)
        )
        older = ABORT._replace(coordinator_epoch=-2)
        self._refused(
            CoordinatorFenced, lambda: log.append_marker(producer_id, last.producer_epoch, older, self.epoch, now, 1)
        )

    def _refused(self, error: type[StorageError], use: object) -> None:
        assert callable(use)
        end = self.box.log.log_end_offset
        try:
            use()
        except error:
            assert self.box.log.log_end_offset == end
            return
        raise AssertionError(f"no {error.__name__}")

    # Reading

    @rule(share=st.floats(0, 1), max_bytes=st.integers(0, 600))
    def read_committed_records(self, share: float, max_bytes: int) -> None:
        log = self.box.log
        stable = log.last_stable_offset
        offset = self.start + round(share * (stable - self.start))
        hidden = {
            record for one in self.transactions() if one.is_aborted for part in one.batches for record in part.records
        }
        expected = [
            (record.offset, record.value)
            for record in self.visible_data()
            if offset <= record.offset < stable and record not in hidden
        ]
        assert read_committed(log, offset, max_bytes) == expected

    @rule(share=st.floats(0, 1), length=st.integers(1, 30))
    def aborted_transactions(self, share: float, length: int) -> None:
        log = self.box.log
        stable = log.last_stable_offset
        start = self.start + round(share * (stable - self.start))
        end = min(start + length, stable)
        if start >= end:
            return
        all_of_them = self.transactions()
        overlapping = {
            one.end.base: one
            for one in all_of_them
            if one.is_aborted and one.end is not None and one.end.base >= start and one.first < end
        }
        found = aborted(log, start, end)
        assert [one.last_offset for one in found] == sorted(one.last_offset for one in found)
        whole = {offset for offset, one in overlapping.items() if one.first >= self.start}
        assert {one.last_offset for one in found} >= whole
        for one in found:
            expected = overlapping[one.last_offset]
            assert one.producer_id == expected.producer_id and one.first_offset >= expected.first
            if expected.first >= self.start:
                assert one.first_offset == expected.first
            # What is decided by the index's word was decided.
            for other in all_of_them:
                if other.first < one.last_offset and (other.end is None or other.end.base > one.last_offset):
                    assert other.first >= one.last_stable_offset or other.first < self.start
