"""Feeds the decoder with bytes that may make a compiled reader crash; run as a process of its own.

    python -m tests.records.hostile fuzz SEED EXAMPLES
    python -m tests.records.hostile edge

Exit code 0 if every batch was decoded as the reference decodes it, or refused where the reference refuses it.
"""

import ctypes
import faulthandler
import mmap
import resource
import sys

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from logserver_records.codec import decode_batch
from logserver_records.errors import RecordError

from .reference import (
    Invalid,
    OddAttributes,
    Reader,
    RefBatch,
    RefRecord,
    compress,
    decode,
    encode,
    encode_record,
    encode_records,
    varint,
)
from .strategies import batches

MEMORY_BYTES = 2 << 30
LIMIT_BYTES = 1 << 20
INTERESTING = [0, 1, -1, 2, 7, 63, 64, -64, 2**31 - 1, -(2**31), 2**40, 2**63 - 1, 2**63 - 40, 2**63 - 200, -(2**63)]

numbers = st.one_of(st.sampled_from(INTERESTING), st.integers(-(2**63), 2**63 - 1))
"""Values to put where a length or a count may be."""


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """The records of a batch with something done to them."""
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(out)))
        kind = draw(st.sampled_from(["set", "number", "insert", "cut", "drop", "repeat"]))
        if kind == "set" and at < len(out):
            out[at] = draw(st.integers(0, 255))
        elif kind == "number":
            out[at : at + 1] = varint(draw(numbers))
        elif kind == "insert":
            out[at:at] = draw(st.binary(min_size=1, max_size=12))
        elif kind == "cut":
            del out[at:]
        elif kind == "drop":
            del out[at : at + draw(st.integers(1, 20))]
        else:
            out[at:at] = out[at : at + draw(st.integers(1, 40))]
    return bytes(out)


@st.composite
def hostile_batches(draw: st.DrawFn) -> bytes:
    """Batches with a right CRC and anything else wrong."""
    batch = draw(batches())
    bodies = [encode_record(record, batch.base_offset, 5) for record in batch.records]
    kind = draw(st.sampled_from(["one body", "one body", "all bytes", "noise"]))
    if kind == "one body" and bodies:
        # The length of the record is made right again, so that its fields are what is wrong.
        at = draw(st.integers(0, len(bodies) - 1))
        body = draw(mutations(without_length(bodies[at])))
        bodies[at] = varint(len(body)) + body
    records = b"".join(bodies)
    if kind == "all bytes":
        records = draw(mutations(records))
    elif kind == "noise":
        records = draw(st.binary(max_size=100))
    count = len(bodies)
    last = batch.last_offset_delta
    if draw(st.integers(0, 3)) == 0:
        count = draw(st.one_of(st.integers(0, 20), st.sampled_from([2**31 - 1, -1, -(2**31)])))
        last = draw(st.sampled_from([count - 1 if count > 0 else 0, 0, 2**31 - 1, -1, -(2**31)]))
    changes = {
        "base_timestamp": 5,
        "record_count": count,
        "last_offset_delta": last,
        "base_offset": draw(st.sampled_from([batch.base_offset] * 5 + [2**63 - 1, -5])),
    }
    return encode(RefBatch(**{**vars(batch), **changes}), compress(batch.codec, records))


def without_length(record: bytes) -> bytes:
    reader = Reader(record)
    reader.varint()
    return reader.take(reader.left)


def compare(data: bytes) -> bool:
    """Decodes a batch; true if it could be. Fails unless the reference agrees."""
    try:
        records = decode_batch(data, max_decompressed_bytes=LIMIT_BYTES, verify_crc=True)
    except RecordError:
        records = None
    try:
        expected = decode(data).records
    except OddAttributes:
        # The codec takes such a byte for the start of a longer number (see its module); only crashing is forbidden.
        return False
    except Invalid:
        assert records is None, (data, records)
        return False
    assert records is not None, (data, expected)
    read = [(*record[:4], tuple(record[4])) for record in records]
    assert read == [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in expected], data
    return True


def fuzz(number: int, examples: int) -> str:
    """Compares that many hostile batches; returns how it went."""
    decoded = 0

    @seed(number)
    @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(hostile_batches())
    def run(data: bytes) -> None:
        nonlocal decoded
        decoded += compare(data)

    run()
    return f"{examples} batches, {decoded} of them could be decoded"


def edge() -> str:
    """Decodes batches that end where readable memory ends: one byte read beyond them kills the process."""
    page_bytes = mmap.PAGESIZE
    area = mmap.mmap(-1, 2 * page_bytes)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(start + page_bytes), ctypes.c_size_t(page_bytes), 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    readable = memoryview(area)[:page_bytes]
    record = RefRecord(0, 1, b"key", b"value", (("name", b"data"), ("null", None)))
    whole = encode_records(RefBatch((record,)))
    bodies = [
        whole[:size] + tail for size in range(1, len(whole)) for tail in (b"", b"\x80", b"\xff\xff", varint(2**62))
    ]
    for body in bodies:
        data = encode(RefBatch((), record_count=1), body)
        position = page_bytes - len(data)
        readable[position:] = data
        try:
            decode_batch(readable, position, max_decompressed_bytes=0, verify_crc=True)
        except RecordError:
            continue
        raise AssertionError(f"decoded: {data!r}")
    return f"{len(bodies)} batches at the edge"


def main(arguments: list[str]) -> None:
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    print(edge() if arguments[0] == "edge" else fuzz(int(arguments[1]), int(arguments[2])))


if __name__ == "__main__":
    main(sys.argv[1:])
