"""Making again from a log's batches what is only derived from them: indexes and producer states."""

from collections.abc import Sequence

from logserver_records.batch import NO_PRODUCER_ID

from logserver_segments.errors import CorruptRecords
from logserver_segments.index import IndexDamaged
from logserver_segments.logs import get_logger
from logserver_segments.producer_state import ProducerStates, SnapshotDamaged
from logserver_segments.scan import ScanStopped, scan
from logserver_segments.seams import Disk
from logserver_segments.segment import SNAPSHOT_SUFFIX, Segment, file_name

_log = get_logger("logserver.segments")


def rebuild_indexes(segment: Segment, size: int, index_interval_bytes: int) -> None:
    """Makes both indexes of a segment again by walking over its first `size` bytes.

    Raises:
        CorruptRecords: the segment itself is damaged.
    """
    segment.reset_indexes()
    try:
        for position, header in scan(segment.file, 0, size, next_offset=segment.base_offset):
            segment.note_batch(header, position, index_interval_bytes)
    except ScanStopped as error:
        raise CorruptRecords(f"{segment.path} is damaged at {error}") from None
    segment.indexes_rebuilt()


def load_producers(
    producers: ProducerStates,
    directory: str,
    disk: Disk,
    segments: Sequence[Segment],
    snapshots: list[int],
    end_offset: int,
) -> None:
    """Makes producer states as of `end_offset`: the newest good snapshot, and the batches since.

    Snapshots that can't be read are removed from disk and list.
    """
    producers.clear()
    replay_from = segments[0].base_offset
    for offset in sorted((known for known in snapshots if known <= end_offset), reverse=True):
        path = f"{directory}/{file_name(offset, SNAPSHOT_SUFFIX)}"
        try:
            producers.load_snapshot(disk.read_file(path))
        except SnapshotDamaged as error:
            _log.warning("producer snapshot not used", path=path, reason=str(error))
            disk.remove(path)
            snapshots.remove(offset)
            continue
        replay_from = offset
        break
    if replay_from >= end_offset:
        return
    for number, segment in enumerate(segments):
        behind = segments[number + 1].base_offset if number + 1 < len(segments) else end_offset
        if behind <= replay_from or not segment.size:
            continue
        try:
            segment.check_indexes(behind)
            start = segment.position_at_or_before(replay_from)
        except IndexDamaged:
            start = 0
        try:
            for _, header in scan(segment.file, start, segment.size, next_offset=segment.base_offset):
                if header.base_offset >= replay_from and header.producer_id != NO_PRODUCER_ID and not header.is_control:
                    producers.update(header, header.base_offset)
        except ScanStopped as error:
            _log.error("producer states are incomplete: the log is damaged", segment=segment.path, reason=str(error))
            return
