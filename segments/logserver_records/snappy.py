"""Snappy as Kafka's clients use it: raw blocks, or blocks in the framing of the Java library (xerial snappy-java).

The framing: 8 bytes of magic, i32 version, i32 lowest compatible version, then blocks, each an i32 length and that many
bytes of raw Snappy. The Java client writes it; librdkafka writes one raw block and reads both; so do we on reading.
Concatenated streams repeat the 16 byte head (`SnappyInputStream.hasNextChunk`).
"""

from struct import Struct
from typing import Final

import cramjam

from logserver_records.batch import Buffer
from logserver_records.errors import CorruptBatch, DecompressionLimitExceeded

BLOCK_BYTES: Final = 32 * 1024
"""Bytes of input in one block of the framing, as in the Java client."""

_MAGIC: Final = b"\x82SNAPPY\x00"
_HEAD: Final = _MAGIC + b"\x00\x00\x00\x01\x00\x00\x00\x01"
_LENGTH: Final = Struct(">i")


def compress_framed(data: Buffer) -> bytes:
    """Returns the data as framed Snappy."""
    parts: list[Buffer] = [_HEAD]
    with memoryview(data) as view:
        for start in range(0, len(view), BLOCK_BYTES):
            with view[start : start + BLOCK_BYTES] as part:
                block = cramjam.snappy.compress_raw(part)
            parts.append(_LENGTH.pack(len(block)))
            parts.append(memoryview(block))
    return b"".join(parts)


def decompress_pieces(data: Buffer, *, max_bytes: int) -> list[Buffer]:
    """Returns what raw or framed Snappy holds, in pieces; nothing is decompressed before all sizes are checked.

    Raises:
        DecompressionLimitExceeded: the blocks declare more than max_bytes (inclusive) together.
        CorruptBatch: the data is cut short or not Snappy.
    """
    with memoryview(data) as view:
        blocks = _framed_blocks(view) if bytes(view[:8]) == _MAGIC else [(0, len(view))]
        declared = 0
        try:
            for start, end in blocks:
                declared += cramjam.snappy.decompress_raw_len(view[start:end])
                if declared > max_bytes:
                    raise DecompressionLimitExceeded(
                        f"snappy data declares {declared} bytes or more decompressed, the limit is {max_bytes} bytes"
                    )
            return [memoryview(cramjam.snappy.decompress_raw(view[start:end])) for start, end in blocks]
        except cramjam.DecompressionError as error:
            raise CorruptBatch(f"snappy data can't be decompressed: {error}") from error


def _framed_blocks(view: memoryview) -> list[tuple[int, int]]:
    """Returns start (inclusive) and end (exclusive) of each block in the framing."""
    blocks = []
    position = 0
    size = len(view)
    while position < size:
        if bytes(view[position : position + 8]) == _MAGIC:
            position += len(_HEAD)
            if position > size:
                raise CorruptBatch("truncated snappy data: it ends inside the head of the framing")
            continue
        start = position + 4
        if start > size:
            raise CorruptBatch("truncated snappy data: it ends inside the length of a block")
        (length,) = _LENGTH.unpack_from(view, position)
        if not 0 < length <= size - start:
            raise CorruptBatch(f"snappy data with a block of {length} bytes where {size - start} are left")
        position = start + length
        blocks.append((start, position))
    return blocks
