"""Finding and cutting out whole batches in a range of a segment.

Everything here works on `fetch(position, size)`, which returns bytes of one segment: through the mapping, by a read
that refuses to wait for the disk (raising `ColdData`), or by one that waits, on a thread.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final, NamedTuple

from logserver_records.batch import HEADER, HEADER_SIZE, LENGTH_OVERHEAD, MAGIC, BatchHeader, Buffer

Fetch = Callable[[int, int], Buffer]

Start = tuple[int, int]
"""Where an index says that a batch begins: its position, and an offset at or before which it begins."""

MAX_OFFSET: Final = (1 << 63) - 1

BEGIN: Final[Start] = (0, MAX_OFFSET)
"""Where a file begins; of the first batch nothing is known."""

_WALK: Final = Struct(">qiibIhi")
"""Base offset, batch length, leader epoch, magic, CRC, attributes, last offset delta."""

_MIN_LENGTH: Final = HEADER_SIZE - LENGTH_OVERHEAD
_LOOK_AHEAD: Final = 4096


class ColdData(Exception):
    """The bytes are not in memory; reading them needs the disk."""


class BadBatch(Exception):
    """No batch stands where the index or the batch before says there is one."""


class Slice(NamedTuple):
    """Whole batches of one segment.

    `next_offset` is where to read on: behind the last record. If `data` is empty it is the offset asked for, or a
    larger one if compaction left nothing in between.
    """

    data: Buffer
    next_offset: int


class Found(NamedTuple):
    """A batch in a segment."""

    position: int
    header: BatchHeader


def find_batch(fetch: Fetch, start: Start, end: int, offset: int) -> Found | None:
    """Returns the first batch at or behind `start` whose last offset is at least `offset`.

    None if there is none before position `end`.

    Raises:
        BadBatch: the walk met bytes that are no batch, or batches out of order.
    """
    position, begins_by = start
    check_start(position, end)
    next_offset = 0
    chunk: Buffer = b""
    chunk_start = position
    while position < end:
        if position - chunk_start + HEADER_SIZE > len(chunk):
            chunk_start = position
            chunk = fetch(position, min(_LOOK_AHEAD, end - position))
            if len(chunk) < HEADER_SIZE:
                raise BadBatch(f"{len(chunk)} bytes at position {position}")
        header = BatchHeader._make(HEADER.unpack_from(chunk, position - chunk_start))
        if header.magic != MAGIC or header.batch_length < _MIN_LENGTH or header.size > end - position:
            raise BadBatch(f"no record batch at position {position}")
        if not next_offset <= header.base_offset <= begins_by or header.last_offset_delta < 0:
            raise out_of_order(position, header.base_offset)
        if header.last_offset >= offset:
            return Found(position, header)
        position += header.size
        next_offset, begins_by = header.next_offset, MAX_OFFSET
    return None


def check_start(position: int, end: int) -> None:
    """Raises:
    BadBatch: a walk can't begin there; an index that says so is damaged.
    """
    if position and not 0 < position < end:
        raise BadBatch(f"no record batch at position {position}: the records end at {end}")


def check_end(next_offset: int, limit: int) -> None:
    """A batch's CRC does not cover its base offset; a reader must not be sent beyond the end by a damaged one, nor over
    records of the next segment.

    Args:
        next_offset: the one behind the batch.
        limit: that may be reached.

    Raises:
        BadBatch: it is beyond.
    """
    if next_offset > limit:
        raise BadBatch(f"a batch ends at offset {next_offset - 1}, what may be read at {limit - 1}")


def out_of_order(position: int, base_offset: int) -> BadBatch:
    """Neither an index's entries nor a batch's base offset are covered by a CRC. Who followed a damaged one would leave
    records out, or read the same ones again."""
    return BadBatch(f"the record batch at position {position} can't begin at offset {base_offset}")


def read_slice(
    fetch: Fetch,
    start: Start,
    end: int,
    offset: int,
    max_bytes: int,
    boundary: Callable[[int], Start] | None = None,
) -> Slice:
    """Returns whole batches from the one that holds `offset` (or the next one) on, at least one if there is one.

    Args:
        start: of a batch at or before the one looked for.
        end: position behind the last batch that may be read.
        max_bytes: soft limit; only the first batch may exceed it.
        boundary: returns for a position some start at or before it, to shorten the walk to the end.

    Raises:
        BadBatch: as `find_batch`.
    """
    position, begins_by = start
    check_start(position, end)
    next_offset = 0
    chunk: Buffer = b""
    chunk_start = position
    unpack = _WALK.unpack_from
    while True:
        if position >= end:
            return Slice(b"", offset)
        at = position - chunk_start
        if at + HEADER_SIZE > len(chunk):
            if position + HEADER_SIZE > end:
                raise BadBatch(f"{end - position} bytes at position {position}")
            # One read covers the usual case: the walk to the first batch is short, and the data follows at once.
            chunk_start = position
            chunk = fetch(position, min(end - position, max_bytes + _LOOK_AHEAD))
            if len(chunk) < HEADER_SIZE:
                raise BadBatch(f"{len(chunk)} bytes at position {position}")
            at = 0
        base_offset, length, _, magic, _, _, last_delta = unpack(chunk, at)
        size = length + LENGTH_OVERHEAD
        if magic != MAGIC or length < _MIN_LENGTH or size > end - position:
            raise BadBatch(f"no record batch at position {position}")
        if not next_offset <= base_offset <= begins_by or last_delta < 0:
            raise out_of_order(position, base_offset)
        next_offset = base_offset + last_delta + 1
        if next_offset > offset:
            break
        begins_by = MAX_OFFSET
        position += size
    wanted = max(size, min(max_bytes, end - position))
    if at + wanted > len(chunk):
        chunk_start = position
        chunk = fetch(position, wanted)
        at = 0
        if len(chunk) < wanted:
            raise BadBatch(f"{len(chunk)} of {wanted} bytes at position {position}")
    limit = at + wanted
    stop = at + size
    begins_by = MAX_OFFSET
    if boundary is not None:
        known, known_by = boundary(chunk_start + limit - HEADER_SIZE)
        if known - chunk_start > stop:
            stop, begins_by = known - chunk_start, known_by
    while stop + HEADER_SIZE <= limit:
        base_offset, length, _, magic, _, _, last_delta = unpack(chunk, stop)
        size = length + LENGTH_OVERHEAD
        if magic != MAGIC or length < _MIN_LENGTH:
            raise BadBatch(f"no record batch at position {chunk_start + stop}")
        if not next_offset <= base_offset <= begins_by or last_delta < 0:
            raise out_of_order(chunk_start + stop, base_offset)
        if begins_by != MAX_OFFSET:
            # What was jumped over ends here at the latest.
            next_offset, begins_by = base_offset, MAX_OFFSET
        if stop + size > limit:
            break
        next_offset = base_offset + last_delta + 1
        stop += size
    return Slice(_cut(chunk, at, stop), next_offset)


def cut_slice(found: Slice, offset: int) -> Slice:
    """Returns of a slice the batches before an offset, at which or behind which a batch begins."""
    data, position, next_offset = found.data, 0, offset
    while position < len(data):
        base_offset, length, _, _, _, _, last_delta = _WALK.unpack_from(data, position)
        if base_offset >= offset:
            break
        next_offset = base_offset + last_delta + 1
        position += length + LENGTH_OVERHEAD
    return Slice(_cut(data, 0, position), next_offset)


def _cut(chunk: Buffer, start: int, stop: int) -> Buffer:
    if start == 0 and stop == len(chunk):
        return chunk
    return memoryview(chunk)[start:stop]
