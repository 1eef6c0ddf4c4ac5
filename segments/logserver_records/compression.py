"""Compression of the records of a batch, and decompression with a limit on what may come out.

The formats are those that Apache Kafka's clients write (`org.apache.kafka.common.compress`): gzip members, raw or
framed Snappy, LZ4 frames and Zstandard frames. No stream is trusted with a size: output is taken in pieces and counted,
and whatever a stream declares about itself is checked before memory is asked for.
"""

import sys
import zlib
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

import lz4.frame

from logserver_records import snappy
from logserver_records.batch import Buffer
from logserver_records.errors import CorruptBatch, DecompressionLimitExceeded, UnsupportedBatch

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES: Final = 1 << 20
"""Most that is taken out of a decompressor at once."""

MAX_FRAMES: Final = 1024
"""Most gzip members, LZ4 or Zstandard frames in one batch. Kafka's clients write one; each costs a new decompressor."""

ZSTD_MAX_WINDOW_BYTES: Final = 1 << 27
"""Largest Zstandard window accepted, unless a larger output is. Level 22, the highest that Kafka takes, declares this
one; it is reserved as a whole but becomes resident only as far as there is output."""

_ZSTD_SINGLE_SEGMENT: Final = 0x20
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_GZIP_WBITS: Final = 31


class Compression(IntEnum):
    """The codecs by their number in a batch's attributes (Kafka: `CompressionType`)."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4

    @property
    def label(self) -> str:
        """Kafka's name of the codec, as in the topic setting `compression.type`."""
        return self.name.lower()

    @classmethod
    def parse(cls, name: str) -> "Compression":
        """Returns the codec of a name: none, gzip, snappy, lz4 or zstd.

        Raises:
            ValueError: another name; the message lists these.
        """
        for codec in cls:
            if name == codec.label:
                return codec
        raise ValueError(f"unknown compression {name!r}; choose one of {', '.join(codec.label for codec in cls)}")

    @classmethod
    def of(cls, number: int) -> "Compression":
        """Returns the codec of a number from a batch's attributes.

        Raises:
            UnsupportedBatch: no codec has this number.
        """
        try:
            return cls(number)
        except ValueError:
            raise UnsupportedBatch(f"record batch with the unknown compression codec {number}") from None


LEVELS: Final = {Compression.GZIP: (1, 9), Compression.LZ4: (1, 17), Compression.ZSTD: (-131072, 22)}
"""Lowest and highest level (inclusive) of the codecs that have levels, as Kafka's `compression.*.level` (KIP-390)."""


def check_level(codec: Compression, level: int | None) -> None:
    """Checks a compression level; None stands for the codec's own default.

    Raises:
        ValueError: the codec has no levels, or not this one.
    """
    if level is None:
        return
    if codec not in LEVELS:
        raise ValueError(f"compression {codec.label} has no levels, got level {level}")
    lowest, highest = LEVELS[codec]
    if not lowest <= level <= highest:
        raise ValueError(f"compression {codec.label} has levels {lowest} to {highest}, got level {level}")


def compress(codec: Compression, data: Buffer, level: int | None = None) -> bytes:
    """Returns the data compressed, in the form that Kafka's Java client writes.

    Args:
        codec: what to compress with; NONE copies.
        data: any number of bytes, also none.
        level: see `LEVELS`; None for the codec's default.

    Raises:
        ValueError: the codec doesn't have this level.
    """
    check_level(codec, level)
    if codec == Compression.GZIP:
        # zlib and not cramjam: at the default level it took 12 ms for 1 MB of JSON, cramjam 18 ms.
        return zlib.compress(data, -1 if level is None else level, wbits=_GZIP_WBITS)
    if codec == Compression.SNAPPY:
        return snappy.compress_framed(data)
    if codec == Compression.LZ4:
        # Kafka's KafkaLZ4BlockInputStream refuses blocks that depend on earlier ones.
        return bytes(
            lz4.frame.compress(
                data,
                compression_level=0 if level is None else level,
                block_size=lz4.frame.BLOCKSIZE_MAX64KB,
                block_linked=False,
                store_size=False,
            )
        )
    if codec == Compression.ZSTD:
        return zstd.compress(data, level)
    return bytes(data)


def decompress(codec: Compression, data: Buffer, *, max_bytes: int) -> bytes:
    """Returns the data decompressed.

    While a stream that is too large is being refused, about `max_bytes` are resident, with Zstandard its window in
    addition (no more than `max_bytes` of it either); nothing at all where the stream declares its size, as Snappy does
    always and Zstandard often.

    Args:
        codec: what the data is compressed with; NONE copies.
        data: one whole compressed stream. Concatenated gzip members, LZ4 and Zstandard frames count as one.
        max_bytes: how many bytes may come out (inclusive).

    Raises:
        DecompressionLimitExceeded: more would come out; the message names the limit.
        CorruptBatch: the data is cut short or not of this format.
    """
    return b"".join(decompress_pieces(codec, data, max_bytes=max_bytes))


def decompress_pieces(codec: Compression, data: Buffer, *, max_bytes: int) -> list[Buffer]:
    """Like `decompress`, but returns what came out in pieces, for a caller that joins them with more."""
    if codec == Compression.GZIP:
        return _drain(codec, lambda: zlib.decompressobj(_GZIP_WBITS), data, max_bytes)
    if codec == Compression.SNAPPY:
        return snappy.decompress_pieces(data, max_bytes=max_bytes)
    if codec == Compression.LZ4:
        return _drain(codec, lz4.frame.LZ4FrameDecompressor, data, max_bytes)
    if codec == Compression.ZSTD:
        options = _zstd_options(data, max_bytes)
        return _drain(codec, lambda: zstd.ZstdDecompressor(options=options), data, max_bytes)
    if len(data) > max_bytes:
        raise DecompressionLimitExceeded(f"{len(data)} bytes of records, the limit is {max_bytes} bytes")
    return [bytes(data)]


def _drain(codec: Compression, new: Callable[[], Any], data: Buffer, max_bytes: int) -> list[Buffer]:
    """Takes frame after frame out of data; `new` makes the decompressor of one frame.

    The decompressors of zlib, lz4 and zstd share `decompress(data, max_length)`, `eof` and `unused_data`. Only zlib
    hands input back that it had no room for (`unconsumed_tail`); the others keep it.
    """
    pieces: list[Buffer] = []
    room = max_bytes
    source: Buffer = data
    frames = 0
    try:
        while len(source) or not frames:
            frames += 1
            if frames > MAX_FRAMES:
                raise CorruptBatch(f"{codec.label} data of more than {MAX_FRAMES} frames")
            decompressor = new()
            while not decompressor.eof:
                piece = decompressor.decompress(source, min(PIECE_BYTES, room + 1))
                if not piece and not decompressor.eof:
                    raise CorruptBatch(f"truncated {codec.label} data: it ends inside a frame")
                room -= len(piece)
                if room < 0:
                    raise DecompressionLimitExceeded(
                        f"{codec.label} data decompresses to more than the limit of {max_bytes} bytes"
                    )
                if piece:
                    pieces.append(piece)
                source = getattr(decompressor, "unconsumed_tail", b"")
            source = decompressor.unused_data or b""
    # lz4.frame reports bad data as RuntimeError.
    except (zlib.error, zstd.ZstdError, RuntimeError) as error:
        raise CorruptBatch(f"{codec.label} data can't be decompressed: {error}") from error
    return pieces


def _zstd_options(data: Buffer, max_bytes: int) -> dict[int, int]:
    """Checks what the Zstandard frames declare and returns the options for reading them."""
    # Rounded up: a frame that declares its content has a window of just that size.
    window_log = (max(ZSTD_MAX_WINDOW_BYTES, max_bytes) - 1).bit_length()
    max_window_bytes = 1 << window_log
    position = 0
    declared = 0
    frames = 0
    with memoryview(data) as view:
        while position < len(view) and frames < MAX_FRAMES:
            frames += 1
            with view[position:] as frame:
                try:
                    content_bytes = zstd.get_frame_info(frame).decompressed_size
                    position += zstd.get_frame_size(frame)
                except zstd.ZstdError as error:
                    raise CorruptBatch(f"truncated zstd data, or not zstd data: {error}") from error
                window_bytes = _zstd_window_bytes(frame)
            declared += content_bytes or 0
            if declared > max_bytes:
                raise DecompressionLimitExceeded(
                    f"zstd data declares {declared} bytes decompressed, the limit is {max_bytes} bytes"
                )
            if window_bytes > max_window_bytes:
                raise DecompressionLimitExceeded(
                    f"zstd data needs a window of {window_bytes} bytes, the limit is {max_window_bytes} bytes"
                )
    return {zstd.DecompressionParameter.window_log_max: min(window_log, 31)}


def _zstd_window_bytes(frame: memoryview) -> int:
    """Returns the window that a frame declares (RFC 8878, 3.1.1.1.2), 0 where its content is the window."""
    if bytes(frame[:4]) != _ZSTD_MAGIC or frame[4] & _ZSTD_SINGLE_SEGMENT:
        return 0
    exponent, mantissa = frame[5] >> 3, frame[5] & 7
    base = 1 << (10 + exponent)
    return base + (base >> 3) * mantissa
