"""Payloads that another thread prepares are stored as those that are appended at once."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logserver_records.batch import read_header
from logserver_records.codec import build_batch
from logserver_records.compression import Compression
from logserver_segments.config import LogConfig
from logserver_segments.errors import InvalidRecords, RecordsTooLarge, StorageError
from logserver_segments.preparation import prepare, takes_long

from .support import NOW, Box, read_all, run

HOUR_MS = 3_600_000
RANDOM = random.Random(1)
LARGE = RANDOM.randbytes(40_000)
RECOMPRESSING = LogConfig(compression=Compression.ZSTD)
COMPACTED = LogConfig(compact=True)


def batch(*values: bytes, timestamp_ms: int = NOW, compression: Compression = Compression.NONE) -> bytes:
    return build_batch([(timestamp_ms, b"k", value, ()) for value in values], compression=compression)


@pytest.mark.parametrize(
    ("payload", "config", "expected"),
    [
        # Nothing but the header is looked at, whatever the size.
        (batch(LARGE), LogConfig(), False),
        (batch(LARGE, compression=Compression.GZIP), LogConfig(), False),
        (batch(LARGE), LogConfig(compression=Compression.NONE), False),
        (batch(LARGE, compression=Compression.ZSTD), RECOMPRESSING, False),
        # The records are, and are many.
        (batch(LARGE), RECOMPRESSING, True),
        (batch(LARGE), COMPACTED, True),
        (batch(LARGE), LogConfig(timestamp_before_max_ms=HOUR_MS), True),
        (batch(LARGE, timestamp_ms=NOW + 2 * HOUR_MS), LogConfig(), True),
        (batch(LARGE, timestamp_ms=NOW + 2 * HOUR_MS), LogConfig(log_append_time=True), False),
        (batch(LARGE, compression=Compression.GZIP), COMPACTED, True),
        # They are few.
        (batch(b"small"), RECOMPRESSING, False),
        (batch(b"small", compression=Compression.GZIP), RECOMPRESSING, False),
        (batch(b"small", compression=Compression.LZ4), COMPACTED, False),
        # They look few.
        (batch(bytes(1_000_000), compression=Compression.GZIP), COMPACTED, True),
        (batch(bytes(1_000_000), compression=Compression.ZSTD), COMPACTED, True),
        (batch(bytes(1_000_000), compression=Compression.ZSTD), LogConfig(compression=Compression.LZ4), True),
        # They will be refused for less.
        (batch(LARGE), replace(RECOMPRESSING, max_message_bytes=30_000), False),
        (batch(LARGE)[:-1], RECOMPRESSING, False),
        (batch(LARGE)[:60], RECOMPRESSING, False),
        (b"", RECOMPRESSING, False),
    ],
)
def test_what_takes_long(payload: bytes, config: LogConfig, expected: bool) -> None:
    assert takes_long(payload, config, NOW) is expected


CONFIGS = (
    *(LogConfig(compression=codec) for codec in (None, *Compression)),
    COMPACTED,
    LogConfig(compact=True, compression=Compression.LZ4),
    LogConfig(timestamp_before_max_ms=1000),
    LogConfig(log_append_time=True, compression=Compression.GZIP),
    LogConfig(max_message_bytes=200, compression=Compression.NONE),
)


@given(
    st.sampled_from(CONFIGS),
    st.sampled_from(list(Compression)),
    st.lists(
        st.tuples(st.integers(NOW - 2000, NOW + HOUR_MS + 2), st.sampled_from((None, b"k")), st.binary(max_size=300)),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_both_ways_store_or_refuse_the_same(
    config: LogConfig, codec: Compression, records: list[tuple[int, bytes | None, bytes]], is_damaged: bool
) -> None:
    payload = bytearray(build_batch([(*record, ()) for record in records], compression=codec))
    payload[-1] ^= is_damaged
    at_once, later = Box(config), Box(config)
    told: list[object] = []
    for box, is_prepared in ((at_once, False), (later, True)):
        try:
            prepared = run(box.log.prepare(bytes(payload), NOW)) if is_prepared else bytes(payload)
            told.append(box.log.append(prepared, 3, NOW))
        except StorageError as error:
            told.append((type(error), str(error), getattr(error, "refused", None)))
    assert told[0] == told[1]
    assert stored(at_once) == stored(later)


def stored(box: Box) -> bytes:
    segment = box.log.segments[-1]
    return bytes(segment.file.read(segment.size, 0)) if segment.size else b""


def test_settings_that_change_meanwhile_are_those_that_count() -> None:
    box = Box(RECOMPRESSING)
    prepared = prepare(build_batch([(NOW, None, LARGE, ())]), RECOMPRESSING, NOW)
    box.log.config = replace(RECOMPRESSING, compact=True)
    with pytest.raises(InvalidRecords, match="no key"):
        box.log.append(prepared, 0, NOW)
    box.log.config = replace(RECOMPRESSING, max_message_bytes=1000)
    with pytest.raises(RecordsTooLarge):
        box.log.append(prepared, 0, NOW)
    box.log.config = LogConfig(compression=Compression.LZ4)
    box.log.append(prepared, 0, NOW)
    assert read_header(stored(box)).compression == Compression.LZ4
    assert read_all(box.log)[0].value == LARGE
