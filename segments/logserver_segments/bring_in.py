"""Bringing a log into a data directory from files of the same format that somebody else has written: Apache Kafka."""

from typing import NamedTuple

from logserver_segments.checkpoints import LEADER_EPOCHS, CheckpointDamaged, LeaderEpochs
from logserver_segments.compaction.swap import SWAP_SUFFIX
from logserver_segments.data_directory.topic_id import write_topic_id
from logserver_segments.pool import Pool
from logserver_segments.producer_snapshot import SnapshotDamaged, unpack_snapshot
from logserver_segments.seams import Disk, File, Mapping
from logserver_segments.segment import (
    LOG_SUFFIX,
    SNAPSHOT_SUFFIX,
    TXN_INDEX_SUFFIX,
    Resources,
    Segment,
    file_name,
    is_file_of_log,
    offset_of_file,
)
from logserver_segments.verification.batches import Damaged, walk
from logserver_segments.verification.repair import copy_range, empty_batch
from logserver_segments.verification.task import EVERYTHING

_INDEX_INTERVAL_BYTES = 4096
_SIZE_AT = slice(8, 12)
_MAGIC_AT = 16
_LEAST_MESSAGE = 14
_OLD_FORMATS = (b"\x00", b"\x01")


class CannotBringIn(Exception):
    """The log can't be brought in as it is; the message says what to do."""


class BroughtIn(NamedTuple):
    """A log that was brought in."""

    start_offset: int
    """The base offset of its first segment."""
    end_offset: int
    batches: int
    records: int
    """Without those of control batches."""
    bytes_copied: int
    leader_epoch: int
    """The largest one; -1 without any."""
    producer_id: int
    """The largest one; -1 without any."""
    problems: tuple[str, ...]
    """What was not brought in, in words."""


def bring_in(source: str, target: str, topic_id: str, disk: Disk, source_disk: Disk) -> BroughtIn:
    """Copies the log in one directory to another, which is made, and checks every batch on the way.

    Batches are copied as they are, indexes are made anew. Nothing is durable yet when this returns.

    Args:
        disk: of the target.
        source_disk: of the source, which is only read.

    Raises:
        CannotBringIn: it is in a format that is not known, or a compaction was cut short.
        OSError: the disk refused.
    """
    entries = source_disk.list(source)
    if any(entry.name.endswith(SWAP_SUFFIX) for entry in entries):
        raise CannotBringIn(
            f"{source} was left in the middle of a compaction; start the broker once more and stop it properly"
        )
    disk.make_directory(target)
    write_topic_id(target, topic_id, disk)
    copying = _Copying(source, target, disk, source_disk)
    files = sorted(entry for entry in entries if is_file_of_log(entry.name) and entry.name.endswith(LOG_SUFFIX))
    for number, entry in enumerate(files):
        behind = offset_of_file(files[number + 1].name) if number + 1 < len(files) else None
        copying.segment(offset_of_file(entry.name), entry.size, behind)
    if files:
        copying.derived({entry.name for entry in entries}, offset_of_file(files[0].name))
    return copying.result(offset_of_file(files[0].name) if files else 0)


class _Copying:
    def __init__(self, source: str, target: str, disk: Disk, source_disk: Disk) -> None:
        self._source = source
        self._target = target
        self._disk = disk
        self._source_disk = source_disk
        self._end = 0
        self._batches = self._records = self._bytes = 0
        self._leader_epoch = self._producer_id = -1
        self._problems: list[str] = []

    def result(self, start_offset: int) -> BroughtIn:
        return BroughtIn(
            start_offset,
            self._end,
            self._batches,
            self._records,
            self._bytes,
            self._leader_epoch,
            self._producer_id,
            tuple(self._problems),
        )

    def segment(self, base: int, size: int, behind: int | None) -> None:
        """Copies a segment; the next one begins at `behind`."""
        old = self._source_disk.open(f"{self._source}/{file_name(base, LOG_SUFFIX)}")
        resources = Resources(self._disk, Pool[File](1), Pool[Mapping](1))
        segment = Segment(self._target, base, resources)
        new = segment.create()
        self._end = max(self._end, base)
        # What is whole from here on has not been copied yet.
        copied_to = position = 0
        damaged: Damaged | None = None
        for item in walk(old, size, next_offset=self._end, end_offset=behind or EVERYTHING):
            if isinstance(item, Damaged):
                segment.size = copy_range(old, copied_to, item.position, new, segment.size)
                damaged, copied_to = item, item.end
                continue
            position, header = item
            if damaged is not None:
                self._fill(segment, new, old, damaged, header.base_offset)
                damaged = None
            segment.note_batch(header, segment.size + position - copied_to, _INDEX_INTERVAL_BYTES)
            self._end = header.next_offset
            self._batches += 1
            self._records += 0 if header.is_control else header.record_count
            self._leader_epoch = max(self._leader_epoch, header.leader_epoch)
            self._producer_id = max(self._producer_id, header.producer_id)
        segment.size = copy_range(old, copied_to, size, new, segment.size)
        if damaged is not None:
            self._fill(segment, new, old, damaged, behind if behind is not None else self._end)
        self._bytes += segment.size
        segment.close_time_index()
        segment.flush_indexes()
        segment.release()

    def _fill(self, segment: Segment, new: File, old: File, damaged: Damaged, next_offset: int) -> None:
        """Puts an empty batch in the place of what can't be read, so that every other record keeps its offset."""
        if _is_old_format(old, damaged):
            raise CannotBringIn(
                f"{old.path} holds records in a format of before Kafka 0.11; have the broker write them again first"
            )
        lost = next_offset - self._end
        where = f"{old.path}, position {damaged.position}: {damaged.reason}"
        if not lost:
            self._problems.append(f"{where}; {damaged.end - damaged.position:,} bytes at the end were left out")
            return
        self._problems.append(f"{where}; the records of {lost:,} offsets from {self._end} on are lost")
        batch = empty_batch(self._end, next_offset)
        segment.size += new.write((batch,), segment.size)
        self._end = next_offset

    def derived(self, names: set[str], start_offset: int) -> None:
        """Copies what is not made from the batches anew: producer states, aborted transactions, leader epochs."""
        for name in sorted(names):
            if not is_file_of_log(name):
                continue
            offset = offset_of_file(name)
            if name.endswith(TXN_INDEX_SUFFIX) and file_name(offset, LOG_SUFFIX) in names:
                self._write(name, self._source_disk.read_file(f"{self._source}/{name}"))
            elif name.endswith(SNAPSHOT_SUFFIX) and start_offset <= offset <= self._end:
                content = self._source_disk.read_file(f"{self._source}/{name}")
                try:
                    unpack_snapshot(content)
                except SnapshotDamaged as error:
                    self._problems.append(f"{self._source}/{name} was left out: {error}")
                else:
                    self._write(name, content)
        self._write(LEADER_EPOCHS, self._epochs(names).to_file())

    def _epochs(self, names: set[str]) -> LeaderEpochs:
        epochs = LeaderEpochs()
        if LEADER_EPOCHS in names:
            try:
                epochs.load(self._source_disk.read_file(f"{self._source}/{LEADER_EPOCHS}"))
            except CheckpointDamaged as error:
                self._problems.append(f"{self._source}/{LEADER_EPOCHS} was made again: {error}")
        epochs.truncate_end(self._end)
        if epochs.latest is not None:
            self._leader_epoch = max(self._leader_epoch, epochs.latest)
        return epochs

    def _write(self, name: str, content: bytes) -> None:
        # An empty transaction index is none.
        if content:
            self._disk.write_file(f"{self._target}/{name}", content, durable=False)


def _is_old_format(file: File, damaged: Damaged) -> bool:
    """Returns whether messages of before Kafka 0.11 stand there; bytes that are nothing at all may look like them."""
    head = file.read(_MAGIC_AT + 1, damaged.position)
    size = int.from_bytes(head[_SIZE_AT], "big")
    return head[_MAGIC_AT:] in _OLD_FORMATS and _LEAST_MESSAGE <= size <= file.size() - damaged.position


def size_bytes(directory: str, disk: Disk) -> int:
    """Returns the bytes of a log's segment files.

    Raises:
        OSError: the disk refused.
    """
    return sum(entry.size for entry in disk.list(directory) if entry.name.endswith(LOG_SUFFIX))
