"""Appending: payloads are checked, stamped, written, and handed to the committer."""

from collections.abc import Sequence

from logserver_records.batch import (
    HEADER_SIZE,
    LENGTH_OVERHEAD,
    NO_PRODUCER_ID,
    STAMP_SIZE,
    BatchHeader,
    Buffer,
    split,
    stamp,
    stamped_header,
    with_append_time,
)
from logserver_records.control import EndTransactionMarker, build_marker
from logserver_records.errors import RecordError
from logserver_records.plain import PlainBatch

from logserver_segments.committer import Loss, LossReason
from logserver_segments.errors import CorruptRecords, WriteFailed
from logserver_segments.log.commit import commit
from logserver_segments.log.epochs import assign_epoch
from logserver_segments.log.indexes import try_to_flush
from logserver_segments.log.loss import go_offline
from logserver_segments.log.roll import segment_for
from logserver_segments.log.state import DISK_FULL, LogState
from logserver_segments.log.transactions import take_marker
from logserver_segments.markers import read_marker
from logserver_segments.partition_log import Appended, Verification
from logserver_segments.preparation import Prepared
from logserver_segments.recompression import recompress
from logserver_segments.seams import File
from logserver_segments.segment import Segment
from logserver_segments.validation import check_payload


def append(
    state: LogState, payload: Buffer | Prepared, leader_epoch: int, now_ms: int, verification: Verification | None
) -> Appended:
    """Checks and appends a client's payload; see `PartitionLog.append`."""
    if state.offline is not None:
        state.check_online()
    if isinstance(payload, Prepared) and payload.config is state.config:
        payload, batches, _ = payload
    else:
        if isinstance(payload, Prepared):
            # The settings have changed since.
            payload = payload.payload
        batches = check_payload(payload, state.config, now_ms)
    first = batches[0][1]
    if first.producer_id != NO_PRODUCER_ID:
        known = state.producers.check(first, verification)
        if known is not None:
            append_time = known.timestamp_ms if state.config.log_append_time else -1
            return Appended(known.first_offset, known.last_offset, append_time, True)
    codec = state.config.compression
    if codec is not None:
        payload, batches = recompress(payload, batches, codec, state.config)
    return _append(state, payload, batches, leader_epoch, now_ms)


def append_trusted(
    state: LogState, payload: Buffer, leader_epoch: int, now_ms: int, verification: Verification | None
) -> Appended:
    """Appends batches that this server built; see `PartitionLog.append_trusted`."""
    state.check_online()
    batches = list(split(payload))
    markers = []
    for position, header in batches:
        if header.producer_id == NO_PRODUCER_ID:
            continue
        if header.is_control:
            markers.append(_marker(payload, position))
        else:
            state.producers.check_trusted(header, verification)
    return _append(state, payload, batches, leader_epoch, now_ms, markers)


def append_plain(
    state: LogState, batch: PlainBatch, leader_epoch: int, now_ms: int, verification: Verification | None
) -> Appended:
    """Appends one batch that this server built; see `PartitionLog.append_trusted`."""
    if state.offline is not None:
        state.check_online()
    if state.config.log_append_time or batch.producer_id != NO_PRODUCER_ID:
        return append_trusted(state, batch.stamped(), leader_epoch, now_ms, verification)
    size = batch.size
    _take_space(state, size)
    segment = segment_for(state, size, batch.record_count, batch.timestamp_ms, now_ms)
    base_offset, position = state.end, segment.size
    file = _write(state, segment, (batch.stamped(base_offset, leader_epoch),))
    behind = base_offset + batch.record_count
    segment.note(size, batch.timestamp_ms, behind - 1, position, state.config.index_interval_bytes)
    return _take_in(state, segment, file, leader_epoch, behind, -1)


def _marker(payload: Buffer, position: int) -> EndTransactionMarker | None:
    try:
        return read_marker(payload, position)
    except RecordError as error:
        raise CorruptRecords(f"a control batch can't be read: {error}") from None


def append_marker(
    state: LogState,
    producer_id: int,
    producer_epoch: int,
    marker: EndTransactionMarker,
    leader_epoch: int,
    now_ms: int,
    transaction_version: int,
) -> Appended:
    """Appends the marker that ends a transaction; see `PartitionLog.append_marker`."""
    state.check_online()
    state.producers.check_marker(producer_id, producer_epoch, marker.coordinator_epoch, transaction_version)
    payload = build_marker(marker, timestamp_ms=now_ms, producer_id=producer_id, producer_epoch=producer_epoch)
    return _append(state, payload, list(split(payload)), leader_epoch, now_ms, [marker])


def _append(
    state: LogState,
    payload: Buffer,
    batches: list[tuple[int, BatchHeader]],
    leader_epoch: int,
    now_ms: int,
    markers: Sequence[EndTransactionMarker | None] = (),
) -> Appended:
    """Args:
    markers: those in the control batches that have a producer id, in their order.
    """
    _take_space(state, len(payload))
    records = 0
    for _, header in batches:
        records += header.last_offset_delta + 1
    segment = segment_for(state, len(payload), records, batches[0][1].max_timestamp, now_ms)
    append_time = now_ms if state.config.log_append_time else -1
    view = memoryview(payload)
    buffers: list[Buffer] = []
    stamped: list[BatchHeader] = []
    offset = state.end
    for position, header in batches:
        behind = position + header.batch_length + LENGTH_OVERHEAD
        if append_time >= 0:
            header = with_append_time(payload, position, header, append_time)
            buffers.append(stamped_header(header, offset, leader_epoch))
            buffers.append(view[position + HEADER_SIZE : behind])
        else:
            buffers.append(stamp(header, offset, leader_epoch))
            buffers.append(view[position + STAMP_SIZE : behind])
        # Only the base offset matters to what follows; the file has the epoch too.
        header = BatchHeader._make((offset, *header[1:]))
        stamped.append(header)
        offset += header.last_offset_delta + 1
    position = segment.size
    file = _write(state, segment, buffers)
    interval = state.config.index_interval_bytes
    for header in stamped:
        segment.note_batch(header, position, interval)
        position += header.batch_length + LENGTH_OVERHEAD
        if header.producer_id != NO_PRODUCER_ID:
            if header.is_control:
                take_marker(state, segment, header, markers[0], now_ms)
                markers = markers[1:]
            else:
                state.producers.update(header, header.base_offset, now_ms)
    return _take_in(state, segment, file, leader_epoch, offset, append_time)


def _take_space(state: LogState, size: int) -> None:
    space = state.resources.space
    if space is not None and not state.config.uses_reserved_space:
        space.take(size, state.name)


def _write(state: LogState, segment: Segment, buffers: Sequence[Buffer]) -> File:
    """Writes whole batches to the end of the active segment; returns its file."""
    position = segment.size
    try:
        file = segment.file
    except OSError as error:
        raise WriteFailed(f"{state.name}: {segment.path} can't be opened: {error}") from error
    try:
        segment.size = position + file.write(buffers, position)
    except OSError as error:
        raise _write_failed(state, segment, position, error) from error
    return file


def _take_in(
    state: LogState, segment: Segment, file: File, leader_epoch: int, behind: int, append_time: int
) -> Appended:
    """Takes in what has been written, up to the offset `behind` it, and has it committed."""
    base_offset = state.end
    if state.epochs.latest != leader_epoch:
        assign_epoch(state, leader_epoch, base_offset)
    if segment.index.wants_flush:
        try_to_flush(state, segment)
    state.end = behind
    commit(state, file, behind - base_offset)
    if state.offline is not None:
        # A committer that flushes at once has failed at once.
        state.check_online()
    return Appended(base_offset, behind - 1, append_time, False)


def _write_failed(state: LogState, segment: Segment, position: int, error: OSError) -> Exception:
    """Undoes a write that failed half-way; returns what to raise."""
    reason = error.strerror or str(error)
    try:
        # On a disk that is full already nothing at all was written; this comes with every attempt.
        if segment.file.size() > position:
            segment.truncate(position)
    except OSError as second:
        go_offline(state, Loss(LossReason.FAILED, f"a write failed ({reason}) and could not be undone ({second})"))
        return WriteFailed(f"{state.name}: {state.offline}")
    if error.errno in DISK_FULL:
        return state.disk_full()
    go_offline(state, Loss(LossReason.FAILED, f"the disk failed to write: {reason}"))
    return WriteFailed(f"{state.name}: {state.offline}")
