"""Doing what findings say that repair does. Nothing is taken from a segment file that is not in a side file first."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from logserver_records.batch import (
    MAGIC,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    BatchHeader,
    read_header,
    reheader,
)
from logserver_records.codec import NO_LEADER_EPOCH, decode_batch, rebuild_batch

from logserver_segments.checkpoints import CheckpointDamaged, format_offsets, parse_offsets
from logserver_segments.data_directory.names import STRAY_SUFFIX, way_out
from logserver_segments.data_directory.topic_id import write_topic_id
from logserver_segments.pool import Pool
from logserver_segments.rebuild import prepare_indexes
from logserver_segments.seams import Disk, File, Mapping, Random
from logserver_segments.segment import (
    INDEX_SUFFIX,
    LOG_SUFFIX,
    MAX_RELATIVE_OFFSET,
    TIME_INDEX_SUFFIX,
    Resources,
    Segment,
    offset_of_file,
)
from logserver_segments.verification.findings import (
    DropRecords,
    Finding,
    Fix,
    MakeSegment,
    RemakeIndexes,
    Replace,
    SetAside,
    SetOffset,
    WriteFile,
)
from logserver_segments.verification.task import side_file

_PIECE: Final = 1 << 20
_MAX_DECOMPRESSED: Final = 64 << 20
_INDEX_INTERVAL_BYTES: Final = 4096


def repair(path: str, findings: Iterable[Finding], disk: Disk, random: Random) -> list[str]:
    """Does what the findings about a data directory say that repair does; the caller has its lock.

    Returns:
        The side files that were made.

    Raises:
        OSError: the disk refused; what was done until then is whole.
    """
    edits: dict[str, list[Replace | DropRecords]] = defaultdict(list)
    rest: list[Fix] = []
    for finding in findings:
        fix = finding.fix
        if isinstance(fix, Replace | DropRecords):
            edits[fix.path].append(fix)
        elif fix is not None:
            rest.append(fix)
    made: list[str] = []
    for log, changes in sorted(edits.items()):
        made += _edit(log, sorted(changes, key=lambda change: change.start), disk)
        if log.endswith(LOG_SUFFIX):
            # Otherwise it is on its way into the place of others, and gets its indexes there.
            _remake_indexes(log, _is_sealed(log, disk), disk)
    for file, is_sealed in sorted({(fix.path, fix.is_sealed) for fix in rest if isinstance(fix, RemakeIndexes)}):
        _remake_indexes(file, is_sealed, disk)
    for fix in rest:
        if isinstance(fix, WriteFile):
            _write(fix, disk)
        elif isinstance(fix, MakeSegment):
            disk.open(fix.path, create=True)
        elif isinstance(fix, SetAside):
            aside = way_out(path, fix.key, STRAY_SUFFIX, random)
            disk.rename(fix.path, aside)
            disk.make_directory(fix.path)
            write_topic_id(fix.path, fix.topic_id, disk)
            made.append(aside)
    _set_offsets(path, [fix for fix in rest if isinstance(fix, SetOffset)], disk)
    # Renamed and removed files, too.
    disk.sync_filesystem(path)
    return made


def _write(fix: WriteFile, disk: Disk) -> None:
    if fix.content:
        disk.write_file(fix.path, fix.content, durable=True)
    else:
        disk.remove(fix.path)


def _set_offsets(path: str, fixes: Sequence[SetOffset], disk: Disk) -> None:
    for name in sorted({fix.checkpoint for fix in fixes}):
        file = f"{path}/{name}"
        try:
            offsets = parse_offsets(disk.read_file(file))
        except (CheckpointDamaged, FileNotFoundError):
            continue
        for fix in fixes:
            if fix.checkpoint != name:
                continue
            if fix.offset is not None:
                offsets[fix.key] = fix.offset
            else:
                offsets.pop(fix.key, None)
        disk.write_file(file, format_offsets(offsets), durable=True)


# Segment files


def _edit(path: str, changes: Sequence[Replace | DropRecords], disk: Disk) -> list[str]:
    """Writes a segment file anew with some ranges changed; what was there before goes into side files."""
    old = disk.open(path)
    made: list[str] = []
    temporary = path + ".tmp"
    disk.remove(temporary)
    try:
        for change in changes:
            if change.end > change.start:
                made.append(_free_name(side_file(path, change.start), disk))
                _save(old, change, made[-1], disk)
        _write_changed(old, changes, temporary, disk)
    except OSError:
        # Half of it helps nobody, and on a full disk its space does.
        for name in (*made, temporary):
            disk.remove(name)
        raise
    # Without them the server makes them again; with those of the old file it would read in the wrong places.
    stem = path.removesuffix(LOG_SUFFIX)
    for suffix in (INDEX_SUFFIX, TIME_INDEX_SUFFIX):
        disk.remove(stem + suffix)
    disk.sync_directory(path.rpartition("/")[0])
    disk.rename(temporary, path)
    disk.sync_directory(path.rpartition("/")[0])
    return made


def _write_changed(old: File, changes: Sequence[Replace | DropRecords], target: str, disk: Disk) -> None:
    new = disk.open(target, create=True)
    written = position = 0
    for change in changes:
        written = copy_range(old, position, change.start, new, written)
        for batch in _replacement(old, change):
            written += new.write((batch,), written)
        position = change.end
    copy_range(old, position, old.size(), new, written)
    new.sync()


def _free_name(path: str, disk: Disk) -> str:
    target, number = path, 1
    while disk.exists(target):
        number += 1
        target = f"{path}.{number}"
    return target


def _save(old: File, change: Replace | DropRecords, target: str, disk: Disk) -> None:
    file = disk.open(target, create=True)
    copy_range(old, change.start, change.end, file, 0)
    file.sync()


def copy_range(source: File, start: int, end: int, target: File, position: int) -> int:
    """Copies a range; returns the position behind it in the target."""
    while start < end:
        piece = source.read(min(_PIECE, end - start), start)
        if not piece:
            break
        position += target.write((piece,), position)
        start += len(piece)
    return position


def _replacement(old: File, change: Replace | DropRecords) -> list[bytes]:
    if isinstance(change, Replace):
        return (
            [empty_batch(change.first_offset, change.next_offset)] if change.next_offset > change.first_offset else []
        )
    batch = old.read(change.end - change.start, change.start)
    header = read_header(batch)
    records = decode_batch(batch, max_decompressed_bytes=_MAX_DECOMPRESSED)
    return [rebuild_batch(header, [record for record in records if record.offset not in change.offsets])]


def empty_batch(first_offset: int, next_offset: int) -> bytes:
    """Returns a batch without records for the offsets of a range, its end exclusive, as compaction leaves them, too."""
    header = BatchHeader(
        first_offset,
        0,
        NO_LEADER_EPOCH,
        MAGIC,
        0,
        0,
        next_offset - first_offset - 1,
        NO_TIMESTAMP,
        NO_TIMESTAMP,
        NO_PRODUCER_ID,
        NO_PRODUCER_EPOCH,
        NO_SEQUENCE,
        0,
    )
    return reheader(header, b"")


def _is_sealed(path: str, disk: Disk) -> bool:
    directory, _, name = path.rpartition("/")
    return any(other.name > name for other in disk.list(directory) if other.name.endswith(LOG_SUFFIX))


def _remake_indexes(path: str, is_sealed: bool, disk: Disk) -> None:
    """Makes the offset and time index of a segment file again."""
    directory, _, name = path.rpartition("/")
    file = disk.open(path)
    size = file.size()
    segment = Segment(
        directory,
        offset_of_file(name),
        Resources(disk, Pool[File](1), Pool[Mapping](1)),
        size=size,
        sealed=is_sealed,
    )
    behind = segment.base_offset + MAX_RELATIVE_OFFSET + 1
    prepare_indexes(segment, file, size, behind, _INDEX_INTERVAL_BYTES, disk)
    segment.take_rebuilt()
    segment.release()
