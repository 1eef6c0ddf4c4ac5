"""Making again from a log's batches what is only derived from them: indexes and producer states."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from logserver_records.batch import NO_PRODUCER_ID, BatchHeader

from logserver_segments.checkpoints import LeaderEpochs
from logserver_segments.errors import CorruptRecords
from logserver_segments.index import IndexDamaged
from logserver_segments.logs import get_logger
from logserver_segments.markers import stored_marker
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.producer_snapshot import SnapshotDamaged
from logserver_segments.producer_state import ProducerStates
from logserver_segments.reading import BadBatch, find_batch
from logserver_segments.scan import ScanStopped, scan
from logserver_segments.seams import Disk, File
from logserver_segments.segment import REBUILT_SUFFIX, SNAPSHOT_SUFFIX, Segment, file_name

_log = get_logger("logserver.segments")


def note_batches(segment: Segment, file: File, size: int, behind: int, index_interval_bytes: int) -> None:
    """Fills the indexes of a segment, in memory, by walking over the first `size` bytes of its file.

    Args:
        behind: no record has this offset or a larger one.

    Raises:
        CorruptRecords: the file is damaged.
        OSError: the disk refused.
    """
    try:
        for position, header in scan(file, 0, size, next_offset=segment.base_offset, end_offset=behind):
            segment.note_batch(header, position, index_interval_bytes)
    except ScanStopped as error:
        raise CorruptRecords(f"{segment.path} is damaged at {error}; run a check of the data directory") from None
    segment.indexes_rebuilt()


def prepare_indexes(
    segment: Segment, file: File, size: int, behind: int, index_interval_bytes: int, disk: Disk
) -> None:
    """Makes the indexes of a sealed segment again, in durable files beside the present ones; for another thread.

    `Segment.take_rebuilt` then puts them in place.

    Args:
        segment: with nothing in its indexes; not used by anybody yet.
        behind: as in `note_batches`.

    Raises:
        CorruptRecords: the file is damaged.
        OSError: the disk refused.
    """
    note_batches(segment, file, size, behind, index_interval_bytes)
    segment.close_time_index()
    for index in (segment.index, segment.time_index):
        disk.write_file(index.path + REBUILT_SUFFIX, index.content(), durable=True)


class Part(NamedTuple):
    """A segment file for another thread, where the log's own objects may not be touched."""

    path: str
    base_offset: int
    size: int


def find_aborted(
    producers: ProducerStates, replay_from: int, parts: Sequence[Part], disk: Disk
) -> list[AbortedTransaction]:
    """Returns the aborted transactions whose markers are in the last of some adjacent segments; for another thread.

    Args:
        producers: as of the offset `replay_from`, which is in the first segment or at its begin.

    Raises:
        CorruptRecords: a segment is damaged.
        OSError: the disk refused.
    """
    found: list[AbortedTransaction] = []
    for part in parts:
        try:
            found = replay(producers, disk.open(part.path), 0, part.size, part.base_offset, replay_from)
        except ScanStopped as error:
            raise CorruptRecords(f"{part.path} is damaged at {error}; run a check of the data directory") from None
    return found


def replay(
    producers: ProducerStates, file: File, start: int, end: int, next_offset: int, replay_from: int
) -> list[AbortedTransaction]:
    """Takes up the batches of a segment file from an offset on; returns the transactions that were aborted there.

    Args:
        start: position of a batch.
        end: position where the data ends.
        next_offset: no batch has a smaller base offset.

    Raises:
        ScanStopped: the file is damaged.
        OSError: the disk refused.
    """
    found = []
    for position, header in scan(file, start, end, next_offset=next_offset):
        if header.producer_id == NO_PRODUCER_ID or header.base_offset < replay_from:
            continue
        if not header.is_control:
            producers.update(header, header.base_offset)
            continue
        marker = stored_marker(file, position, header)
        aborted = producers.end_transaction(header, marker) if marker is not None else None
        if aborted is not None:
            found.append(aborted)
    return found


def load_snapshot(
    producers: ProducerStates, directory: str, disk: Disk, snapshots: list[int], end_offset: int, at_least: int = 0
) -> int | None:
    """Takes the newest good snapshot as of an offset of at most `end_offset`; returns its offset, None without one.

    Snapshots that can't be read are removed from disk and list.

    Args:
        at_least: no snapshot as of a smaller offset is looked at.

    Raises:
        OSError: the disk refused.
    """
    producers.clear()
    for offset in sorted((known for known in snapshots if at_least <= known <= end_offset), reverse=True):
        path = f"{directory}/{file_name(offset, SNAPSHOT_SUFFIX)}"
        try:
            producers.load_snapshot(disk.read_file(path))
        except SnapshotDamaged as error:
            _log.warning("producer snapshot not used", path=path, reason=str(error))
            disk.remove(path)
            snapshots.remove(offset)
            continue
        return offset
    return None


def remove_damaged_snapshots(
    producers: ProducerStates, directory: str, disk: Disk, snapshots: list[int], from_offset: int
) -> None:
    """Removes the snapshots as of an offset and later ones that can't be read, from disk and list.

    Args:
        producers: afterwards, of any of them.

    Raises:
        OSError: the disk refused.
    """
    for offset in [known for known in snapshots if known >= from_offset]:
        load_snapshot(producers, directory, disk, snapshots, offset, at_least=offset)


def note_last_epoch(epochs: LeaderEpochs, segments: Sequence[Segment], end_offset: int) -> bool:
    """Notes the leader epoch of a log's last batch where no epoch is known; returns whether it did.

    An epoch that is known from where records were deleted to is not known any more when the log ends there or before
    that: if the log start was not durable when the process ended, or by truncation.

    Raises:
        OSError: the disk refused.
    """
    if epochs.latest is not None:
        return False
    for segment in reversed(segments):
        last: BatchHeader | None = None
        start = _start_of_replay(segment, end_offset, max(end_offset - 1, segment.base_offset)) if segment.size else 0
        with contextlib.suppress(ScanStopped):
            for _, header in scan(segment.file, start, segment.size, next_offset=segment.base_offset):
                last = header
        if last is not None:
            return last.leader_epoch >= 0 and epochs.assign(last.leader_epoch, last.base_offset)
        end_offset = segment.base_offset
    return False


def load_producers(
    producers: ProducerStates,
    directory: str,
    disk: Disk,
    segments: Sequence[Segment],
    snapshots: list[int],
    end_offset: int,
    aborted_from: int | None = None,
) -> None:
    """Makes producer states as of `end_offset`: the newest good snapshot, and the batches since.

    All markers count as committed. Snapshots that can't be read are removed from disk and list.

    Args:
        aborted_from: transactions whose abort markers are at this offset or behind it are put into the indexes of
            their segments; None: the indexes stay as they are.

    Raises:
        OSError: the disk refused.
    """
    snapshot_end = end_offset
    if aborted_from is not None:
        # What the first segment begins with is nowhere else.
        snapshot_end = min(max(aborted_from, segments[0].base_offset), end_offset)
    found = load_snapshot(producers, directory, disk, snapshots, snapshot_end)
    replay_from = found if found is not None else segments[0].base_offset
    for number, segment in enumerate(segments):
        behind = segments[number + 1].base_offset if number + 1 < len(segments) else end_offset
        if behind <= replay_from or not segment.size:
            continue
        start = _start_of_replay(segment, behind, replay_from)
        try:
            aborted = replay(producers, segment.file, start, segment.size, segment.base_offset, replay_from)
        except ScanStopped as error:
            _log.error("producer states are incomplete: the log is damaged", segment=segment.path, reason=str(error))
            break
        if aborted_from is not None:
            _take_aborted(segment, aborted, aborted_from)
    producers.unstable.set_ended([])


def _start_of_replay(segment: Segment, behind: int, replay_from: int) -> int:
    """Returns the position of a batch at or before the one that holds an offset; 0 where the index is of no help."""
    try:
        segment.check_indexes(behind)
        start = segment.start_at_or_before(replay_from, wait=True)
        if start[0]:
            # Whether there is one. What is left out here would be taken anew when it is sent again.
            find_batch(segment.blocking_fetcher(), start, segment.size, segment.base_offset)
    except (IndexDamaged, BadBatch):
        return 0
    return start[0]


def _take_aborted(segment: Segment, found: Sequence[AbortedTransaction], aborted_from: int) -> None:
    if segment.aborted.is_trusted:
        for transaction in found:
            if transaction.last_offset >= aborted_from:
                segment.aborted.append(transaction)
        segment.aborted.flush()
    elif segment.base_offset >= aborted_from:
        segment.aborted.replace(found)
