"""What a target is, and what several need to make something of an input."""

import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from logserver_records.codec import build_batch
from logserver_records.control import ControlType, EndTransactionMarker, build_marker
from logserver_segments.reading import Slice

NOW_MS = 1_700_000_000_000

_MOST_RECORDS = 50
_TOMBSTONE, _PENDING, _MARKER, _COMMIT = 1, 2, 4, 8


class Target(NamedTuple):
    """Code that reads what others have written."""

    run: Callable[[bytes], None]
    """Raises where the code does what it should not."""
    examples: Callable[[], Iterable[bytes]]
    """Returns good input, to begin with."""

    @property
    def name(self) -> str:
        return self.run.__name__


def parts(data: bytes) -> Iterator[bytes]:
    """Yields what an input has one after the other, each behind two bytes with its length."""
    position = 0
    while position + 2 <= len(data):
        behind = position + 2 + int.from_bytes(data[position : position + 2], "big")
        yield data[position + 2 : behind]
        position = behind


def joined(*pieces: bytes) -> bytes:
    """Returns an input of these parts."""
    return b"".join(struct.pack(">H", len(piece)) + piece for piece in pieces)


def records_input(records: Iterable[tuple[bytes, bytes | None]], flags: int = 0) -> bytes:
    """Returns an input of records for a `Stored`."""
    return joined(
        *(
            piece
            for key, value in records
            for piece in (bytes((flags | (value is None) * _TOMBSTONE,)), key, value or b"")
        )
    )


class Stored:
    """A partition that holds what an input says: records of flags, key and value, each a batch of its own.

    Some are tombstones, some of transactions of a few producers; others are the markers that end these.
    """

    log_start_offset = 0

    def __init__(self, data: bytes) -> None:
        pieces = parts(data)
        batches: list[bytes] = []
        for flag, key, value in islice(zip(pieces, pieces, pieces, strict=False), _MOST_RECORDS):
            batches.append(_batch(flag[0] if flag else 0, len(batches), key, value))
        self.high_watermark = self.committed_offset = len(batches)
        self._data = b"".join(batches)

    def __str__(self) -> str:
        return "stored-0"

    def read(self, offset: int, max_bytes: int, committed_only: bool = False) -> Slice:
        """Returns all that there is."""
        return Slice(self._data, self.high_watermark)

    def set_listener(self, listener: object) -> None:
        """Nothing comes any more."""


def _batch(flag: int, offset: int, key: bytes, value: bytes) -> bytes:
    producer_id = flag >> 6 if flag & (_PENDING | _MARKER) else -1
    if flag & _MARKER:
        marker = EndTransactionMarker(ControlType.COMMIT if flag & _COMMIT else ControlType.ABORT, 0)
        made = build_marker(marker, timestamp_ms=NOW_MS, producer_id=producer_id, producer_epoch=0)
    else:
        headers = tuple((name.decode("latin-1"), value[:20]) for name in (b"created", b"lease") if flag & 32)
        made = build_batch(
            [(NOW_MS, key, None if flag & _TOMBSTONE else value, headers)],
            producer_id=producer_id,
            producer_epoch=0 if producer_id >= 0 else -1,
            base_sequence=0 if producer_id >= 0 else -1,
            is_transactional=bool(flag & _PENDING),
        )
    return struct.pack(">q", offset) + made[8:]
