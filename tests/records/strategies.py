"""Hypothesis strategies for records and batches of the reference codec."""

from hypothesis import strategies as st

from .reference import LOG_APPEND_TIME, RefBatch, RefRecord

MAX_INT64 = 2**63 - 1
MAX_TIMESTAMP = MAX_INT64 - 1

timestamps = st.one_of(
    st.integers(1_700_000_000_000, 1_700_000_100_000),
    st.sampled_from([-1, 0, 1, 127, 128, 2**31, 2**32, MAX_TIMESTAMP]),
    st.integers(-1, MAX_TIMESTAMP),
)
payloads = st.one_of(
    st.none(),
    st.binary(max_size=40),
    # Around the places where a length takes one byte more.
    st.sampled_from([b"", bytes(63), bytes(64), bytes(8191), bytes(8192)]),
)
header_lists = st.lists(st.tuples(st.text(max_size=10), st.one_of(st.none(), st.binary(max_size=10))), max_size=4)
new_records = st.tuples(timestamps, payloads, payloads, header_lists)
"""What a builder takes: timestamp, key, value, headers."""


@st.composite
def batches(draw: st.DrawFn, codec: int | None = None) -> RefBatch:
    """Any batch that may stand in a log: dense or compacted, even empty, with either timestamp type."""
    base_offset = draw(st.sampled_from([0, 1, 1000, 2**31, 2**40, 2**62]))
    deltas = sorted(draw(st.sets(st.integers(0, 300) | st.sampled_from([2**31 - 1]), max_size=8)))
    records = []
    for delta in deltas:
        timestamp, key, value, headers = draw(new_records)
        records.append(RefRecord(base_offset + delta, timestamp, key, value, tuple(headers)))
    attributes = draw(st.integers(0, 4)) if codec is None else codec
    attributes |= draw(st.sampled_from([0, LOG_APPEND_TIME, 0x10, 0x20, 0x40]))
    return RefBatch(
        records=tuple(records),
        base_offset=base_offset,
        leader_epoch=draw(st.integers(-1, 2**31 - 1)),
        attributes=attributes,
        last_offset_delta=max([draw(st.integers(0, 400)), *deltas]),
        base_timestamp=draw(st.one_of(st.none(), timestamps)),
        producer_id=draw(st.integers(-1, MAX_INT64)),
        producer_epoch=draw(st.integers(-1, 2**15 - 1)),
        base_sequence=draw(st.integers(-1, 2**31 - 1)),
    )
