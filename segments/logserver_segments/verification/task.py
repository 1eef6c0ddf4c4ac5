"""One part of checking a log: some adjacent segments, walked over from the first batch to the last.

A task can be done in any process; `Task` and `Walk` can be pickled.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from logserver_records.batch import BatchHeader
from logserver_records.codec import Record, decode_batch
from logserver_records.errors import RecordError

from logserver_segments.checkpoints import TopicPartition
from logserver_segments.seams import Disk, File
from logserver_segments.segment import (
    INDEX_SUFFIX,
    LOG_SUFFIX,
    MAX_RELATIVE_OFFSET,
    SNAPSHOT_SUFFIX,
    TIME_INDEX_SUFFIX,
    TXN_INDEX_SUFFIX,
    file_name,
)
from logserver_segments.verification.aborted import TransactionIndexCheck
from logserver_segments.verification.batches import Damaged, Whole, walk
from logserver_segments.verification.findings import DropRecords, Finding, Note, RemakeIndexes, Replace, WriteFile
from logserver_segments.verification.indexes import OffsetIndexCheck, TimeIndexCheck
from logserver_segments.verification.states import Walked

EVERYTHING: Final = 1 << 63
"""Behind every offset."""
METADATA_TOPIC: Final = "__logserver_metadata"
_MOST_FINDINGS: Final = 1_000
_MAX_DECOMPRESSED: Final = 64 << 20

RecordCheck = Callable[[Record], str | None]
"""Returns what is wrong with a record of an internal topic, None if nothing is; can be pickled."""


class Part(NamedTuple):
    """A segment file."""

    base_offset: int
    size: int
    is_sealed: bool
    suffix: str = LOG_SUFFIX
    """Of its name; another one while it is on its way into the place of others."""
    has_indexes: bool = True
    """Whether the index files are known to be of this file; the next start sees to the others."""


class Task(NamedTuple):
    """Adjacent segments of one log."""

    key: TopicPartition
    directory: str
    parts: tuple[Part, ...]
    """At least one."""
    end_offset: int
    """No batch holds this one or a larger one: the next segment begins there."""
    is_last: bool
    """Whether nothing follows."""
    has_snapshot: bool
    """Whether there is a producer snapshot as of the first segment's base offset."""
    snapshots: tuple[int, ...]
    """The offsets of those to compare, rising: behind that one, and before the next task's."""
    trusted_to: int
    """Everything from this offset on is checked by the next start; EVERYTHING after a clean stop."""
    least_end: int
    """What is before this offset was there once."""
    start_offset: int
    """The log start offset as last noted."""
    is_compacted: bool
    """Whether offsets may be missing."""
    check_record: RecordCheck | None

    @property
    def size_bytes(self) -> int:
        """Bytes of the segment files."""
        return sum(part.size for part in self.parts)


class EpochRange(NamedTuple):
    """Batches of one leader epoch: base offsets of the first and the last one."""

    epoch: int
    first_offset: int
    last_offset: int


class Walk(NamedTuple):
    """What a task found."""

    task: Task
    next_offset: int
    """Behind the last batch, or where the segments begin if they have none."""
    batches: int
    records: int
    epochs: tuple[EpochRange, ...]
    findings: tuple[Finding, ...]
    notes: tuple[Note, ...]
    tail: Finding | None
    """That one of the findings behind which there is no whole batch any more."""


def check(task: Task, disk: Disk) -> Walk:
    """Looks at everything in some segments and what belongs to them.

    Raises:
        OSError: the disk refused.
    """
    return _Check(task, disk).run()


class _Check:
    def __init__(self, task: Task, disk: Disk) -> None:
        self._task = task
        self._disk = disk
        first = task.parts[0].base_offset
        self._walked = Walked(first, self._path(first, SNAPSHOT_SUFFIX) if task.has_snapshot else None, disk)
        self._snapshots: Iterator[int] = iter(task.snapshots)
        self._snapshot = next(self._snapshots, None)
        self._findings: list[Finding] = []
        self._notes: list[Note] = []
        self._tail: Finding | None = None
        self._damaged: Damaged | None = None
        self._expected = first
        self._batches = self._records = 0
        self._epochs: list[EpochRange] = []

    def _path(self, offset: int, suffix: str) -> str:
        return f"{self._task.directory}/{file_name(offset, suffix)}"

    def run(self) -> Walk:
        task = self._task
        for number, part in enumerate(task.parts):
            is_last = number + 1 == len(task.parts)
            behind = task.end_offset if is_last else task.parts[number + 1].base_offset
            self._check_part(part, behind, has_next=not (is_last and task.is_last))
        while self._snapshot is not None and self._snapshot <= self._expected:
            self._compare_snapshot()
        while self._snapshot is not None:
            self._stale_snapshot(self._snapshot)
            self._snapshot = next(self._snapshots, None)
        if len(self._findings) > _MOST_FINDINGS:
            del self._findings[_MOST_FINDINGS:]
            self._notes.append(Note(task.directory, f"more than {_MOST_FINDINGS} findings: the others are not told"))
            self._tail = None
        return Walk(
            task,
            self._expected,
            self._batches,
            self._records,
            tuple(self._epochs),
            tuple(self._findings),
            tuple(self._notes),
            self._tail,
        )

    # One segment

    def _check_part(self, part: Part, behind: int, *, has_next: bool) -> None:
        task, base = self._task, part.base_offset
        path = self._path(base, part.suffix)
        limit = min(behind, base + MAX_RELATIVE_OFFSET + 1)
        # Otherwise the next start makes again what is not right of its indexes; also where the recovery point is its
        # end, because it may have been sealed after that.
        is_whole = behind < task.trusted_to if has_next else task.trusted_to == EVERYTHING
        if has_next and behind <= task.start_offset and task.trusted_to != EVERYTHING:
            # It was deleted, and a power cut has brought a part of its files back; nobody reads them.
            is_whole = False
        offsets = OffsetIndexCheck(self._path(base, INDEX_SUFFIX), base, self._disk)
        times = TimeIndexCheck(self._path(base, TIME_INDEX_SUFFIX), base, self._disk)
        aborted = TransactionIndexCheck(self._path(base, TXN_INDEX_SUFFIX), base, task.start_offset, self._disk)
        file = self._disk.open(path)
        findings_before = len(self._findings)
        self._expected = max(self._expected, base)
        for item in walk(file, part.size, next_offset=self._expected, end_offset=limit):
            if isinstance(item, Damaged):
                self._damaged = item
                self._walked.gap()
                continue
            position, header = item
            self._reach(path, position, header.base_offset)
            self._pass_snapshots(header)
            self._tail = None
            self._count(header)
            if is_whole:
                offsets.take(position, header)
                times.take(header)
            ended = self._walked.take(file, position, header)
            if ended is not None and ended.is_abort:
                aborted.take(header.base_offset, ended.aborted, is_exact=self._walked.is_exact)
            if task.check_record is not None:
                self._check_records(file, path, item, task.check_record)
            self._expected = header.next_offset
        self._end_part(path, part, behind, has_next=has_next)
        if len(self._findings) > findings_before or not part.has_indexes:
            # Repair makes the indexes of a segment that it changes again.
            return
        if is_whole:
            offsets.end(part.size)
            times.end(part.is_sealed)
            self._tell_indexes(path, part, offsets, times)
            self._tell_aborted(aborted)

    def _tell_aborted(self, aborted: TransactionIndexCheck) -> None:
        aborted.end()
        if aborted.is_marked:
            self._notes.append(Note(aborted.path, "the server makes it again when it is used"))
        elif aborted.problem is not None:
            remedy = "writes the file as it should be" if aborted.content() else "removes the file"
            fix = WriteFile(aborted.path, aborted.content())
            self._find(Finding(aborted.path, aborted.position, aborted.problem, remedy, fix))

    def _count(self, header: BatchHeader) -> None:
        self._batches += 1
        if not header.is_control:
            self._records += header.record_count
        if not header.record_count:
            self._walked.gap()
        epochs = self._epochs
        if epochs and epochs[-1].epoch == header.leader_epoch:
            epochs[-1] = epochs[-1]._replace(last_offset=header.base_offset)
        elif header.leader_epoch >= 0:
            epochs.append(EpochRange(header.leader_epoch, header.base_offset, header.base_offset))

    def _tell_indexes(self, path: str, part: Part, offsets: OffsetIndexCheck, times: TimeIndexCheck) -> None:
        fix = RemakeIndexes(path, part.is_sealed)
        remedy = "makes it again from the batches"
        for file in (offsets.file, times.file):
            if file.is_missing and part.is_sealed and part.size:
                self._find(Finding(file.path, None, "it is missing", remedy, fix))
            elif file.problem is not None:
                self._find(Finding(file.path, file.position, file.problem, remedy, fix))

    def _find(self, finding: Finding) -> None:
        if len(self._findings) <= _MOST_FINDINGS:
            self._findings.append(finding)

    # Missing and damaged ranges

    def _reach(self, path: str, position: int, offset: int) -> None:
        """The next batch, or the end, is at a position and begins at an offset."""
        damaged, self._damaged = self._damaged, None
        if damaged is not None:
            self._tell_range(path, damaged.position, damaged.end, offset, damaged.reason)
        elif offset > self._expected:
            self._walked.gap()
            if not self._task.is_compacted:
                self._tell_range(path, position, position, offset, None)

    def _tell_range(self, path: str, start: int, end: int, next_offset: int, reason: str | None) -> None:
        lost = range(self._expected, max(self._expected, next_offset))
        problem = reason or f"the offsets {_span(lost)} are missing"
        if reason is not None and lost:
            problem += f"; the records of the offsets {_span(lost)} can't be read"
        actions = []
        if end > start:
            actions.append(f"moves {end - start:,} bytes to {side_file(path, start)}")
        if lost:
            actions.append(f"puts an empty batch in the place of the offsets {_span(lost)}")
            if self._task.key[0] == METADATA_TOPIC:
                actions.append("forgets what stood there: the logs of a topic that is not known are set aside")
        fix = Replace(path, start, end, lost.start, lost.stop)
        base = int(path.rpartition("/")[2].split(".")[0])
        if lost and lost.stop - 1 - base > MAX_RELATIVE_OFFSET:
            self._find(Finding(path, start, problem, "nothing: more offsets are missing than a segment can have", None))
            return
        finding = Finding(path, start, problem, " and ".join(actions), fix)
        self._find(finding)
        self._tail = finding

    def _end_part(self, path: str, part: Part, behind: int, *, has_next: bool) -> None:
        next_offset = behind if has_next else max(self._expected, self._task.least_end)
        if self._damaged is None and not has_next and next_offset > self._expected:
            # Also in a compacted log: the last batch always stays.
            self._walked.gap()
            self._tell_range(path, part.size, part.size, next_offset, None)
        else:
            self._reach(path, part.size, next_offset)
        self._expected = max(self._expected, next_offset)

    # Records of internal topics

    def _check_records(self, file: File, path: str, batch: Whole, check_record: RecordCheck) -> None:
        position, header = batch
        if header.is_control:
            return
        try:
            records = decode_batch(file.read(header.size, position), max_decompressed_bytes=_MAX_DECOMPRESSED)
        except RecordError as error:
            fix = Replace(path, position, position + header.size, header.base_offset, header.next_offset)
            remedy = f"moves the batch to {side_file(path, position)} and puts an empty one in its place"
            self._find(Finding(path, position, str(error), remedy, fix))
            return
        wrong = {record.offset: problem for record in records if (problem := check_record(record)) is not None}
        if wrong:
            offset, problem = next(iter(wrong.items()))
            more = f" (and {len(wrong) - 1} more records of this batch)" if len(wrong) > 1 else ""
            self._find(
                Finding(
                    path,
                    position,
                    f"the record at offset {offset}: {problem}{more}",
                    f"moves the batch to {side_file(path, position)} and puts one without the record in its place",
                    DropRecords(path, position, position + header.size, tuple(wrong)),
                )
            )

    # Snapshots

    def _pass_snapshots(self, header: BatchHeader) -> None:
        while self._snapshot is not None and self._snapshot < header.next_offset:
            self._compare_snapshot()

    def _compare_snapshot(self) -> None:
        assert self._snapshot is not None
        offset, self._snapshot = self._snapshot, next(self._snapshots, None)
        path = self._path(offset, SNAPSHOT_SUFFIX)
        content = self._disk.read_file(path)
        problem = self._walked.compare(content, offset)
        if problem is None:
            return
        if not content.strip(b"\x00"):
            # It is not synced when it is written, and nobody looks at it while there is a newer one.
            self._notes.append(Note(path, "it was lost in a power cut; the server does without"))
            return
        if offset < self._task.parts[0].base_offset:
            self._notes.append(Note(path, f"{problem}; it is of segments that are gone, and the server removes it"))
            return
        if offset > self._task.trusted_to:
            self._notes.append(Note(path, f"{problem}; written when the server ended, the next start looks at it"))
            return
        remedy = "removes it; the next start makes producer states from an older one and the batches behind that"
        self._find(Finding(path, None, problem, remedy, WriteFile(path, b"")))

    def _stale_snapshot(self, offset: int) -> None:
        path = self._path(offset, SNAPSHOT_SUFFIX)
        if self._task.trusted_to != EVERYTHING:
            self._notes.append(Note(path, "it is behind the log's end; the next start removes it"))
            return
        problem = f"it is behind the log's end at offset {self._expected}"
        self._find(Finding(path, None, problem, "removes it", WriteFile(path, b"")))


def _span(offsets: range) -> str:
    return f"{offsets.start} to {offsets.stop - 1}" if len(offsets) > 1 else str(offsets.start)


def side_file(path: str, position: int) -> str:
    """Returns the path of what repair cuts out of a segment file at a position."""
    return f"{path}.cut-{position}"
