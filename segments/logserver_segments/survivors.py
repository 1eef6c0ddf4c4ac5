"""Which records of a log survive compaction, and writing them; the part that a worker does.

Keys are remembered as 128-bit digests, so memory is bounded by the number of distinct keys and not by their size.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import mmh3
from logserver_records.batch import BatchHeader, read_header
from logserver_records.codec import Record, decode_batch, rebuild_batch

from logserver_segments.config import LogConfig
from logserver_segments.decided import DecidedTransactions
from logserver_segments.markers import stored_marker
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.scan import scan
from logserver_segments.seams import Disk, File
from logserver_segments.segment import Segment
from logserver_segments.swap import CLEANED_SUFFIX, undo_swap
from logserver_segments.transaction_index import packed

_NO_KEY: Final = -1


class Part(NamedTuple):
    """A segment to read on another thread, where the log's own objects may not be touched."""

    file: File
    base_offset: int
    size: int


class LastOfProducer(NamedTuple):
    """By what a log that is read again learns the state of a producer."""

    # Of its last batch; None if there is only a marker.
    last_offset: int | None
    epoch: int


class Rules(NamedTuple):
    """What decides who survives."""

    config: LogConfig
    # The offset of the last record of each key, by digest.
    latest: Mapping[bytes, int]
    # By producer id.
    producers: Mapping[int, LastOfProducer]
    # Tombstones and markers that are not older than this stay.
    horizon_ms: int


class Survivors(NamedTuple):
    """What was written: records kept and dropped, aborted transactions whose markers were kept."""

    kept: int
    dropped: int
    aborted: list[AbortedTransaction]


def _batches(part: Part) -> Iterator[tuple[int, BatchHeader]]:
    return scan(part.file, 0, part.size, next_offset=part.base_offset, check_from_offset=0)


def _records(file: File, position: int, header: BatchHeader, max_bytes: int) -> list[Record]:
    return decode_batch(file.read(header.size, position), max_decompressed_bytes=max_bytes)


def latest_offsets(parts: Sequence[Part], aborted: Sequence[AbortedTransaction], config: LogConfig) -> dict[bytes, int]:
    """Returns the offset of the last record of each key, by digest; those that were aborted do not count."""
    latest: dict[bytes, int] = {}
    transactions = DecidedTransactions(aborted)
    for part in parts:
        for position, header in _batches(part):
            if header.is_control:
                transactions.end(header, stored_marker(part.file, position, header))
            elif not transactions.is_aborted(header):
                for record in _records(part.file, position, header, config.max_decompressed_bytes):
                    if record.key is not None:
                        latest[mmh3.hash_bytes(record.key)] = record.offset
    return latest


def write_cleaned(
    new: Segment, parts: Sequence[Part], transactions: DecidedTransactions, rules: Rules, disk: Disk
) -> Survivors:
    """Writes the surviving batches of some segments, and their indexes, to synced `.cleaned` files."""
    undo_swap(new.directory, new.base_offset, disk)
    try:
        out = disk.open(new.path + CLEANED_SUFFIX, create=True)
        survivors = _write_survivors(new, out, parts, transactions, rules)
        out.sync()
        new.close_time_index()
        for index in (new.index, new.time_index):
            disk.write_file(index.path + CLEANED_SUFFIX, index.content(), durable=True)
        disk.write_file(new.aborted.path + CLEANED_SUFFIX, packed(survivors.aborted), durable=True)
    except BaseException:
        # On a full disk somebody needs the space.
        undo_swap(new.directory, new.base_offset, disk)
        raise
    new.indexes_rebuilt()
    return survivors


def _write_survivors(
    new: Segment, out: File, parts: Sequence[Part], transactions: DecidedTransactions, rules: Rules
) -> Survivors:
    kept = dropped = 0
    aborted = []
    for part in parts:
        for position, header in _batches(part):
            is_last = part is parts[-1] and position + header.size == part.size
            batch = part.file.read(header.size, position)
            if header.is_control:
                was_seen, transaction = transactions.end(header, stored_marker(part.file, position, header))
                if not (was_seen or is_last or _marker_stays(header, rules)):
                    continue
                if transaction is not None:
                    aborted.append(transaction)
            else:
                records = _records(part.file, position, header, rules.config.max_decompressed_bytes)
                survivors = []
                if not transactions.is_aborted(header):
                    survivors = [record for record in records if _survives(record, rules)]
                kept += len(survivors)
                dropped += len(records) - len(survivors)
                if not (survivors or is_last or _tells_sequence(header, rules)):
                    continue
                if len(survivors) < len(records):
                    batch = rebuild_batch(header, survivors)
            out.write((batch,), new.size)
            new.note_batch(read_header(batch), new.size, rules.config.index_interval_bytes)
            new.size += len(batch)
    return Survivors(kept, dropped, aborted)


def _survives(record: Record, rules: Rules) -> bool:
    if record.key is None:
        return True
    if rules.latest.get(mmh3.hash_bytes(record.key), _NO_KEY) > record.offset:
        return False
    return record.value is not None or record.timestamp_ms >= rules.horizon_ms


def _tells_sequence(header: BatchHeader, rules: Rules) -> bool:
    """Whether a batch is the last one of a producer that is known still."""
    last = rules.producers.get(header.producer_id)
    return last is not None and last.last_offset == header.last_offset


def _marker_stays(header: BatchHeader, rules: Rules) -> bool:
    """Whether a marker stays although its transaction's records are gone: for readers on their way, and for fencing."""
    last = rules.producers.get(header.producer_id)
    fences = last is not None and last.last_offset is None and last.epoch == header.producer_epoch
    return fences or header.max_timestamp >= rules.horizon_ms
