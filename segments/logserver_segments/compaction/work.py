"""The part of a compaction that a worker does: reading keys, and writing new segments beside the old ones.

One walk over what is new fills the key map, as far as it reaches; a second one over the log from its first segment to
there writes what survives. Memory is the map, and what one batch and one chunk of a file take.
"""

import errno
from collections.abc import Iterator, Sequence
from typing import Final

from logserver_records.batch import BatchHeader, Buffer
from logserver_records.codec import decode_keys

from logserver_segments.compaction.decided import DecidedTransactions
from logserver_segments.compaction.giving_way import giving_way
from logserver_segments.compaction.job import Done, Job, Source, Written
from logserver_segments.compaction.key_map import KeyMap
from logserver_segments.compaction.survivors import Filter
from logserver_segments.compaction.swap import cleaned_path, discard, write_cleaned, write_replaces
from logserver_segments.compaction.throttle import Throttle, ThrottledFile
from logserver_segments.markers import stored_marker
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.pool import Pool
from logserver_segments.scan import scan_whole
from logserver_segments.seams import Disk, File
from logserver_segments.segment import MAX_RELATIVE_OFFSET, Resources, Segment
from logserver_segments.transaction_index import packed

_BUFFER_BYTES: Final = 64 << 10
"""So much is written at once: everybody else's flush waits for it."""
_MAX_SEGMENT_BYTES: Final = 0x7FFF_FFFF
_MOST_SOURCES: Final = 100
"""Segments that become one at once: the swap does a few things with each, and readers wait for it."""


def compact(job: Job) -> Iterator[Written | Done]:
    """Compacts a log; yields each new segment, whose swap the caller does before asking for the next, and the end.

    Raises:
        ScanStopped, RecordError, IndexDamaged: a segment or a transaction index is damaged.
        OSError: the disk refused. Nothing is left of the segment that was being written.
    """
    throttle = Throttle(job.limits.io)
    keys, reach = _map_keys(job, throttle)
    transactions = DecidedTransactions(job.sources, job.aborted_behind, job.disk)
    config = job.log
    chooser = Filter(
        keys,
        reach,
        transactions,
        job.producers,
        job.now_ms,
        config.delete_retention_ms,
        config.max_decompressed_bytes,
    )
    for group in groups([source for source in job.sources if source.base_offset < reach], config.segment_bytes, job):
        yield _write_group(job, group, chooser, transactions, throttle)
    yield Done(reach, keys.size, throttle.bytes)


def _map_keys(job: Job, throttle: Throttle) -> tuple[KeyMap, int]:
    """Returns the map of keys, and the offset behind the last record that is in it."""
    dirty = [source for source in job.sources if source.end_offset > job.dirty_from]
    most_keys = job.sources[-1].end_offset - job.dirty_from
    keys = KeyMap(job.limits.dedupe_buffer_bytes, job.limits.dedupe_load_factor, most_keys)
    transactions = DecidedTransactions(dirty, job.aborted_behind, job.disk)
    for source in dirty:
        transactions.begin(source)
        file = ThrottledFile(job.disk.open(source.path), throttle)
        for found in scan_whole(file, 0, source.size, next_offset=source.base_offset):
            header = found.header
            if header.is_control:
                transactions.end(header, stored_marker(file, found.position, header))
            elif not transactions.is_aborted(header) and header.last_offset >= job.dirty_from and header.record_count:
                records = decode_keys(found.chunk, found.at, max_decompressed_bytes=job.log.max_decompressed_bytes)
                reach = keys.put_all(giving_way(records), job.dirty_from)
                if reach is not None:
                    return keys, reach
    return keys, job.sources[-1].end_offset


def groups(sources: Sequence[Source], segment_bytes: int, job: Job) -> list[list[Source]]:
    """Returns which segments become one, so that these do not get smaller and smaller (as Kafka's
    `groupSegmentsBySize`)."""
    index_bytes = job.log.segment_index_bytes
    found: list[list[Source]] = []
    for source in sources:
        if found and len(found[-1]) < _MOST_SOURCES:
            together = [*found[-1], source]
            fits = (
                sum(each.size for each in together) <= segment_bytes
                and sum(each.index_bytes for each in together) <= index_bytes
                and sum(each.time_index_bytes for each in together) <= index_bytes
                and source.end_offset - 1 - together[0].base_offset <= MAX_RELATIVE_OFFSET
            )
            if fits:
                found[-1] = together
                continue
        found.append([source])
    return found


def _write_group(
    job: Job, group: Sequence[Source], chooser: Filter, transactions: DecidedTransactions, throttle: Throttle
) -> Written:
    directory, base = group[0].directory, group[0].base_offset
    kept, dropped = chooser.kept, chooser.dropped
    output = _Output(job, directory, base, throttle)
    try:
        output.create()
        left = sum(source.size for source in group)
        is_changed = len(group) > 1
        for source in group:
            transactions.begin(source)
            file = ThrottledFile(job.disk.open(source.path), throttle)
            for found in scan_whole(file, 0, source.size, next_offset=source.base_offset):
                left -= found.header.size
                is_end = source is group[-1] and found.position + found.header.size == source.size
                room = _MAX_SEGMENT_BYTES - output.size - found.header.size - left
                survivor = chooser.survivor(found, is_end, room, output.latest_ms)
                is_changed = is_changed or survivor is None or survivor.header is not found.header
                if survivor is not None:
                    output.add(survivor.header, survivor.data, survivor.aborted)
        if is_changed:
            output.finish(group[-1].base_offset)
        else:
            output.discard()
    except BaseException:
        # On a full disk somebody needs the space.
        output.discard()
        raise
    return output.written(group[-1].base_offset, is_changed, chooser.kept - kept, chooser.dropped - dropped)


class _Output:
    """A new segment, in files of other names."""

    def __init__(self, job: Job, directory: str, base_offset: int, throttle: Throttle) -> None:
        self._job = job
        self._throttle = throttle
        self._disk: Disk = job.disk
        resources = Resources(job.disk, Pool(1), Pool(1))
        self._segment = Segment(directory, base_offset, resources, sealed=True)
        self._file: File | None = None
        self._aborted: list[AbortedTransaction] = []
        self._buffers: list[Buffer] = []
        self._buffered = 0
        self._sizes = 0, 0, 0

    @property
    def size(self) -> int:
        """Bytes of batches so far."""
        return self._segment.size

    @property
    def latest_ms(self) -> int:
        """The largest timestamp so far, -1 if there is none."""
        return self._segment.max_timestamp

    def _path(self, path: str) -> str:
        return cleaned_path(path, self._job.token)

    def create(self) -> None:
        self._file = ThrottledFile(self._disk.open(self._path(self._segment.path), create=True), self._throttle)

    def add(self, header: BatchHeader, data: Buffer, aborted: AbortedTransaction | None) -> None:
        segment = self._segment
        segment.note_batch(header, segment.size, self._job.log.index_interval_bytes)
        segment.size += len(data)
        self._buffers.append(data)
        self._buffered += len(data)
        if aborted is not None:
            self._aborted.append(aborted)
        if self._buffered >= _BUFFER_BYTES:
            self._flush()

    def _check_space(self) -> None:
        """Raises:
        OSError: what is to be written next would leave too little to the server.
        """
        least, directory = self._job.least_free_bytes, self._segment.directory
        if not least:
            return
        free, _ = self._disk.space(directory)
        if free - self._buffered < least:
            reason = f"a compaction needs space and {free} bytes are free, of which it has to leave {least}"
            raise OSError(errno.ENOSPC, reason, directory)

    def _flush(self) -> None:
        assert self._file is not None
        self._check_space()
        position = self._segment.size - self._buffered
        self._file.write(self._buffers, position)
        # Syncing each part would have every flush of others wait for it and for its own commit of the journal.
        self._file.write_out(position, self._buffered)
        self._buffers, self._buffered = [], 0

    def finish(self, last_base_offset: int) -> None:
        """Makes all of it durable."""
        assert self._file is not None
        if self._buffers:
            self._flush()
        self._file.sync()
        segment, disk = self._segment, self._disk
        segment.close_time_index()
        index, time_index, aborted = segment.index.content(), segment.time_index.content(), packed(self._aborted)
        for path, content in (
            (segment.index.path, index),
            (segment.time_index.path, time_index),
            (segment.aborted.path, aborted),
        ):
            write_cleaned(path, content, self._job.token, disk)
        write_replaces(segment.directory, segment.base_offset, last_base_offset, self._job.token, disk)
        self._sizes = len(index), len(time_index), len(aborted)

    def discard(self) -> None:
        """Removes what was made."""
        self._file = None
        discard(self._segment.directory, self._segment.base_offset, self._job.token, self._disk)

    def written(self, last_base_offset: int, is_changed: bool, kept: int, dropped: int) -> Written:
        """Returns what was made."""
        segment = self._segment
        return Written(
            segment.base_offset,
            last_base_offset,
            is_changed,
            segment.size,
            *self._sizes,
            segment.first_timestamp,
            segment.max_timestamp,
            segment.max_timestamp_offset,
            kept,
            dropped,
        )
