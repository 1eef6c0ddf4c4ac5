"""Opening a log: what a clean stop left is taken as it is; after any other end, the tail is checked and cut.

After an unclean stop only what lies behind the recovery point is read: everything before it, indexes and snapshots
included, was synced when the recovery point was written. A torn, corrupt or out-of-order batch there ends the log;
everything from it on is cut off, and one log line says what and where.
"""

from collections.abc import Sequence

from logserver_segments.checkpoints import LEADER_EPOCHS, CheckpointDamaged, LeaderEpochs
from logserver_segments.committer import Committer
from logserver_segments.config import LogConfig
from logserver_segments.index import IndexDamaged
from logserver_segments.log import Log
from logserver_segments.logs import get_logger
from logserver_segments.producer_state import ProducerStates
from logserver_segments.reading import BadBatch, find_batch
from logserver_segments.rebuild import load_producers
from logserver_segments.scan import ScanStopped, scan
from logserver_segments.seams import Disk, Entry, Workers
from logserver_segments.segment import (
    DELETED_SUFFIX,
    INDEX_SUFFIX,
    LOG_SUFFIX,
    SNAPSHOT_SUFFIX,
    TIME_INDEX_SUFFIX,
    TXN_INDEX_SUFFIX,
    Resources,
    Segment,
    file_name,
)
from logserver_segments.swap import finish_swaps

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
) -> Log:
    """Opens the log in a directory, making both if they are not there.

    Args:
        name: `<topic>-<partition>`.
        clean: whether the last stop was a clean one; then nothing is read of the segments.
        recovery_point: everything before this offset is known to be good; None if nothing is known.
        start_offset: the log start offset as last persisted.

    Raises:
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
    epochs_known = _load_epochs(epochs, directory, disk, entries)
    producers = ProducerStates(config.max_producers)
    snapshots = sorted(_offset(entry.name) for entry in entries if entry.name.endswith(SNAPSHOT_SUFFIX))
    active = segments[-1]
    # A recovery point that does not fit the files is no recovery point.
    known = recovery_point is not None and segments[0].base_offset <= recovery_point
    if clean and known and recovery_point is not None and _fits(active, recovery_point) and epochs_known:
        end = recovery_point
    else:
        check_from = recovery_point if known and recovery_point is not None and epochs_known else 0
        end = _recover(name, segments, config, epochs, check_from, disk)
        active = segments[-1]
    for stale in [offset for offset in snapshots if offset > end]:
        disk.remove(f"{directory}/{file_name(stale, SNAPSHOT_SUFFIX)}")
        snapshots.remove(stale)
    if end > segments[0].base_offset or snapshots:
        load_producers(producers, directory, disk, segments, snapshots, end)
    start = min(max(start_offset, segments[0].base_offset), end)
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


def _offset(name: str) -> int:
    return int(name.split(".", 1)[0])


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
    sizes = {entry.name: entry.size for entry in entries if not entry.is_directory}
    bases = sorted(_offset(name) for name in sizes if name.endswith(LOG_SUFFIX))
    segments = [
        Segment(
            directory,
            base,
            resources,
            size=sizes[file_name(base, LOG_SUFFIX)],
            sealed=base != bases[-1],
            index_bytes=sizes.get(file_name(base, INDEX_SUFFIX), 0),
            time_index_bytes=sizes.get(file_name(base, TIME_INDEX_SUFFIX), 0),
        )
        for base in bases
    ]
    # Index files without their segment are left-overs of a deletion.
    for name in sizes:
        if name.endswith((INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX)) and _offset(name) not in bases:
            resources.disk.remove(f"{directory}/{name}")
    return segments


def _fits(active: Segment, recovery_point: int) -> bool:
    """Whether a clean stop's recovery point can be the end of the active segment."""
    if active.size == 0:
        return recovery_point == active.base_offset
    return recovery_point > active.base_offset


def _load_epochs(epochs: LeaderEpochs, directory: str, disk: Disk, entries: Sequence[Entry]) -> bool:
    """Loads leader epochs; returns False if the file is there and damaged, so that the whole log must be read."""
    if not any(entry.name == LEADER_EPOCHS for entry in entries):
        return True
    try:
        epochs.load(disk.read_file(f"{directory}/{LEADER_EPOCHS}"))
    except CheckpointDamaged as error:
        _log.warning(
            "leader epochs are read from the log again", path=f"{directory}/{LEADER_EPOCHS}", reason=str(error)
        )
        return False
    return True


def _recover(
    name: str, segments: list[Segment], config: LogConfig, epochs: LeaderEpochs, check_from: int, disk: Disk
) -> int:
    """Checks everything from an offset on, makes the indexes there again, cuts what is bad; returns the end offset."""
    first = 0
    for number, segment in enumerate(segments):
        if segment.base_offset <= check_from:
            first = number
    end = segments[first].base_offset
    for number in range(first, len(segments)):
        segment = segments[number]
        was_sealed, segment.sealed = segment.sealed, False
        position = _known_part(segment, check_from)
        end = max(end, segment.base_offset)
        stopped: ScanStopped | None = None
        try:
            for at, header in scan(
                segment.file, position, segment.size, next_offset=segment.base_offset, check_from_offset=check_from
            ):
                segment.note_batch(header, at, config.index_interval_bytes)
                if header.leader_epoch >= 0:
                    epochs.assign(header.leader_epoch, header.base_offset)
                position = at + header.size
                end = header.next_offset
        except ScanStopped as error:
            stopped = error
        segment.indexes_rebuilt()
        if stopped is not None:
            dropped = segments[number + 1 :]
            _log.error(
                "log cut at the last whole valid batch",
                log=name,
                segment=segment.path,
                position=position,
                offset=end,
                cut_bytes=segment.size - position + sum(later.size for later in dropped),
                reason=stopped.reason,
            )
            segment.truncate(position)
            for later in dropped:
                later.release()
                for path in later.paths():
                    disk.remove(path)
            del segments[number + 1 :]
            break
        if was_sealed:
            segment.seal()
    segments[-1].sealed = False
    epochs.truncate_end(end)
    disk.write_file(f"{segments[0].directory}/{LEADER_EPOCHS}", epochs.to_file(), durable=False)
    return end


def _known_part(segment: Segment, check_from: int) -> int:
    """Cuts the indexes to what is known to be good; returns the position of the batch from which to walk on."""
    try:
        segment.check_indexes(segment.base_offset + (1 << 31))
    except IndexDamaged as error:
        # Behind the recovery point a missing index is what an unclean end leaves; before it, it was there once.
        if check_from > segment.base_offset:
            _log.warning("index made again", segment=segment.path, reason=str(error))
        segment.reset_indexes()
        return 0
    relative = check_from - segment.base_offset
    # Keys are last offsets of batches: those below the recovery point were synced before it was written.
    kept = segment.index.count_below(key=relative) if relative > 0 else 0
    if kept == 0:
        segment.reset_indexes()
        return 0
    segment.index.truncate(kept)
    key, position = segment.index[kept - 1]
    segment.time_index.truncate(segment.time_index.count_below(value=key + 1))
    segment.load_max_timestamp()
    try:
        find_batch(segment.blocking_fetcher(), position, segment.size, segment.base_offset + key)
    except BadBatch as error:
        _log.warning("index made again", segment=segment.path, reason=str(error))
        segment.reset_indexes()
        return 0
    return position
