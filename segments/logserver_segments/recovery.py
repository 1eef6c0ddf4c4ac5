"""Opening a log: what a clean stop left is taken as it is; after any other end, the tail is checked and cut.

After an unclean stop only what lies behind the recovery point is read: everything before it, indexes and snapshots
included, was synced when the recovery point was written. A torn, corrupt or out-of-order batch there ends the log;
everything from it on is cut off, and one log line says what and where.
"""

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from logserver_segments.checkpoints import LEADER_EPOCHS, CheckpointDamaged, LeaderEpochs
from logserver_segments.committer import Committer
from logserver_segments.compaction.swap import finish_swaps
from logserver_segments.config import LogConfig
from logserver_segments.index import IndexDamaged
from logserver_segments.log import Log
from logserver_segments.log.state import DISK_FULL
from logserver_segments.logs import get_logger
from logserver_segments.producer_state import ProducerStates
from logserver_segments.reading import BadBatch, find_batch
from logserver_segments.rebuild import load_producers, note_last_epoch, remove_damaged_snapshots
from logserver_segments.scan import ScanStopped, scan
from logserver_segments.seams import Disk, Entry, Workers
from logserver_segments.segment import (
    DELETED_SUFFIX,
    INDEX_SUFFIX,
    LOG_SUFFIX,
    MAX_RELATIVE_OFFSET,
    SNAPSHOT_SUFFIX,
    TIME_INDEX_SUFFIX,
    TXN_INDEX_SUFFIX,
    Resources,
    Segment,
    file_name,
    is_file_of_log,
    offset_of_file,
)

_PIECE_BYTES: Final = 1 << 20
_LOOKED_AT: Final = 64
"""Entries of an index."""

_log = get_logger("logserver.segments")


def open_log(
    name: str,
    directory: str,
    config: LogConfig,
    resources: Resources,
    committer: Committer,
    workers: Workers,
    *,
    clean: bool,
    recovery_point: int | None = None,
    start_offset: int = 0,
    write_again: bool = False,
    forget_point: Callable[[], None] | None = None,
) -> Log:
    """Opens the log in a directory, making both if they are not there.

    Args:
        name: `<topic>-<partition>`.
        clean: whether the last stop was a clean one; then nothing is read of the segments.
        recovery_point: everything before this offset is known to be good; None if nothing is known.
        start_offset: the log start offset as last persisted.
        write_again: whether all that was checked is written again: a flush has failed in the process before, and the
            page cache shows what the disk did not take as if it were there. The caller has to flush then.
        forget_point: makes the next start know of no recovery point, durably; called before indexes in front of it are
            made again, because a power cut may leave anything of the new ones.

    Raises:
        CorruptRecords: a compaction was under way, and what tells of it is damaged.
        OSError: the disk refused.
    """
    disk = resources.disk
    disk.make_directory(directory)
    entries = _tidy(directory, disk)
    segments = _segments(directory, entries, resources)
    if not segments:
        segment = Segment(directory, start_offset, resources)
        segment.create()
        segments = [segment]
    epochs = LeaderEpochs()
    epochs_known = _load_epochs(epochs, directory, disk, entries, is_needed=any(segment.size for segment in segments))
    epochs_before = epochs.to_file() if epochs_known else b""
    producers = ProducerStates(config.max_producers)
    snapshots = sorted(
        offset_of_file(entry.name)
        for entry in entries
        if is_file_of_log(entry.name) and entry.name.endswith(SNAPSHOT_SUFFIX)
    )
    # A recovery point that does not fit the files is no recovery point.
    point = recovery_point if recovery_point is not None and segments[0].base_offset <= recovery_point else None
    aborted_from = None
    if clean and point is not None and _fits(segments[-1], point) and epochs_known:
        end = point
    else:

        def everything() -> int:
            if recovery_point and forget_point is not None:
                forget_point()
            return 0

        check_from = point if point is not None and epochs_known else everything()
        checked = _recover(name, segments, config, epochs, check_from, disk)
        if checked is None:
            # What the recovery point promised is not there, so it says nothing about what is.
            _log.warning("the log ends before its recovery point and is read as a whole", log=name, point=check_from)
            checked = _recover(name, segments, config, epochs, everything(), disk)
            assert checked is not None, "no log ends before it begins"
        end = checked.end
        aborted_from = _cut_aborted(segments, checked, recovery_point or 0)
        # Nothing has synced them before a power cut, and not all of them may be looked at below.
        remove_damaged_snapshots(ProducerStates(config.max_producers), directory, disk, snapshots, checked.check_from)
        if write_again:
            _write_again(name, segments, checked.check_from, resources)
    if end < start_offset and not clean:
        end = _begin_anew(name, segments, start_offset, resources)
    # Of one from before the first segment nobody knows what came between.
    stale = [offset for offset in snapshots if not segments[0].base_offset <= offset <= end]
    for offset in stale:
        disk.remove(f"{directory}/{file_name(offset, SNAPSHOT_SUFFIX)}")
        snapshots.remove(offset)
    if stale:
        # For good: they must not be taken for the states of what is appended now.
        disk.sync_directory(directory)
    if end > segments[0].base_offset or snapshots:
        load_producers(producers, directory, disk, segments, snapshots, end, aborted_from)
    start = min(max(start_offset, segments[0].base_offset), end)
    epochs.truncate_end(end)
    epochs.truncate_start(start)
    if not clean and start < end:
        note_last_epoch(epochs, segments, end)
    if epochs.to_file() != epochs_before:
        disk.write_file(f"{directory}/{LEADER_EPOCHS}", epochs.to_file(), durable=False)
    return Log(
        name,
        directory,
        config,
        resources,
        committer,
        workers,
        segments,
        start_offset=start,
        end_offset=end,
        producers=producers,
        epochs=epochs,
        snapshots=snapshots,
    )


def _tidy(directory: str, disk: Disk) -> Sequence[Entry]:
    """Finishes or undoes what an earlier end interrupted; returns what is in the directory then."""
    entries = disk.list(directory)
    if finish_swaps(directory, entries, disk):
        entries = disk.list(directory)
    kept = []
    for entry in entries:
        if entry.name.endswith((".tmp", DELETED_SUFFIX)):
            disk.remove(f"{directory}/{entry.name}")
        else:
            kept.append(entry)
    return kept


def _segments(directory: str, entries: Sequence[Entry], resources: Resources) -> list[Segment]:
    sizes = {entry.name: entry.size for entry in entries if not entry.is_directory and is_file_of_log(entry.name)}
    bases = sorted(offset_of_file(name) for name in sizes if name.endswith(LOG_SUFFIX))
    segments = [
        Segment(
            directory,
            base,
            resources,
            size=sizes[file_name(base, LOG_SUFFIX)],
            sealed=base != bases[-1],
            index_bytes=sizes.get(file_name(base, INDEX_SUFFIX), 0),
            time_index_bytes=sizes.get(file_name(base, TIME_INDEX_SUFFIX), 0),
            transaction_index_bytes=sizes.get(file_name(base, TXN_INDEX_SUFFIX), 0),
        )
        for base in bases
    ]
    for segment in segments:
        # Having no transaction index says nothing where the others are missing, too: somebody has removed them all.
        for suffix in (INDEX_SUFFIX, TIME_INDEX_SUFFIX):
            if segment.size and file_name(segment.base_offset, suffix) not in sizes:
                segment.aborted.distrust(f"{file_name(segment.base_offset, suffix)} is missing")
    # Index files without their segment are left-overs of a deletion.
    for name in sizes:
        if name.endswith((INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX)) and offset_of_file(name) not in bases:
            resources.disk.remove(f"{directory}/{name}")
    return segments


def _fits(active: Segment, recovery_point: int) -> bool:
    """Whether a clean stop's recovery point can be the end of the active segment."""
    if active.size == 0:
        return recovery_point == active.base_offset
    return recovery_point > active.base_offset


def _load_epochs(
    epochs: LeaderEpochs, directory: str, disk: Disk, entries: Sequence[Entry], *, is_needed: bool
) -> bool:
    """Loads leader epochs; returns False if the file is damaged or not there, so that the whole log must be read."""
    path = f"{directory}/{LEADER_EPOCHS}"
    if not any(entry.name == LEADER_EPOCHS for entry in entries):
        return not is_needed
    try:
        epochs.load(disk.read_file(path))
    except CheckpointDamaged as error:
        _log.warning("leader epochs are read from the log again", path=path, reason=str(error))
        return False
    return True


class _Checked(NamedTuple):
    """What was found behind an offset: where the log ends, and whether there are markers."""

    check_from: int
    end: int
    has_markers: bool


def _recover(
    name: str, segments: list[Segment], config: LogConfig, epochs: LeaderEpochs, check_from: int, disk: Disk
) -> _Checked | None:
    """Checks everything from an offset on, makes offset and time indexes there again, cuts what is bad; returns None if
    the log ends before that offset."""
    has_markers = False
    first = 0
    for number, segment in enumerate(segments):
        # Not the one that begins at the recovery point alone: the one before it may have been sealed since, and what
        # that adds to its indexes was not synced then.
        if segment.base_offset < check_from:
            first = number
    end = segments[first].base_offset
    for number in range(first, len(segments)):
        segment = segments[number]
        was_sealed = segment.sealed
        segment.sealed = False
        position = _known_part(segment, check_from)
        start = position
        limit = segment.base_offset + MAX_RELATIVE_OFFSET + 1
        following = segments[number + 1].base_offset if number + 1 < len(segments) else None
        end = max(end, segment.base_offset)
        stopped: ScanStopped | None = None
        try:
            for at, header in scan(
                segment.file,
                position,
                segment.size,
                next_offset=segment.base_offset,
                end_offset=limit if following is None else min(limit, following),
                check_from_offset=check_from,
            ):
                if number == first and at == start:
                    # Only what is read here tells the epochs from here on; the file may be of another time.
                    epochs.truncate_end(header.base_offset)
                segment.note_batch(header, at, config.index_interval_bytes)
                if header.leader_epoch >= 0:
                    epochs.assign(header.leader_epoch, header.base_offset)
                has_markers = has_markers or header.is_control
                position = at + header.size
                end = header.next_offset
        except ScanStopped as error:
            stopped = error
        segment.indexes_rebuilt()
        if stopped is None and following is not None and following != end and following > check_from:
            # The end of an older file can be lost while a newer one is there.
            stopped = ScanStopped(segment.size, f"the next segment begins at offset {following}")
        if stopped is not None:
            segment.sealed = was_sealed
            _cut(name, segments, number, position, end, stopped.reason, disk)
            break
        if was_sealed:
            segment.seal()
    segments[-1].sealed = False
    return _Checked(check_from, end, has_markers) if end >= check_from else None


def _write_again(name: str, segments: Sequence[Segment], check_from: int, resources: Resources) -> None:
    """Writes what is behind an offset where it is already, the same bytes.

    Where the disk is full it is left to the next start: some file systems need space even for that.

    Raises:
        OSError: the disk refused for another reason.
    """
    for number, segment in enumerate(segments):
        if number + 1 < len(segments) and segments[number + 1].base_offset <= check_from:
            continue
        position = segment.start_at_or_before(check_from, wait=True)[0] if check_from > segment.base_offset else 0
        try:
            _copy_onto_itself(segment, position)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            _log.warning("what was checked is not written again: the disk is full", log=name)
            if resources.flush_failed is not None:
                resources.flush_failed()
            return


def _copy_onto_itself(segment: Segment, position: int) -> None:
    file = segment.file
    # Linux tells once, to whoever opens the file next, that data was lost where the flush of the whole file system has
    # failed. It is told here, and means what is written below: the first flush of a good batch must not fail for it.
    with suppress(OSError):
        file.sync()
    while position < segment.size:
        data = file.read(min(_PIECE_BYTES, segment.size - position), position)
        if not data:
            raise OSError(errno.EIO, "the file ends before its batches do", segment.path)
        position += file.write((data,), position)


def _cut_aborted(segments: list[Segment], checked: _Checked, recovery_point: int) -> int | None:
    """Drops the aborted transactions whose markers are behind the offset from which everything was checked.

    Args:
        recovery_point: from which the next start looks, whether it was of use to this one or not.

    Returns:
        The offset from which they have to be found again; None if there are none to find.
    """
    aborted_from = checked.check_from if checked.has_markers else None
    for number, segment in enumerate(segments):
        if number + 1 < len(segments) and segments[number + 1].base_offset <= checked.check_from:
            continue
        if segment.base_offset >= checked.check_from:
            if checked.has_markers and segment.base_offset < recovery_point:
                # Nobody makes it again after the next crash: the old file must be there until there is a new one.
                segment.aborted.distrust("everything is read again")
            else:
                segment.aborted.reset()
            continue
        try:
            segment.aborted.truncate(checked.check_from)
        except (IndexDamaged, OSError) as error:
            _log.warning("transaction index made again", segment=segment.path, reason=str(error))
            # Its file stays until there is another one: the next crash must find it as it is, or whole.
            segment.aborted.distrust(str(error))
            aborted_from = segment.base_offset
    return aborted_from


def _cut(name: str, segments: list[Segment], number: int, position: int, end: int, reason: str, disk: Disk) -> None:
    """Cuts a log at a position in one of its segments. What was behind is gone for good when this returns."""
    segment = segments[number]
    dropped = segments[number + 1 :]
    _log.error(
        "log cut at the last whole valid batch",
        log=name,
        segment=segment.path,
        position=position,
        offset=end,
        cut_bytes=segment.size - position + sum(later.size for later in dropped),
        reason=reason,
    )
    _remove(dropped, disk)
    del segments[number + 1 :]
    if position < segment.size:
        segment.truncate(position)


def _remove(segments: Sequence[Segment], disk: Disk) -> None:
    for segment in reversed(segments):
        segment.release()
        for path in segment.paths():
            disk.remove(path)
    if segments:
        disk.sync_directory(segments[0].directory)


def _begin_anew(name: str, segments: list[Segment], start_offset: int, resources: Resources) -> int:
    """Begins an empty log at the log start offset, because damage has taken all that was not deleted (as Kafka)."""
    _log.error("nothing is left of the log behind its start offset", log=name, offset=start_offset)
    segment = Segment(segments[0].directory, start_offset, resources)
    segment.create()
    resources.disk.sync_directory(segment.directory)
    _remove(segments, resources.disk)
    segments[:] = [segment]
    return start_offset


def _known_part(segment: Segment, check_from: int) -> int:
    """Cuts the indexes to what is known to be good; returns the position of the batch from which to walk on."""
    relative = check_from - segment.base_offset
    if relative > 0 and segment.size:
        try:
            for looked_at in (_LOOKED_AT, None):
                found = _last_known(segment, relative, looked_at)
                if found is not None:
                    return found
        except (IndexDamaged, OSError) as error:
            _log.warning("index made again", segment=segment.path, reason=str(error))
    segment.reset_indexes()
    return 0


def _last_known(segment: Segment, relative: int, looked_at: int | None) -> int | None:
    """Returns the position of the last indexed batch below a relative offset, 0 if there is none; None if the indexes
    are no help.

    Entries below the recovery point were synced before it was written. What follows in the file may be anything.

    Args:
        looked_at: so many of the entries below are looked at, so that it does not matter how much is kept; None: all,
            where what follows has led astray.
    """
    index, time_index = segment.index, segment.time_index
    passed = max(index.count_below(0, relative) - looked_at, 0) if looked_at is not None else 0
    # The first batch is in no index.
    offsets = _rising(index.entries(passed), lambda entry: entry[0] < relative and 0 < entry[1] < segment.size)
    if passed and not offsets:
        return None
    # Before the first entry is little, and that is walked over.
    key, position = offsets[-1] if offsets else (relative - 1, 0)
    times_passed = max(time_index.count_below(1, key + 1) - looked_at, 0) if looked_at is not None else 0
    # A file whose length is there and whose content is not reads as an entry of zeros.
    times = _rising(time_index.entries(times_passed), lambda entry: entry[0] > 0 and entry[1] <= key)
    if not times and (offsets or times_passed):
        return None
    if offsets:
        try:
            start = position, segment.base_offset + key
            batch = find_batch(segment.blocking_fetcher(), start, segment.size, segment.base_offset + key)
        except BadBatch:
            batch = None
        if batch is None or batch.position != position or batch.header.last_offset != segment.base_offset + key:
            _log.warning("index made again", segment=segment.path, reason=f"no batch is where entry {offsets[-1]} says")
            return None
    index.truncate(passed + len(offsets))
    time_index.truncate(times_passed + len(times))
    segment.load_max_timestamp()
    return position


def _rising(entries: Sequence[tuple[int, int]], good: Callable[[tuple[int, int]], bool]) -> Sequence[tuple[int, int]]:
    """Returns the leading entries that are good and in which both columns rise."""
    last = (-1, -1)
    for number, entry in enumerate(entries):
        if not (good(entry) and entry[0] > last[0] and entry[1] > last[1]):
            return entries[:number]
        last = entry
    return entries
