"""What of a record batch survives compaction: Apache Kafka's rules (`Cleaner`, `MemoryRecords.filterTo`).

The last record of each key stays; one without a key goes. A tombstone stays for `delete.retention.ms` from the
compaction on that took what it deletes, so that readers on their way see it; until when is put into the header
of its batch in the place of the base timestamp, the *delete horizon* (KIP-534). So it is with the marker of a
transaction of which no batch is left. Aborted records go at once.

An emptied batch keeps its header where it tells a known producer's sequence, or a segment's end: where a segment ends
before the next one begins, recovery takes it for cut short. Its timestamp is no longer above those before it: the time
index would name it.
"""

from collections.abc import Mapping
from itertools import compress
from typing import NamedTuple

from logserver_records.batch import BatchHeader, Buffer, read_header
from logserver_records.codec import KeyOfRecord, decode_batch, decode_keys, rebuild_batch
from logserver_records.errors import RecordError

from logserver_segments.compaction.decided import DecidedTransactions
from logserver_segments.compaction.giving_way import giving_way
from logserver_segments.compaction.job import LastOfProducer
from logserver_segments.compaction.key_map import KeyMap
from logserver_segments.markers import MOST_BYTES, read_marker
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.scan import Found


class Survivor(NamedTuple):
    """A batch that stays, perhaps with fewer records."""

    header: BatchHeader
    data: Buffer
    # If it has the marker of an aborted transaction.
    aborted: AbortedTransaction | None = None


class Filter:
    """Decides batch by batch, in the order of a log from its first segment on.

    Args:
        keys: the last offset of each key, from the first dirty record to `reach`.
        reach: from this offset on records stay as they are.
        producers: those that are known, by id.
        now_ms: what delete horizons are held against.
        delete_retention_ms: how far new ones are from now.
    """

    def __init__(
        self,
        keys: KeyMap,
        reach: int,
        transactions: DecidedTransactions,
        producers: Mapping[int, LastOfProducer],
        now_ms: int,
        delete_retention_ms: int,
        max_decompressed_bytes: int,
    ) -> None:
        self._keys = keys
        self._reach = reach
        self._transactions = transactions
        self._producers = producers
        self._now_ms = now_ms
        self._horizon_ms = now_ms + delete_retention_ms
        self._max_decompressed_bytes = max_decompressed_bytes
        self.kept = 0
        """Records, not counting markers."""
        self.dropped = 0

    def survivor(self, found: Found, is_end: bool, room: int, latest_ms: int) -> Survivor | None:
        """Returns what stays of the next batch, if anything does.

        Args:
            is_end: whether it is the last one of its segment, whose offset has to stay.
            room: bytes that it may be larger than before: a delete horizon is far from the timestamps, so that these
                take more bytes.
            latest_ms: the largest timestamp of what stayed before it in its segment, -1 if there is none.
        """
        stayed = self._marker(found, is_end) if found.header.is_control else self._records(found, is_end, latest_ms)
        if stayed is not None and len(stayed.data) - found.header.size > room:
            # A record too many does no harm, and a tombstone may go another time.
            return stayed._replace(header=found.header, data=_whole(found))
        return stayed

    def _marker(self, found: Found, is_end: bool) -> Survivor | None:
        header = found.header
        marker = None
        if header.record_count:
            try:
                marker = read_marker(found.chunk, found.at) if header.size <= MOST_BYTES else None
            except RecordError:
                # It ends nothing.
                marker = None
            if marker is None:
                # What it is good for nobody here knows.
                return Survivor(header, _whole(found))
        was_seen, aborted = self._transactions.end(header, marker)
        horizon = header.delete_horizon_ms
        if marker is not None and horizon is None and not was_seen:
            return self._rebuilt(found, [True] * header.record_count, self._horizon_ms)._replace(aborted=aborted)
        # Kept with its record, because only that says what a recovery makes of it.
        is_needed = is_end or was_seen or self._tells_producer(header)
        if is_needed or (horizon is not None and horizon > self._now_ms):
            return Survivor(header, _whole(found), aborted)
        return None

    def _records(self, found: Found, is_end: bool, latest_ms: int) -> Survivor | None:
        header = found.header
        if self._transactions.is_aborted(header):
            self.dropped += header.record_count
        elif header.base_offset >= self._reach and header.record_count:
            self.kept += header.record_count
            return Survivor(header, _whole(found))
        elif header.record_count:
            records = decode_keys(found.chunk, found.at, max_decompressed_bytes=self._max_decompressed_bytes)
            stays = self._who_stays(header, records)
            count = sum(stays)
            self.kept += count
            self.dropped += len(records) - count
            if count:
                is_mapped = header.last_offset < self._reach and header.delete_horizon_ms is None
                # Behind the reach what a tombstone deletes is still there.
                has_new_tombstones = is_mapped and any(is_tombstone for _, _, is_tombstone in compress(records, stays))
                if count == len(records) and not has_new_tombstones:
                    return Survivor(header, _whole(found))
                return self._rebuilt(found, stays, self._horizon_ms if has_new_tombstones else None)
        if is_end or self._tells_producer(header):
            return self._emptied(found, latest_ms)
        return None

    def _who_stays(self, header: BatchHeader, records: list[KeyOfRecord]) -> list[bool]:
        get, reach = self._keys.get, self._reach
        horizon = header.delete_horizon_ms
        tombstones_stay = horizon is None or self._now_ms < horizon
        return [
            offset >= reach or (key is not None and (tombstones_stay or not is_tombstone) and get(key) <= offset)
            for offset, key, is_tombstone in giving_way(records)
        ]

    def _rebuilt(self, found: Found, stays: list[bool], horizon_ms: int | None) -> Survivor:
        records = decode_batch(found.chunk, found.at, max_decompressed_bytes=self._max_decompressed_bytes)
        data = rebuild_batch(found.header, compress(records, stays), horizon_ms)
        return Survivor(read_header(data), data)

    @staticmethod
    def _emptied(found: Found, latest_ms: int) -> Survivor:
        header = found.header
        if not header.record_count:
            return Survivor(header, _whole(found))
        # With nothing before it, it keeps its own: retention goes by it.
        timestamp_ms = min(header.max_timestamp, latest_ms) if latest_ms >= 0 else header.max_timestamp
        data = rebuild_batch(header._replace(max_timestamp=timestamp_ms), ())
        return Survivor(read_header(data), data)

    def _tells_producer(self, header: BatchHeader) -> bool:
        """Whether a log that is read again learns the state of a known producer from this batch: its last sequence,
        or, where only a marker is left, its epoch."""
        last = self._producers.get(header.producer_id)
        if last is None:
            return False
        if last.last_offset is not None:
            return last.last_offset == header.last_offset
        return header.is_control and last.epoch == header.producer_epoch


def _whole(found: Found) -> Buffer:
    return memoryview(found.chunk)[found.at : found.at + found.header.size]
