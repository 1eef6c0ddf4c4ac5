"""Rolling: when the active segment is sealed and a new one begun."""

from typing import Final
from zlib import crc32

from logserver_segments.errors import RecordListTooLarge, WriteFailed
from logserver_segments.log.commit import hand_over
from logserver_segments.log.indexes import check_now
from logserver_segments.log.snapshots import take_snapshot
from logserver_segments.log.state import DISK_FULL, LogState
from logserver_segments.reading import BEGIN, BadBatch, ColdData, find_batch
from logserver_segments.segment import MAX_RELATIVE_OFFSET, Segment

_FAR_MS: Final = 3_600_000
"""So far ahead of the server's clock a timestamp may be to count; as much as `message.timestamp.after.max.ms` allows
unless told otherwise."""


def segment_for(state: LogState, size: int, records: int, first_timestamp: int, now_ms: int) -> Segment:
    """Returns the active segment, after rolling to a new one if a payload does not fit or its time is over.

    Args:
        size: of the payload in bytes.
        records: in it.
        first_timestamp: the max timestamp of its first batch.
    """
    config = state.config
    if size > config.segment_bytes:
        raise RecordListTooLarge(
            f"a payload of {size} bytes is larger than segment.bytes={config.segment_bytes} of the topic"
        )
    active = state.segments.active
    if not active.size:
        active.begun_ms = now_ms
        return active
    check_now(state, active)
    full = (
        active.size + size > config.segment_bytes
        or active.index.size_bytes + 8 > config.segment_index_bytes
        or active.time_index.size_bytes + 12 > config.segment_index_bytes
        or state.end + records - 1 - active.base_offset > MAX_RELATIVE_OFFSET
    )
    if full or _is_aged(state, active, first_timestamp, now_ms):
        roll(state)
    return state.segments.active


def _is_aged(state: LogState, active: Segment, timestamp: int, now_ms: int) -> bool:
    """Whether `segment.ms` is over, told from the batches' own timestamps where they have them, otherwise by the clock
    (as Kafka; in which a segment that begins in the far future is not rolled by time at all)."""
    if active.first_timestamp is None:
        try:
            found = find_batch(active.fetcher(), BEGIN, active.size, active.base_offset)
        except ColdData:
            # Nobody waits for the disk here; retention finds it out, see `retention.prepare`.
            return False
        except BadBatch as error:
            raise state.damaged(active, error) from None
        except OSError as error:
            raise state.read_failed(error) from error
        active.first_timestamp = found.header.max_timestamp if found is not None else -1
    if active.begun_ms is None:
        active.begun_ms = now_ms
    begun, latest = active.first_timestamp, timestamp if timestamp >= 0 else now_ms
    if not 0 <= begun <= now_ms + max(state.config.segment_ms, _FAR_MS):
        begun, latest = active.begun_ms, now_ms
    return latest - begun > _segment_ms(state, active)


def _segment_ms(state: LogState, active: Segment) -> int:
    """Returns `segment.ms`, less a part of `segment.jitter.ms`: which part is told by the segment, so that a restart
    does not change it. Apache Kafka draws it by lot."""
    segment_ms = state.config.segment_ms
    most = min(state.config.segment_jitter_ms, segment_ms) if state.config.segment_jitter_ms else 0
    jitter = crc32(f"{state.name} {active.base_offset}".encode()) % most if most else 0
    return segment_ms - jitter


def roll(state: LogState) -> None:
    """Seals the active segment, if it has anything, and begins a new one at the log end offset.

    Raises:
        DiskFull: the disk has no space for the indexes or the new file; the active segment stays active.
        WriteFailed: the disk refused otherwise; the active segment stays active.
        LogOffline: flushing what `flush.messages` had let wait failed.
    """
    active = state.segments.active
    if not active.size:
        return
    if state.unflushed:
        # Later flushes will be of the new file only.
        hand_over(state, active.file)
        state.check_online()
    segment = Segment(state.directory, state.end, state.resources)
    try:
        active.flush_indexes()
        take_snapshot(state)
        segment.create()
        active.seal()
    except OSError as error:
        segment.release()
        state.resources.disk.remove(segment.path)
        if error.errno in DISK_FULL:
            raise state.disk_full() from error
        raise WriteFailed(f"{state.name}: no new segment: {error}") from error
    state.segments.add(segment)
    state.new_file = True
