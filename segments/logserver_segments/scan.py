"""Walking through a segment file batch by batch, with or without checking CRCs."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from crc32c import crc32c
from logserver_records.batch import CRC_START, HEADER_SIZE, BatchHeader, check_crc, next_batch, read_header
from logserver_records.errors import CorruptBatch, UnsupportedBatch

from logserver_segments.seams import File

_CHUNK: Final = 1 << 20
_LARGE: Final = 16 << 20
"""A batch larger than this is checked in pieces: what claims to be one may be a whole file of something else."""


class ScanStopped(Exception):
    """What follows at `position` is not a whole valid batch; `reason` says why."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"position {position}: {reason}")
        self.position = position
        self.reason = reason

    def __reduce__(self) -> tuple[type["ScanStopped"], tuple[int, str]]:
        # A worker process may tell it.
        return type(self), (self.position, self.reason)


class Found(NamedTuple):
    """A batch met on a walk: its position in the file, its header, and the bytes that it stands in at `at`."""

    position: int
    header: BatchHeader
    chunk: bytes
    at: int


def scan(
    file: File,
    start: int,
    end: int,
    *,
    next_offset: int,
    end_offset: int | None = None,
    check_from_offset: int | None = None,
) -> Iterator[tuple[int, BatchHeader]]:
    """Yields (position, header) of the batches of a file from one position to another.

    Args:
        file: a segment file.
        start: position of a batch.
        end: position where the data ends.
        next_offset: no batch may have a smaller base offset.
        end_offset: no batch may hold this offset or a larger one; None for no limit.
        check_from_offset: CRCs are checked of batches from this offset on; None checks none.

    Raises:
        ScanStopped: a batch is cut short, corrupt, or out of order. Every batch yielded before it is fine.
    """
    for found in _walk(file, start, end, next_offset, end_offset, check_from_offset):
        yield found.position, found.header


def scan_whole(file: File, start: int, end: int, *, next_offset: int) -> Iterator[Found]:
    """Yields the batches of a file with all their bytes, CRCs checked; otherwise as `scan`."""
    return _walk(file, start, end, next_offset, None, next_offset)


def _walk(
    file: File, start: int, end: int, next_offset: int, end_offset: int | None, check_from_offset: int | None
) -> Iterator[Found]:
    position = start
    chunk = b""
    chunk_start = start
    while position < end:
        at = position - chunk_start
        if at + HEADER_SIZE > len(chunk):
            chunk_start, chunk, at = position, file.read(min(_CHUNK, end - position), position), 0
            if len(chunk) < HEADER_SIZE:
                raise ScanStopped(position, f"{len(chunk)} bytes are less than a record batch header")
        head = read_header(chunk, at)
        size = head.size
        checking = check_from_offset is not None and max(next_offset, head.base_offset) >= check_from_offset
        if checking and at + size > len(chunk) and 0 < size <= min(end - position, _LARGE):
            # The length may be a lie, but never beyond the file.
            chunk_start, chunk, at = position, file.read(max(size, min(_CHUNK, end - position)), position), 0
        try:
            if checking and _LARGE < size <= end - position:
                header = head
                _check_large(file, position, head)
            elif checking:
                header = next_batch(chunk, at)
                check_crc(chunk, at, header)
            else:
                header = read_header(chunk, at)
                if header.magic != 2 or header.size < HEADER_SIZE or header.size > end - position:
                    raise CorruptBatch("no record batch")
        except (CorruptBatch, UnsupportedBatch) as error:
            raise ScanStopped(position, str(error)) from None
        if header.base_offset < next_offset or header.last_offset_delta < 0:
            raise ScanStopped(position, f"base offset {header.base_offset} where {next_offset} or more was expected")
        # The CRC does not cover the base offset.
        if end_offset is not None and header.next_offset > end_offset:
            raise ScanStopped(position, f"last offset {header.last_offset} where {end_offset - 1} is the end")
        yield Found(position, header, chunk, at)
        next_offset = header.next_offset
        position += header.size


def _check_large(file: File, position: int, header: BatchHeader) -> None:
    """Checks a batch without having it in memory as a whole.

    Raises:
        CorruptBatch: it is none, or its CRC is wrong.
    """
    if header.magic != 2 or not 0 <= header.record_count <= header.last_offset_delta + 1:
        raise CorruptBatch("no record batch")
    crc = 0
    at, end = position + CRC_START, position + header.size
    while at < end:
        piece = file.read(min(_CHUNK, end - at), at)
        if not piece:
            raise CorruptBatch(f"the file ends inside a batch of {header.size} bytes")
        crc = crc32c(piece, crc)
        at += len(piece)
    if crc != header.crc:
        raise CorruptBatch(f"record batch of {header.size} bytes with a wrong CRC")
