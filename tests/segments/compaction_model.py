"""A compacted log against a list of all that was ever appended: the rules of the stateful test."""

import contextlib
from dataclasses import replace
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from logserver_records.codec import Record, build_batch
from logserver_segments.compaction.config import CleanerConfig
from logserver_segments.compaction.key_map import SLOT_BYTES
from logserver_segments.seams import WorkerDied

from .fake_disk import FakeDisk, PowerCut
from .support import SMALL, Box, MortalWorkers, NotingCommitter, read, run
from .transactional import ABORT, COMMIT, TransactionalProducer, aborted, committed_records

DELETE_RETENTION_MS = 5_000
KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
VALUES = st.one_of(st.none(), st.binary(min_size=0, max_size=60))


PRODUCERS = (11, 12, 13)


class Appended(NamedTuple):
    offset: int
    timestamp: int
    key: bytes
    value: bytes | None


class Open(NamedTuple):
    """A transaction that is open: its producer's epoch, and its records."""

    epoch: int
    records: list[Appended]


class Reader:
    """Somebody who reads committed records from the log start on, slowly, and keeps the last value of each key."""

    def __init__(self, offset: int, began_ms: int) -> None:
        self.offset = offset
        self.began_ms = began_ms
        self.last: dict[bytes, Appended] = {}

    def take(self, record: Appended) -> None:
        known = self.last.get(record.key)
        assert known is None or known.offset < record.offset, (known, record)
        self.last[record.key] = record


class CompactionModel(RuleBasedStateMachine):
    """Whoever reads it all ends with the same value for each key as whoever had read everything ever appended.

    `appended` has what is decided and not aborted; who reads committed records only must not meet anything else.
    """

    def __init__(self) -> None:
        super().__init__()
        config = replace(SMALL, compact=True, delete=False, segment_bytes=600, delete_retention_ms=DELETE_RETENTION_MS)
        disk = FakeDisk()
        self.workers = MortalWorkers(disk)
        self.box = Box(
            config,
            disk=disk,
            workers=self.workers,
            committer=NotingCommitter,
            open_files=2,
            mapped_files=1,
            # Of four keys the map takes three.
            cleaner_limits=CleanerConfig(dedupe_buffer_bytes=5 * SLOT_BYTES, dedupe_load_factor=0.6),
        )
        self.readers: list[Reader] = []
        self.appended: list[Appended] = []
        self.sequence = 0
        self.start = 0
        self.end = 0
        self.open: dict[int, Open] = {}
        # Where each producer's last batch in a transaction is.
        self.last: dict[int, int] = {}
        self.writers = {producer_id: TransactionalProducer(self.box.log, producer_id) for producer_id in PRODUCERS}

    @property
    def stable(self) -> int:
        first = min((found.records[0].offset for found in self.open.values()), default=self.end)
        return max(first, self.start)

    @invariant()
    def nothing_but_what_a_reader_needs_goes(self) -> None:
        log = self.box.log
        log.check_invariant()
        assert (log.log_end_offset, log.log_start_offset) == (self.end, self.start)
        assert log.last_stable_offset >= self.stable
        # Of a transaction whose first records were deleted, a crash may leave nobody who knows.
        if all(found.records[0].offset >= self.start for found in self.open.values()):
            assert log.last_stable_offset == self.stable
        visible = self._visible()
        decided = [record for record in self.appended if record.offset < log.last_stable_offset]
        assert visible == [record for record in decided if record in set(visible)]
        latest = {record.key: record for record in decided}
        kept = {record.key: record for record in visible}
        for key, record in latest.items():
            if record.offset < self.start:
                continue
            if record.value is not None or record.timestamp >= self.box.clock.now - DELETE_RETENTION_MS:
                assert kept.get(key) == record, (key, record)
            else:
                # A tombstone that is old enough may go, and takes all of the key with it.
                assert kept.get(key) in (record, None), (key, record, kept[key])
        active = max(log.segments[-1].base_offset, self.start)
        assert [r for r in visible if r.offset >= active] == [r for r in decided if r.offset >= active]
        for transaction in self.open.values():
            # What is open is not touched.
            kept_open = [record for record in transaction.records if record.offset >= self.start]
            assert [record for record in self._everything() if record in set(kept_open)] == kept_open

    def _visible(self) -> list[Appended]:
        """What a reader of committed records sees, from the log start on."""
        found = []
        offset = self.start
        while offset < self.box.log.last_stable_offset:
            part, offset = self._read_committed(offset)
            found += part
        return found

    def _read_committed(self, offset: int) -> tuple[list[Appended], int]:
        part = self.box.log.read(offset, 200, True)
        part = part if isinstance(part, tuple) else run(part)
        assert part.next_offset > offset
        transactions = aborted(self.box.log, offset, part.next_offset)
        records = committed_records(bytes(part.data), offset, transactions)
        return [_appended(record) for record in records], part.next_offset

    def _everything(self) -> list[Appended]:
        """All records but control records."""
        found = []
        offset = self.start
        while offset < self.box.log.committed_offset:
            part = read(self.box.log, offset, 200)
            found += [_appended(record) for record in committed_records(bytes(part.data), offset, [])]
            offset = part.next_offset
        return found

    @rule(pairs=st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=4), is_idempotent=st.booleans())
    def append(self, pairs: list[tuple[bytes, bytes | None]], is_idempotent: bool) -> None:
        now = self.box.clock.now
        producer = (7, 0, self.sequence) if is_idempotent else (-1, -1, -1)
        payload = build_batch(
            [(now, key, value, ()) for key, value in pairs],
            producer_id=producer[0],
            producer_epoch=producer[1],
            base_sequence=producer[2],
        )
        base = self.end
        for _ in range(2 if is_idempotent else 1):
            # Sent again, it is known, however much of it has been compacted away by then.
            found = self.box.log.append(payload, 0, now)
            assert (found.base_offset, found.last_offset) == (base, base + len(pairs) - 1)
        if is_idempotent:
            self.sequence += len(pairs)
        self.appended += [Appended(base + n, now, key, value) for n, (key, value) in enumerate(pairs)]
        self.end += len(pairs)

    @rule(producer_id=st.sampled_from(PRODUCERS), pairs=st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=3))
    def append_in_a_transaction(self, producer_id: int, pairs: list[tuple[bytes, bytes | None]]) -> None:
        writer, now = self.writers[producer_id], self.box.clock.now
        if writer.sequence and self.last.get(producer_id, 0) < self.start:
            # Its last batch was deleted, so perhaps nobody knows the sequence.
            writer.epoch, writer.sequence = writer.epoch + 1, 0
        payload = build_batch(
            [(now, key, value, ()) for key, value in pairs],
            producer_id=producer_id,
            producer_epoch=writer.epoch,
            base_sequence=writer.sequence,
            is_transactional=True,
        )
        writer.log = self.box.log
        base = self.end
        assert writer.send_payload(payload, len(pairs)).base_offset == base
        self.last[producer_id] = base
        transaction = self.open.setdefault(producer_id, Open(writer.epoch, []))
        transaction.records.extend(Appended(base + n, now, key, value) for n, (key, value) in enumerate(pairs))
        self.end += len(pairs)

    @rule(producer_id=st.sampled_from(PRODUCERS), is_commit=st.booleans(), is_bumped=st.booleans())
    def end_a_transaction(self, producer_id: int, is_commit: bool, is_bumped: bool) -> None:
        writer = self.writers[producer_id]
        writer.log = self.box.log
        writer.version = 2 if is_bumped else 1
        appended = writer.end(COMMIT if is_commit else ABORT, now=self.box.clock.now)
        assert appended.base_offset == self.end
        self.end += 1
        transaction = self.open.pop(producer_id, None)
        if transaction is not None and is_commit:
            self.appended = sorted(self.appended + transaction.records)

    @rule(ms=st.integers(0, 6_000))
    def time_passes(self, ms: int) -> None:
        self.box.clock.advance(ms)

    @rule()
    def begin_to_read(self) -> None:
        self.readers.append(Reader(self.start, self.box.clock.now))

    @precondition(lambda self: self.readers)
    @rule(number=st.integers(0, 9), parts=st.integers(1, 9))
    def read_on(self, number: int, parts: int) -> None:
        reader = self.readers[number % len(self.readers)]
        if reader.offset < self.start:
            # What comes next for it was deleted.
            self.readers.remove(reader)
            return
        stable = self.box.log.last_stable_offset
        for _ in range(parts):
            if reader.offset >= stable:
                break
            records, reader.offset = self._read_committed(reader.offset)
            for record in records:
                reader.take(record)
        if reader.offset >= stable:
            self.readers.remove(reader)
            self._check_what_was_read(reader, stable)

    def _check_what_was_read(self, reader: Reader, stable: int) -> None:
        """Who comes to the end in time has the last values: of what was deleted it has seen that it was."""
        if self.box.clock.now - reader.began_ms >= DELETE_RETENTION_MS:
            return
        for key, record in {record.key: record for record in self.appended if record.offset < stable}.items():
            if record.offset < self.start:
                continue
            found = reader.last.get(key)
            assert found == record or (found is None and record.value is None), (key, record, found)

    @rule()
    def compact(self) -> None:
        run(self.box.clean(limits=CleanerConfig()))

    @rule()
    def compact_as_far_as_the_map_reaches(self) -> None:
        run(self.box.clean())

    @rule(operations=st.integers(0, 60))
    def the_worker_dies_while_compacting(self, operations: int) -> None:
        self.workers.operations_left = operations
        # What the disk has refused to remove is the next start's business.
        before = set(self.box.names)
        with contextlib.suppress(WorkerDied):
            run(self.box.clean())
        self.workers.operations_left = None
        new = set(self.box.names) - before
        assert not any(name.endswith((".cleaned", ".swap", ".replaces", ".tmp")) for name in new)

    @rule()
    def compact_if_worth_it(self) -> None:
        run(self.box.directory.compact())

    @rule()
    def roll(self) -> None:
        self.box.log.roll()

    @rule()
    def checkpoint(self) -> None:
        run(self.box.directory.checkpoint())

    @rule(share=st.floats(0, 1))
    def delete_records(self, share: float) -> None:
        offset = round(share * self.end)
        self.box.log.delete_records_before(offset)
        run(self.box.directory.persist_start_offsets())
        self.box.log.apply_retention(self.box.clock.now)
        self.start = max(self.start, offset)

    @rule(ago=st.integers(-1, 20_000))
    def look_up(self, ago: int) -> None:
        found = run(self.box.log.offset_for_timestamp(self.box.clock.now - ago))
        wanted = self.box.clock.now - ago
        expected = next((record for record in self._everything() if record.timestamp >= wanted), None)
        assert (found and tuple(found)) == (expected and (expected.offset, expected.timestamp))

    @rule()
    def look_up_largest(self) -> None:
        found = run(self.box.log.offset_of_max_timestamp())
        expected = max(self._everything(), key=lambda record: (record.timestamp, -record.offset), default=None)
        assert (found and tuple(found)) == (expected and (expected.offset, expected.timestamp))

    @rule()
    def stop_and_start(self) -> None:
        self.box.reopen()
        assert self.box.directory.was_clean

    @rule(seed=st.integers(0, 2**32))
    def crash(self, seed: int) -> None:
        self.box.crash(seed)

    @rule(operations=st.integers(0, 60), killed=st.booleans(), seed=st.integers(0, 2**32))
    def power_goes_while_compacting(self, operations: int, killed: bool, seed: int) -> None:
        self.box.disk.operations_left = operations
        with contextlib.suppress(PowerCut):
            run(self.box.clean())
        if killed:
            self.box.kill()
        else:
            self.box.crash(seed)
        assert not any(name.endswith((".cleaned", ".swap", ".replaces", ".tmp")) for name in self.box.names)

    @rule(
        operation=st.sampled_from(["write", "create", "rename", "remove", "sync", "sync_directory"]),
        after=st.integers(0, 6),
    )
    def the_disk_refuses_while_compacting(self, operation: str, after: int) -> None:
        fault = self.box.disk.fail(operation, after=after)
        with contextlib.suppress(OSError):
            run(self.box.clean())
        self.box.disk.faults.remove(fault)
        if self.box.log.offline is not None:
            self.box.directory.close_log("topic", 0)
            self.box.open_log()


def _appended(record: Record) -> Appended:
    assert record.key is not None
    return Appended(record.offset, record.timestamp_ms, record.key, record.value)
