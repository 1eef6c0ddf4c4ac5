"""A log against a plain list, through everything that can happen to it: the rules of the stateful tests."""

import errno
from dataclasses import dataclass, replace
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from logserver_records.codec import build_batch
from logserver_records.control import EndTransactionMarker, build_marker
from logserver_segments.committer import FLUSH_FAILED
from logserver_segments.errors import DiskFull, LogOffline, OffsetOutOfRange, StorageError

from .fake_disk import PowerCut
from .support import NOW, PATH, SMALL, Box, DelayingCommitter, NotingCommitter, batch, read, records_in, run

PRODUCERS = (1, 2)
RETENTION_MS = 10_000


class ModelRecord(NamedTuple):
    offset: int
    timestamp: int
    value: bytes


@dataclass
class ModelBatch:
    """One appended batch. `producer` is (producer id, base sequence) or None; `epoch` is the leader's."""

    records: list[ModelRecord]
    producer: tuple[int, int] | None
    epoch: int
    producer_epoch: int = 0
    is_transactional: bool = False
    # What it is, if it is a control batch; its base sequence is -1.
    marker: EndTransactionMarker | None = None

    @property
    def base(self) -> int:
        return self.records[0].offset

    @property
    def next(self) -> int:
        return self.records[-1].offset + 1


class LogModel(RuleBasedStateMachine):
    """What a log must do. `batches` is all that was appended and not truncated, whether deleted since or not."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[ModelBatch] = []
        self.start = 0
        # No crash may bring the log start below this.
        self.persisted_start = 0
        self.committed = 0
        # Less than what is committed only where `flush.messages` lets flushing wait.
        self.durable = 0
        self.count = 0
        # Every unclean start raises it.
        self.epoch = 0
        self.highest_start = 0
        self.box: Box

    @initialize(
        delayed=st.booleans(),
        flush_messages=st.sampled_from([1, 1, 5]),
        pool=st.sampled_from([1, 2, 100]),
        retention_bytes=st.sampled_from([-1, 2500]),
        cold=st.sampled_from(["", ".log", "index", "."]),
    )
    def begin(self, delayed: bool, flush_messages: int, pool: int, retention_bytes: int, cold: str) -> None:
        config = replace(
            SMALL,
            retention_bytes=retention_bytes,
            retention_ms=RETENTION_MS,
            segment_ms=7_000,
            flush_messages=flush_messages,
            flush_ms=1_000,
        )
        self.relaxed = flush_messages > 1
        self.box = Box(
            config,
            committer=DelayingCommitter if delayed and not self.relaxed else NotingCommitter,
            open_files=pool,
            mapped_files=pool,
        )
        if cold:
            self.box.disk.cold = lambda path: cold in path

    # What must always hold

    @property
    def end(self) -> int:
        return self.batches[-1].next if self.batches else 0

    @invariant()
    def offsets(self) -> None:
        log = self.box.log
        log.check_invariant()
        self._note_committed()
        assert (log.log_start_offset, log.committed_offset, log.log_end_offset) == (
            self.start,
            self.committed,
            self.end,
        )
        if self.box.listener.committed:
            assert self.box.listener.committed[-1] <= self.committed

    @invariant()
    def epochs(self) -> None:
        self.highest_start = max(self.highest_start, self.start)
        begins: dict[int, int] = {}
        for part in self.batches:
            begins.setdefault(part.epoch, part.base)
        for epoch, begin in begins.items():
            if begin > self.highest_start:
                ends = min((other for later, other in begins.items() if later > epoch), default=self.end)
                assert self.box.log.end_of_epoch(epoch) == (epoch, ends)

    def visible(self) -> list[ModelRecord]:
        return [
            record for part in self.batches for record in part.records if self.start <= record.offset < self.committed
        ]

    def visible_data(self) -> list[ModelRecord]:
        """Without control records."""
        return [
            record
            for part in self.batches
            if part.marker is None
            for record in part.records
            if self.start <= record.offset < self.committed
        ]

    # Appending

    @rule(sizes=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 50)), min_size=1, max_size=3), data=st.data())
    def append(self, sizes: list[tuple[int, int]], data: st.DataObject) -> None:
        made = []
        offset = self.end
        for count, size in sizes:
            times = [self.box.clock.now + data.draw(st.integers(-3, 3)) for _ in range(count)]
            made.append(self._batch(offset, times, size))
            offset = made[-1].next
        payload = b"".join(encode(part) for part in made)
        appended = self.box.log.append(payload, self.epoch, self.box.clock.now)
        assert (appended.base_offset, appended.last_offset, appended.duplicate) == (self.end, offset - 1, False)
        self.batches += made

    def _batch(self, offset: int, times: list[int], size: int, producer: tuple[int, int] | None = None) -> ModelBatch:
        records = []
        for number, time in enumerate(times):
            self.count += 1
            records.append(ModelRecord(offset + number, time, b"%d" % self.count + b"." * size))
        return ModelBatch(records, producer, self.epoch)

    @rule(producer_id=st.sampled_from(PRODUCERS), count=st.integers(1, 3))
    def append_idempotent(self, producer_id: int, count: int) -> None:
        known = self._last_of(producer_id)
        sequence = known.producer[1] + len(known.records) if known is not None and known.producer is not None else 0
        part = self._batch(self.end, [self.box.clock.now] * count, 5, (producer_id, sequence))
        appended = self.box.log.append(encode(part), self.epoch, self.box.clock.now)
        assert (appended.base_offset, appended.duplicate) == (part.base, False)
        self.batches.append(part)

    def _last_of(self, producer_id: int) -> ModelBatch | None:
        found = [part for part in self.batches if part.producer is not None and part.producer[0] == producer_id]
        return found[-1] if found else None

    @rule(producer_id=st.sampled_from(PRODUCERS))
    def append_again(self, producer_id: int) -> None:
        part = self._last_of(producer_id)
        # Below the log start a producer may be forgotten.
        if part is None or part.base < self.start:
            return
        appended = self.box.log.append(encode(part), self.epoch, self.box.clock.now)
        assert (appended.base_offset, appended.last_offset, appended.duplicate) == (part.base, part.next - 1, True)

    @rule(producer_id=st.sampled_from(PRODUCERS))
    def leave_a_gap(self, producer_id: int) -> None:
        known = self._last_of(producer_id)
        if known is None or known.producer is None or known.base < self.start:
            return
        part = self._batch(self.end, [NOW], 5, (producer_id, known.producer[1] + len(known.records) + 1))
        try:
            self.box.log.append(encode(part), self.epoch, self.box.clock.now)
        except StorageError:
            return
        raise AssertionError("a gap in sequences was stored")

    @rule(room=st.integers(0, 300))
    def append_to_a_full_disk(self, room: int) -> None:
        disk = self.box.disk
        disk.capacity = sum(len(inode.data) for _, inode in disk.files()) + room
        try:
            part = self._batch(self.end, [self.box.clock.now], 100)
            try:
                self.box.log.append(encode(part), self.epoch, self.box.clock.now)
            except DiskFull:
                pass
            else:
                self.batches.append(part)
            self.box.log.check_invariant()
            self._note_committed()
            self.read_everything()
        finally:
            disk.capacity = None

    # Becoming durable

    @rule(ms=st.integers(50, 400))
    def time_passes(self, ms: int) -> None:
        self.box.clock.advance(ms)
        if isinstance(self.box.committer, DelayingCommitter):
            self.box.committer.advance(self.box.clock.monotonic)
            self.box.committer.begin_round(self.box.clock.monotonic)
            self._note_committed()
        self.box.directory.tick()

    @rule()
    def much_time_passes(self) -> None:
        self.box.clock.advance(3_000)

    def _note_committed(self) -> None:
        if isinstance(self.box.committer, NotingCommitter):
            self.committed = self.end
            self.durable = max(self.durable, self.box.committer.durable) if self.relaxed else self.end
            return
        listener = self.box.listener.committed
        assert listener == sorted(set(listener))
        if listener and listener[-1] > self.committed:
            self.committed = self.durable = listener[-1]
            assert any(part.next == self.committed for part in self.batches)

    @rule()
    def checkpoint(self) -> None:
        run(self.box.directory.checkpoint())
        self.persisted_start = self.start
        self.durable = self.end

    # Reading

    @rule(share=st.floats(0, 1), max_bytes=st.integers(0, 600))
    def read_somewhere(self, share: float, max_bytes: int) -> None:
        offset = self.start + round(share * (self.end - self.start))
        found = read(self.box.log, offset, max_bytes)
        if offset >= self.committed:
            assert (len(found.data), found.next_offset) == (0, offset)
            return
        first = next(part for part in self.batches if part.next > offset)
        expected = [record for part in self.batches if part.base >= first.base for record in part.records]
        got = [
            ModelRecord(record.offset, record.timestamp_ms, record.value or b"") for record in records_in(found.data)
        ]
        assert got == expected[: len(got)] and got[-1].offset < self.committed
        assert found.next_offset == got[-1].offset + 1
        assert any(part.next == found.next_offset for part in self.batches)
        assert len(found.data) <= max(max_bytes, len(encode(first)))

    @rule()
    def read_everything(self) -> None:
        log = self.box.log
        got = []
        offset = self.start
        while offset < self.committed:
            part = read(log, offset, 250)
            assert part.next_offset > offset
            got += [
                ModelRecord(found.offset, found.timestamp_ms, found.value or b"") for found in records_in(part.data)
            ]
            offset = part.next_offset
        assert [record for record in got if record.offset >= self.start] == self.visible()

    @rule()
    def read_out_of_range(self) -> None:
        for offset in (self.start - 1, self.end + 1):
            try:
                read(self.box.log, offset)
            except OffsetOutOfRange:
                continue
            raise AssertionError(f"offset {offset} could be read")

    @rule(ago=st.integers(-5, 20_000))
    def look_up(self, ago: int) -> None:
        timestamp = self.box.clock.now - ago
        found = run(self.box.log.offset_for_timestamp(timestamp))
        expected = next((record for record in self.visible_data() if record.timestamp >= timestamp), None)
        assert (found and tuple(found)) == (expected and (expected.offset, expected.timestamp))

    @rule()
    def look_up_largest(self) -> None:
        found = run(self.box.log.offset_of_max_timestamp())
        expected = max(self.visible_data(), key=lambda record: (record.timestamp, -record.offset), default=None)
        assert (found and tuple(found)) == (expected and (expected.offset, expected.timestamp))

    # Giving space back

    @rule()
    def retain(self) -> None:
        log = self.box.log
        log.apply_retention(self.box.clock.now)
        assert self.start <= log.log_start_offset <= self.committed
        kept = [record for record in self.visible() if record.offset >= log.log_start_offset]
        self.start = log.log_start_offset
        gone = log.segments[0]
        if kept and len(log.segments) > 1 and log.offset_behind(gone) <= self.committed:
            # Nothing stays that should have gone.
            latest = max(
                record.timestamp
                for part in self.batches
                for record in part.records
                if gone.base_offset <= record.offset < log.offset_behind(gone)
            )
            assert self.box.clock.now - latest <= RETENTION_MS

    @rule(share=st.floats(0, 1))
    def delete_records(self, share: float) -> None:
        offset = round(share * self.committed)
        self.box.log.delete_records_before(offset)
        self.start = max(self.start, offset)

    @rule()
    def roll(self) -> None:
        self.box.log.roll()

    @rule(share=st.floats(0.3, 1))
    def truncate(self, share: float) -> None:
        offset = round(share * self.end)
        log = self.box.log
        if offset < log.segments[0].base_offset:
            return
        log.truncate(offset)
        self.batches = [part for part in self.batches if part.next <= offset]
        self._shorten()
        self.box.listener.committed.clear()

    def _shorten(self) -> None:
        self.start = min(self.start, self.end)
        self.persisted_start = min(self.persisted_start, self.end)
        self.highest_start = min(self.highest_start, self.end)
        self.committed = min(self.committed, self.end)
        self.durable = min(self.durable, self.end)
        if isinstance(self.box.committer, NotingCommitter):
            self.box.committer.durable = self.durable

    # Ends and new beginnings

    def _finish(self) -> None:
        if isinstance(self.box.committer, DelayingCommitter):
            self.box.committer.finish(self.box.clock.monotonic)
            self._note_committed()
            assert self.committed == self.end

    @rule()
    def stop_and_start(self) -> None:
        self._finish()
        # Once a flush has failed the next start looks at everything.
        has_failed = self.box.disk.exists(f"{PATH}/{FLUSH_FAILED}")
        self.box.directory.close()
        self.box.log_reads()
        self.box.open()
        assert self.box.directory.was_clean != has_failed
        assert has_failed or self.box.log_reads() == []
        self.persisted_start = self.start
        self.durable = self.end

    @rule()
    def kill(self) -> None:
        self.box.kill()
        self._after_an_unclean_end(lost_nothing=True)

    @rule(seed=st.integers(0, 2**32))
    def crash(self, seed: int) -> None:
        self.box.crash(seed)
        self._after_an_unclean_end(lost_nothing=False)

    def _after_an_unclean_end(self, *, lost_nothing: bool) -> None:
        log = self.box.log
        self.epoch += 1
        assert not self.box.directory.was_clean
        assert self.persisted_start <= log.log_start_offset <= self.start, (self.persisted_start, self.start)
        assert self.durable <= log.log_end_offset <= self.end, (self.durable, log.log_end_offset, self.end)
        assert not lost_nothing or log.log_end_offset == self.end
        self.batches = [part for part in self.batches if part.next <= log.log_end_offset]
        self.start = log.log_start_offset
        # What is there after the crash counts as durable from now on.
        self.committed = self.durable = self.end
        self.read_everything()

    @rule(
        action=st.sampled_from(["append", "checkpoint", "stop", "retain", "roll", "truncate", "start"]),
        operations=st.integers(0, 25),
        killed=st.booleans(),
        seed=st.integers(0, 2**32),
    )
    def power_goes_in_the_middle(self, action: str, operations: int, killed: bool, seed: int) -> None:
        box, log = self.box, self.box.log
        part = self._batch(self.end, [box.clock.now] * 2, 30)
        if action == "stop":
            self._finish()
        keep_to = self.durable
        cut_at = max(self.end // 2, log.segments[0].base_offset)
        if action == "truncate":
            keep_to = min(keep_to, max((part.next for part in self.batches if part.next <= cut_at), default=0))
        box.disk.operations_left = operations
        try:
            if action == "append":
                self.batches.append(part)
                log.append(encode(part), self.epoch, box.clock.now)
                # Acknowledged, where the committer flushes at once.
                self._note_committed()
                keep_to = self.durable
            elif action == "checkpoint":
                run(box.directory.checkpoint())
            elif action == "stop":
                box.directory.close()
            elif action == "retain":
                log.apply_retention(box.clock.now)
            elif action == "roll":
                log.roll()
            elif action == "truncate":
                log.truncate(cut_at)
            else:
                box.disk.kill()
                box.disk.operations_left = operations
                box.open()
        except PowerCut:
            pass
        if action == "truncate":
            self.persisted_start = min(self.persisted_start, keep_to)
            self.start = min(self.start, self.end)
        if action == "retain":
            self.start = self.committed
            # Perhaps the segments come back; the epochs that ended in them do not.
            self.highest_start = max(self.highest_start, log.log_start_offset)
        box.disk.operations_left = None
        self.committed = self.durable = keep_to
        if killed:
            box.kill()
        else:
            box.crash(seed)
        if box.directory.was_clean:
            assert action == "stop"
            assert box.log.log_end_offset == self.end and box.log.log_start_offset == self.start
            self.persisted_start = self.start
            self.committed = self.durable = self.end
        else:
            self._after_an_unclean_end(lost_nothing=killed and action not in ("append", "truncate"))

    @rule()
    def resign_and_lead(self) -> None:
        self.box.directory.close_log("topic", 0)
        self.box.open_log()
        self.committed = self.durable = self.end

    @precondition(lambda self: isinstance(self.box.committer, DelayingCommitter))
    @rule()
    def a_flush_fails(self) -> None:
        if self.committed == self.end:
            return
        fault = self.box.disk.fail("sync", "*.log", errno.EIO, times=None)
        self.box.committer.finish(self.box.clock.monotonic)
        self.box.disk.faults.remove(fault)
        self._note_committed()
        log = self.box.log
        assert log.offline is not None and len(self.box.listener.losses) == 1
        assert log.committed_offset == self.committed
        for use in (lambda: log.read(self.start, 1), lambda: log.append(batch(b""), 0, NOW)):
            try:
                use()
            except LogOffline:
                continue
            raise AssertionError("a lost log can be used")
        self.box.directory.close_log("topic", 0)
        self.box.open_log()
        self.batches = [part for part in self.batches if part.next <= self.committed]
        self._shorten()
        self.read_everything()


def encode(part: ModelBatch) -> bytes:
    """The record batch as a client sends it, or the log makes it."""
    producer_id, sequence = part.producer if part.producer is not None else (-1, -1)
    if part.marker is not None:
        return build_marker(
            part.marker,
            timestamp_ms=part.records[0].timestamp,
            producer_id=producer_id,
            producer_epoch=part.producer_epoch,
        )
    return build_batch(
        [(record.timestamp, None, record.value, ()) for record in part.records],
        producer_id=producer_id,
        producer_epoch=part.producer_epoch if part.producer is not None else -1,
        base_sequence=sequence,
        is_transactional=part.is_transactional,
    )
