"""Payloads that take long to check or to compress anew: that is done by a worker thread, before they are appended.

The thread that owns the logs serves everybody, and decompressing, checking and compressing a batch of a megabyte takes
it up to a tenth of a second. What is prepared is appended as cheaply as any other payload.
"""

from struct import Struct
from typing import Final, NamedTuple

from logserver_records.batch import COMPRESSION_MASK, HEADER_SIZE, BatchHeader, Buffer, next_batch
from logserver_records.compression import Compression, decompress
from logserver_records.errors import DecompressionLimitExceeded, RecordError

from logserver_segments.config import LogConfig
from logserver_segments.recompression import recompress
from logserver_segments.validation import check_payload, looks_at_records

_AT_ONCE_BYTES: Final = 16 * 1024
"""So many bytes of records are looked at, or compressed, at once: a millisecond at most."""
_ATTRIBUTES: Final = Struct(">21xh")


class Prepared(NamedTuple):
    """A payload that has been checked, in the form that it is to be stored in."""

    payload: bytes
    batches: list[tuple[int, BatchHeader]]
    """Position and header of each."""
    config: LogConfig
    """By which it was checked."""


def takes_long(payload: Buffer, config: LogConfig, now_ms: int) -> bool:
    """Whether a payload of one batch should be prepared by another thread."""
    if not HEADER_SIZE <= len(payload) <= config.max_message_bytes:
        return False
    codec = _ATTRIBUTES.unpack_from(payload)[0] & COMPRESSION_MASK
    if len(payload) <= _AT_ONCE_BYTES and not codec:
        return False
    try:
        header = next_batch(payload)
        changes = config.compression is not None and codec != config.compression
        if not changes and not looks_at_records(header, config, now_ms):
            return False
        if len(payload) > _AT_ONCE_BYTES:
            return True
        with memoryview(payload) as view, view[HEADER_SIZE : header.size] as packed:
            decompress(Compression.of(codec), packed, max_bytes=_AT_ONCE_BYTES)
    except DecompressionLimitExceeded:
        return True
    except RecordError:
        # It will be refused.
        return False
    return False


def prepare(payload: bytes, config: LogConfig, now_ms: int) -> Prepared:
    """Checks a payload, and compresses it anew if the settings say so; for another thread.

    Raises:
        StorageError: as `check_payload` and `recompress`.
    """
    batches = check_payload(payload, config, now_ms)
    stored: Buffer = payload
    if config.compression is not None:
        stored, batches = recompress(payload, batches, config.compression, config)
    return Prepared(bytes(stored), batches, config)
