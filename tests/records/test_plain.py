"""Batches built by hand are those of the compiled encoder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logserver_records.codec import build_batch
from logserver_records.plain import build_plain

from .strategies import MAX_TIMESTAMP

# Lengths around the places where a number takes a byte more.
_texts = st.one_of(st.binary(max_size=80), st.sampled_from((63, 64, 8191, 8192)).map(bytes))


@given(
    timestamp_ms=st.integers(0, MAX_TIMESTAMP),
    records=st.lists(st.tuples(_texts, st.none() | _texts), min_size=1, max_size=5),
    producer=st.tuples(st.integers(-1, 2**63 - 1), st.integers(-1, 2**15 - 1)),
    is_transactional=st.booleans(),
    place=st.tuples(st.integers(0, 2**62), st.integers(-1, 2**31 - 1)),
)
def test_it_is_the_batch_that_the_encoder_builds(timestamp_ms, records, producer, is_transactional, place):
    fields = {"producer_id": producer[0], "producer_epoch": producer[1], "is_transactional": is_transactional}
    batch = build_plain(timestamp_ms, records, **fields)
    whole = batch.stamped(*place)
    expected = ((timestamp_ms, key, value, ()) for key, value in records)
    assert whole == build_batch(expected, base_offset=place[0], leader_epoch=place[1], **fields)
    assert batch.size == len(whole)
    assert (batch.record_count, batch.timestamp_ms, batch.producer_id) == (len(records), timestamp_ms, producer[0])


@pytest.mark.parametrize("count", [63, 64, 65, 8193])
def test_many_records(count):
    records = [(b"k%d" % number, b"") for number in range(count)]
    assert build_plain(5, records).stamped() == build_batch((5, key, value, ()) for key, value in records)


def test_a_batch_needs_a_record():
    with pytest.raises(ValueError, match="at least one record"):
        build_plain(0, ())
