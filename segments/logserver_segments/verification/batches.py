"""Walking over all batches of a segment file, also past bytes that are none."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from logserver_records.batch import HEADER_SIZE, BatchHeader, read_header

from logserver_segments.scan import ScanStopped, scan
from logserver_segments.seams import File

_CHUNK: Final = 4 << 20
_MAGIC_AT: Final = 16
_LIKELY: Final = re.compile(rb"\x02.{4}\x00[\x00-\x7f]", re.DOTALL)
"""Magic, CRC and attributes of a batch; the latter have no higher bits yet."""
_CHECKED_BYTES: Final = 8
"""What looks like a batch has its CRC taken; over so many times the bytes that are searched, at most."""


class Whole(NamedTuple):
    """A whole valid batch."""

    position: int
    header: BatchHeader


class Damaged(NamedTuple):
    """Bytes that are no valid batch, up to the next one or the end of the file."""

    position: int
    end: int
    reason: str


def walk(file: File, size: int, *, next_offset: int, end_offset: int) -> Iterator[Whole | Damaged]:
    """Yields the batches of a segment file in order, CRCs checked, and the ranges between them that are none.

    Args:
        size: of the file in bytes.
        next_offset: no batch may have a smaller base offset.
        end_offset: no batch may hold this offset or a larger one.

    Raises:
        OSError: the disk refused.
    """
    position = 0
    while position < size:
        try:
            for at, header in scan(
                file, position, size, next_offset=next_offset, end_offset=end_offset, check_from_offset=0
            ):
                yield Whole(at, header)
                next_offset = header.next_offset
                position = at + header.size
            return
        except ScanStopped as stopped:
            behind = _next_valid(file, stopped.position, size, next_offset, end_offset)
            yield Damaged(stopped.position, behind, stopped.reason)
            position = behind


def _next_valid(file: File, position: int, size: int, next_offset: int, end_offset: int) -> int:
    """Returns the position of the first whole valid batch behind a position; the size of the file if there is none."""
    head = file.read(HEADER_SIZE, position)
    if len(head) == HEADER_SIZE:
        # Most damage leaves the length as it was.
        claimed = position + read_header(head).size
        if position < claimed < size and _is_valid(file, claimed, size, next_offset, end_offset):
            return claimed
    budget = _CHECKED_BYTES * (size - position) + _CHUNK
    start = position + 1
    while start < size:
        chunk = file.read(_CHUNK + HEADER_SIZE, start)
        for found in _LIKELY.finditer(chunk, _MAGIC_AT):
            at = found.start() - _MAGIC_AT
            if at >= _CHUNK or at + HEADER_SIZE > len(chunk):
                break
            header = read_header(chunk, at)
            if not (
                next_offset <= header.base_offset < header.next_offset <= end_offset
                and HEADER_SIZE <= header.size <= size - start - at
            ):
                continue
            budget -= header.size
            if budget < 0:
                return size
            if _is_valid(file, start + at, size, next_offset, end_offset):
                return start + at
        start += _CHUNK
    return size


def _is_valid(file: File, position: int, size: int, next_offset: int, end_offset: int) -> bool:
    try:
        next(
            scan(file, position, size, next_offset=next_offset, end_offset=end_offset, check_from_offset=0),
            None,
        )
    except ScanStopped:
        return False
    return True
