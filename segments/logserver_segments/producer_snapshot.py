"""The `.snapshot` files, which keep what a log knows of its producers.

The last batch of each, in Kafka's format, version 1: version i16, CRC-32C u32 of what follows, count i32, then per
producer: id i64, epoch i16, last sequence i32, last offset i64, offset delta i32, timestamp i64, coordinator epoch i32,
first offset of the open transaction i64 (Kafka: `ProducerStateManager.writeSnapshot`).
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final

from crc32c import crc32c
from logserver_records.batch import NO_SEQUENCE

from logserver_segments.producer import NO_TRANSACTION, AppendedBatch, Producer

_HEAD: Final = Struct(">hIi")
_ENTRY: Final = Struct(">qhiqiqiq")
_VERSION: Final = 1
_CRC_START: Final = 6
_MAX_SEQUENCE: Final = 0x7FFFFFFF


class SnapshotDamaged(Exception):
    """A snapshot file that can't be read."""


def pack_snapshot(producers: Iterable[tuple[int, Producer]]) -> bytes:
    """Returns the content of a snapshot file of (producer id, state), those that wrote last at the end."""
    entries = []
    for producer_id, producer in producers:
        if producer.batches:
            last = producer.batches[-1]
            offsets = (last.last_sequence, last.last_offset, last.last_offset - last.first_offset)
        else:
            offsets = (NO_SEQUENCE, -1, 0)
        entries.append(
            _ENTRY.pack(
                producer_id,
                producer.epoch,
                *offsets,
                producer.timestamp_ms,
                producer.coordinator_epoch,
                producer.transaction_first_offset,
            )
        )
    body = b"".join((len(entries).to_bytes(4, "big"), *entries))
    return _HEAD.pack(_VERSION, crc32c(body), len(entries))[:_CRC_START] + body


def unpack_snapshot(content: bytes) -> list[tuple[int, Producer]]:
    """Returns (producer id, state) of all producers in a snapshot file.

    Raises:
        SnapshotDamaged: it is cut short, of another version, or its CRC is wrong.
    """
    if len(content) < _HEAD.size:
        raise SnapshotDamaged(f"{len(content)} bytes are too few")
    version, crc, count = _HEAD.unpack_from(content)
    if version != _VERSION:
        raise SnapshotDamaged(f"version {version} is not known")
    if crc32c(content[_CRC_START:]) != crc:
        raise SnapshotDamaged("the CRC is wrong")
    if count < 0 or len(content) - _HEAD.size != count * _ENTRY.size:
        raise SnapshotDamaged(f"{count} entries do not fit its size of {len(content)} bytes")
    found = []
    for entry in _ENTRY.iter_unpack(content[_HEAD.size :]):
        producer_id, epoch, last_sequence, last_offset, delta, timestamp, coordinator_epoch, transaction = entry
        producer = Producer(epoch)
        producer.coordinator_epoch = coordinator_epoch
        producer.timestamp_ms = timestamp
        producer.transaction_first_offset = max(transaction, NO_TRANSACTION)
        if last_offset >= 0:
            first = (last_sequence - delta) & _MAX_SEQUENCE
            producer.batches.append(
                AppendedBatch(
                    first if last_sequence != NO_SEQUENCE else NO_SEQUENCE,
                    last_sequence,
                    last_offset - delta,
                    last_offset,
                    timestamp,
                )
            )
        found.append((producer_id, producer))
    return found
