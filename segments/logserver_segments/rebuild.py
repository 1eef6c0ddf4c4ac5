"""Making again from a log's batches what is only derived from them: indexes and producer states."""

from collections.abc import Sequence

from logserver_records.batch import NO_PRODUCER_ID

from logserver_segments.errors import CorruptRecords
from logserver_segments.index import IndexDamaged
from logserver_segments.logs import get_logger
from logserver_segments.producer_state import ProducerStates, SnapshotDamaged
from logserver_segments.scan import ScanStopped, scan
from logserver_segments.seams import Disk, File
from logserver_segments.segment import REBUILT_SUFFIX, SNAPSHOT_SUFFIX, Segment, file_name

_log = get_logger("logserver.segments")


def note_batches(segment: Segment, file: File, size: int, index_interval_bytes: int) -> None:
    """Fills the indexes of a segment, in memory, by walking over the first `size` bytes of its file.

    Raises:
        CorruptRecords: the file is damaged.
        OSError: the disk refused.
    """
    try:
        for position, header in scan(file, 0, size, next_offset=segment.base_offset):
            segment.note_batch(header, position, index_interval_bytes)
    except ScanStopped as error:
        raise CorruptRecords(f"{segment.path} is damaged at {error}; run a check of the data directory") from None
    segment.indexes_rebuilt()


def prepare_indexes(segment: Segment, file: File, size: int, index_interval_bytes: int, disk: Disk) -> None:
    """Makes the indexes of a sealed segment again, in durable files beside the present ones; for another thread.

    `Segment.take_rebuilt` then puts them in place.

    Args:
        segment: with nothing in its indexes; not used by anybody yet.

    Raises:
        CorruptRecords: the file is damaged.
        OSError: the disk refused.
    """
    note_batches(segment, file, size, index_interval_bytes)
    segment.close_time_index()
    for index in (segment.index, segment.time_index):
        disk.write_file(index.path + REBUILT_SUFFIX, index.content(), durable=True)


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
            start = segment.position_at_or_before(replay_from, wait=True)
        except IndexDamaged:
            start = 0
        try:
            for _, header in scan(segment.file, start, segment.size, next_offset=segment.base_offset):
                if header.base_offset >= replay_from and header.producer_id != NO_PRODUCER_ID and not header.is_control:
                    producers.update(header, header.base_offset)
        except ScanStopped as error:
            _log.error("producer states are incomplete: the log is damaged", segment=segment.path, reason=str(error))
            return
