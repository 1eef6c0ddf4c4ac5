"""Building batches: what the builder takes, how it is filled, what stands in the header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logserver_records import codec
from logserver_records.batch import DELETE_HORIZON_MASK, HEADER_SIZE, next_batch, write_header
from logserver_records.codec import BatchBuilder, Record, build_batch, decode_batch, decode_keys, rebuild_batch
from logserver_records.compression import Compression

from .reference import LOG_APPEND_TIME, RefRecord, decode, encode
from .strategies import MAX_TIMESTAMP, batches, new_records

ALL = 1 << 30


def taken(builder: BatchBuilder) -> tuple[RefRecord, ...]:
    return decode(builder.build()).records


@pytest.mark.parametrize("compression", Compression)
@given(records=st.lists(new_records, min_size=1, max_size=8))
def test_records_come_out_of_the_reference_as_they_went_in(compression, records):
    builder = BatchBuilder(ALL, compression)
    for record in records:
        assert builder.append(*record)
    data = builder.build()
    batch = decode(data)
    assert batch.records == tuple(
        RefRecord(offset, timestamp, key, value, tuple(headers))
        for offset, (timestamp, key, value, headers) in enumerate(records)
    )
    assert batch.codec == compression
    assert batch.base_timestamp == records[0][0]
    assert batch.max_timestamp == max(record[0] for record in records)
    assert batch.last_offset_delta == len(records) - 1
    assert builder.record_count == batch.record_count == len(records)
    assert build_batch(records, compression=compression) == data


@given(
    st.integers(-1, 2**63 - 1),
    st.integers(-1, 2**15 - 1),
    st.integers(-1, 2**31 - 1),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**62),
    st.integers(-1, 2**31 - 1),
)
def test_the_header_says_what_build_was_told(
    producer_id, epoch, sequence, transactional, control, offset, leader_epoch
):
    told = {
        "producer_id": producer_id,
        "producer_epoch": epoch,
        "base_sequence": sequence,
        "is_transactional": transactional,
        "is_control": control,
        "base_offset": offset,
        "leader_epoch": leader_epoch,
    }
    data = build_batch([(5, None, b"a", ()), (6, None, b"b", ())], **told)
    batch = decode(data)
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (producer_id, epoch, sequence)
    assert (batch.base_offset, batch.leader_epoch) == (offset, leader_epoch)
    assert batch.attributes == 0x10 * transactional + 0x20 * control
    assert [record.offset for record in batch.records] == [offset, offset + 1]
    builder = BatchBuilder(ALL)
    builder.append(5, None, b"a")
    builder.append(6, None, b"b")
    assert builder.build(**told) == data


def test_a_header_says_nothing_unless_told():
    header = next_batch(build_batch([(5, None, None, ())]))
    assert (header.base_offset, header.leader_epoch, header.attributes) == (0, -1, 0)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (-1, -1, -1)


def test_a_batch_may_be_built_again_and_added_to():
    builder = BatchBuilder(ALL)
    builder.append(1, b"a", b"1")
    first = builder.build(producer_id=7, base_sequence=0)
    assert builder.build(producer_id=7, base_sequence=0) == first
    assert decode(builder.build(producer_id=8, base_sequence=5)).producer_id == 8
    builder.append(2, b"b", b"2")
    assert [record.key for record in taken(builder)] == [b"a", b"b"]
    assert len(decode(first).records) == 1


def test_the_size_counts_to_the_last_byte():
    builder = BatchBuilder(ALL)
    assert builder.size_bytes == HEADER_SIZE
    for number in range(300):
        builder.append(number, b"key", bytes(number), [("h", None)])
        assert builder.size_bytes == len(builder.build())


@pytest.mark.parametrize("compression", [Compression.NONE, Compression.GZIP])
def test_a_batch_is_full_when_the_next_byte_would_be_over(compression):
    probe = BatchBuilder(ALL)
    probe.append(1, None, bytes(50))
    probe.append(1, None, bytes(50))
    exact = probe.size_bytes
    for size_bytes, expected in ((exact, True), (exact - 1, False)):
        builder = BatchBuilder(size_bytes, compression)
        assert builder.append(1, None, bytes(50))
        assert builder.append(1, None, bytes(50)) is expected
        assert builder.record_count == 1 + expected


@pytest.mark.parametrize("size_bytes", [0, 1, HEADER_SIZE, 100])
def test_the_first_record_is_always_taken(size_bytes):
    builder = BatchBuilder(size_bytes)
    assert builder.append(1, None, bytes(10_000))
    assert not builder.append(1, None, None)
    assert taken(builder) == (RefRecord(0, 1, None, bytes(10_000)),)


def test_a_record_that_was_not_taken_leaves_no_trace():
    builder = BatchBuilder(200)
    builder.append(10, b"a", bytes(50))
    before = builder.build()
    assert not builder.append(99, b"b", bytes(500))
    assert (builder.record_count, builder.build()) == (1, before)
    assert builder.append(11, b"c", None)
    assert [(record.offset, record.timestamp, record.key) for record in taken(builder)] == [
        (0, 10, b"a"),
        (1, 11, b"c"),
    ]


@pytest.mark.parametrize(
    ("record", "error"),
    [
        ((-2, None, None), ValueError),
        ((MAX_TIMESTAMP + 1, None, None), ValueError),
        ((1.0, None, None), TypeError),
        ((None, None, None), TypeError),
        (("1", None, None), TypeError),
        ((99, "key", None), TypeError),
        ((99, None, 5), TypeError),
        ((99, None, None, [("name", "text")]), TypeError),
        ((99, None, None, [("name", 5)]), TypeError),
        ((99, None, None, [(b"name", b"")]), TypeError),
        ((99, None, None, [(None, b"")]), TypeError),
        ((99, None, None, ["nam"]), ValueError),
        ((99, None, None, [("\ud800", b"")]), ValueError),
    ],
)
@pytest.mark.parametrize("count", [0, 1])
def test_what_is_not_a_record_is_an_error_and_leaves_no_trace(record, error, count):
    builder = BatchBuilder(ALL)
    for _ in range(count):
        builder.append(10, b"a", b"1")
    size_bytes = builder.size_bytes
    with pytest.raises(error):
        builder.append(*record)
    assert (builder.record_count, builder.size_bytes) == (count, size_bytes)
    builder.append(11, b"b", b"2")
    batch = decode(builder.build())
    assert [record.key for record in batch.records] == [b"a", b"b"][1 - count :]
    assert (batch.base_timestamp, batch.max_timestamp) == (10 if count else 11, 11)


def test_a_timestamp_may_be_any_kind_of_integer():
    class Number:
        def __index__(self) -> int:
            return 77

    builder = BatchBuilder(ALL)
    builder.append(Number(), None, None)
    builder.append(True, None, None)
    assert [record.timestamp for record in taken(builder)] == [77, 1]


@pytest.mark.parametrize("first", [-1, 0, 5, MAX_TIMESTAMP])
@pytest.mark.parametrize("second", [-1, 0, 5, MAX_TIMESTAMP])
def test_a_timestamp_of_minus_one_stays_one(first, second):
    builder = BatchBuilder(ALL)
    times = [first, second, first, second]
    for timestamp in times:
        builder.append(timestamp, None, None)
    assert [record.timestamp for record in taken(builder)] == times
    assert decode(builder.build()).max_timestamp == max(times)


def test_keys_and_values_may_be_any_bytes():
    builder = BatchBuilder(ALL)
    builder.append(1, bytearray(b"key"), memoryview(b"value"))
    assert taken(builder) == (RefRecord(0, 1, b"key", b"value"),)


def test_headers_may_be_any_pairs():
    class Name(str):
        pass

    builder = BatchBuilder(ALL)
    builder.append(1, None, None, ((Name("a"), b"1"), ("a", None)))
    builder.append(1, None, None, [["b", b"2"]])
    assert [record.headers for record in taken(builder)] == [(("a", b"1"), ("a", None)), (("b", b"2"),)]


def test_a_batch_without_records_is_not_built():
    with pytest.raises(ValueError, match="at least one record"):
        BatchBuilder(ALL).build()
    with pytest.raises(ValueError, match="at least one record"):
        build_batch([])


def test_a_level_is_checked_at_once_and_used():
    with pytest.raises(ValueError, match="zstd has levels"):
        BatchBuilder(ALL, Compression.ZSTD, 23)
    with pytest.raises(ValueError, match="none has no levels"):
        BatchBuilder(ALL, level=1)
    records = [(number, b"key", b"some value %d" % (number * number), ()) for number in range(500)]
    sizes = [len(build_batch(records, compression=Compression.GZIP, level=level)) for level in (1, 9)]
    assert sizes[0] > sizes[1]


def test_a_batch_size_may_be_any_number():
    for size_bytes in (-5, 2**31 - 1, 2**63, 2**80):
        builder = BatchBuilder(size_bytes)
        assert builder.append(1, None, b"a")
        assert builder.append(1, None, b"b") is (size_bytes > 0)


def test_a_builder_goes_on_after_a_build_that_failed(monkeypatch):
    builder = BatchBuilder(ALL)
    builder.append(1, None, bytes(300))
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="more than a record batch can hold") as caught:
        patch.setattr(codec, "_MAX_BATCH_BYTES", 200)
        builder.build()
    # What was caught holds on to the frames; no view of the buffer may be open in them.
    builder.append(1, None, bytes(100_000))
    assert caught.value and len(taken(builder)) == 2


def test_records_beyond_the_length_of_a_batch_are_refused(monkeypatch):
    monkeypatch.setattr(codec, "_MAX_BATCH_BYTES", 200)
    assert build_batch([(1, None, bytes(50), ())] * 2)
    with pytest.raises(ValueError, match=r"more than one record batch can hold \(200 bytes\)"):
        build_batch([(1, None, bytes(50), ())] * 3)
    with pytest.raises(ValueError, match="more than a record batch can hold"):
        build_batch([(1, None, bytes(500), ())])


@given(batches(), st.data())
def test_a_rebuilt_batch_holds_the_records_kept_and_nothing_else_changes(batch, data):
    before = decode(encode(batch))
    records = decode_batch(encode(batch), max_decompressed_bytes=ALL)
    kept = [record for record in records if data.draw(st.booleans())]
    horizon = data.draw(st.none() | st.integers(0, MAX_TIMESTAMP))
    after = decode(rebuild_batch(next_batch(encode(batch)), kept, horizon))
    assert [tuple(vars(record).values())[:5] for record in after.records] == [
        (*record[:4], tuple(record.headers)) for record in kept
    ]
    for name in ("base_offset", "leader_epoch", "last_offset_delta", "producer_id", "base_sequence"):
        assert getattr(after, name) == getattr(before, name)
    if batch.attributes & LOG_APPEND_TIME or not kept:
        assert after.max_timestamp == before.max_timestamp
    else:
        assert after.max_timestamp == max(record.timestamp_ms for record in kept)
    if not kept:
        assert (after.attributes, after.base_timestamp) == (before.attributes & ~7 & ~DELETE_HORIZON_MASK, -1)
    elif horizon is None:
        assert (after.attributes, after.base_timestamp) == (before.attributes, before.base_timestamp)
    else:
        # What a reader makes of the records' times does not change with it.
        assert (after.attributes, after.base_timestamp) == (before.attributes | DELETE_HORIZON_MASK, horizon)


def test_a_rebuilt_batch_keeps_timestamps_that_wrapped_around():
    header = next_batch(build_batch([(-1, None, None, ())]))._replace(base_timestamp=2**63 - 1)
    record = Record(0, -(2**63), None, None, ())
    assert decode_batch(rebuild_batch(header, [record]), max_decompressed_bytes=0) == [record]


@given(
    st.lists(st.tuples(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=300)), max_size=30),
    st.integers(200, 2000),
    st.booleans(),
    st.lists(new_records, max_size=2),
    st.integers(-1, MAX_TIMESTAMP),
)
def test_extend_takes_what_append_would_take(pairs, size_bytes, is_keyed, before, timestamp):
    one_by_one, at_once = BatchBuilder(size_bytes), BatchBuilder(size_bytes)
    for record in before:
        assert one_by_one.append(*record) == at_once.append(*record)
    keys = [key for key, _ in pairs] if is_keyed else None
    values = [value for _, value in pairs]
    taken = 0
    for key, value in pairs:
        if not one_by_one.append(timestamp, key if is_keyed else None, value, [("h", b"x")]):
            break
        taken += 1
    assert at_once.extend(timestamp, keys, values, 0, [("h", b"x")]) == taken
    assert at_once.record_count == one_by_one.record_count
    if at_once.record_count:
        assert at_once.build() == one_by_one.build()


def test_extend_starts_where_it_is_told():
    builder = BatchBuilder(ALL)
    assert builder.extend(5, None, [b"0", b"1", b"2"], 1) == 2
    assert builder.extend(6, [b"a", b"b", b"c"], [b"3", b"4", b"5"], 2) == 1
    assert builder.extend(7, None, [b"6"], 1) == 0
    assert [(record.timestamp, record.key, record.value) for record in taken(builder)] == [
        (5, None, b"1"),
        (5, None, b"2"),
        (6, b"c", b"5"),
    ]


@pytest.mark.parametrize("bad", [5, "text"])
def test_extend_stops_at_what_is_no_bytes_and_keeps_what_was_before(bad):
    builder = BatchBuilder(ALL)
    with pytest.raises(TypeError):
        builder.extend(5, None, [b"0", b"1", bad, b"3"])
    assert [record.value for record in taken(builder)] == [b"0", b"1"]
    with pytest.raises(ValueError, match="timestamp -2"):
        builder.extend(-2, None, [b"4"])
    with pytest.raises(ValueError):
        builder.extend(5, [b"k"], [b"4", b"5"])


@pytest.mark.parametrize("compression", Compression)
@given(st.lists(new_records, min_size=1, max_size=8), st.integers(0, 2**63 - 1), st.integers(0, 2**31 - 1))
def test_take_gives_what_build_gives(compression, records, producer_id, sequence):
    builder = BatchBuilder(ALL, compression)
    for record in records:
        builder.append(*record)
    built = builder.build(producer_id=producer_id, producer_epoch=3, base_sequence=sequence)
    assert bytes(builder.take(producer_id, 3, sequence)) == built


def test_a_header_can_be_written_over_a_batch():
    builder = BatchBuilder(ALL)
    builder.append(5, None, b"x")
    batch = builder.take(1, 2, 3)
    assert isinstance(batch, bytearray)
    write_header(next_batch(batch)._replace(producer_id=7, producer_epoch=8, base_sequence=9), batch)
    again = BatchBuilder(ALL)
    again.append(5, None, b"x")
    assert batch == again.build(producer_id=7, producer_epoch=8, base_sequence=9)


@given(batches())
def test_keys_are_those_of_the_records(batch):
    encoded = encode(batch)
    records = decode_batch(encoded, max_decompressed_bytes=ALL)
    expected = [(record.offset, record.key, record.value is None) for record in records]
    assert decode_keys(encoded, max_decompressed_bytes=ALL) == expected
