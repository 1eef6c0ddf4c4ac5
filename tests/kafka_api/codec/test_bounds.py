"""What a request takes when it is read: bounded by its elements, whatever it claims."""

import tracemalloc

import pytest
from logserver_records.varint import unsigned_varint

from logserver.kafka_api.codec import MalformedMessage, read_request, read_response, write_request, write_response
from logserver.kafka_api.fetch_request import read_fetch
from logserver.kafka_api.frames import read_header
from logserver.kafka_api.produce_request import read_produce
from logserver.settings import load_settings

PRODUCE, FETCH, METADATA, OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, API_VERSIONS = 0, 1, 3, 8, 9, 10, 18
CREATE_TOPICS = 19
MOST = load_settings(environment={}, command_line=()).request_max_elements


def refusal(api_key: int, version: int, body: bytes, most: int = MOST) -> str:
    with pytest.raises(MalformedMessage) as refused:
        read_request(api_key, version, memoryview(body), most)
    return str(refused.value)


def metadata(topics: int) -> bytes:
    """A request that is as short as so many topics can be: two bytes each."""
    return unsigned_varint(topics + 1) + b"\x01\x00" * topics + bytes(4)


def partitions(count: int) -> bytes:
    return write_request(
        OFFSET_FETCH, 1, {"group_id": "g", "topics": [{"name": "t", "partition_indexes": [7] * count}]}
    )


def test_elements_are_counted_over_all_arrays_of_a_request() -> None:
    topics = [{"name": f"t{number}", "partition_indexes": range(9)} for number in range(10)]
    body = write_request(OFFSET_FETCH, 5, {"group_id": "g", "topics": topics})
    assert len(read_request(OFFSET_FETCH, 5, memoryview(body), 100).topics) == 10
    assert "request.max.elements=99" in refusal(OFFSET_FETCH, 5, body, 99)


def test_the_budget_is_asked_before_anything_is_made() -> None:
    bodies = [(METADATA, 9, metadata(5_000_000)), (OFFSET_FETCH, 1, partitions(1_000_000))]
    for key, version, body in bodies:
        # Makes the readers.
        refusal(key, version, body)
    tracemalloc.start()
    try:
        for key, version, body in bodies:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            assert f"request.max.elements={MOST}" in refusal(key, version, body)
            assert tracemalloc.get_traced_memory()[1] - before < 100_000
    finally:
        tracemalloc.stop()


def test_an_element_takes_less_than_a_kilobyte() -> None:
    body = metadata(10_000)
    asked = {"partition": 1000, "fetch_offset": 1 << 40, "partition_max_bytes": 1 << 20}
    topics = [{"topic": "t" * 20, "partitions": [asked]}] * 10_000
    fetch = write_request(FETCH, 12, {"topics": topics})
    tracemalloc.start()
    try:
        for key, version, data, elements in ((METADATA, 9, body, 10_000), (FETCH, 12, fetch, 20_000)):
            read_request(key, version, memoryview(data), elements)
            before = tracemalloc.get_traced_memory()[0]
            request = read_request(key, version, memoryview(data), elements)
            assert 0 < tracemalloc.get_traced_memory()[0] - before < 1000 * elements
            del request
    finally:
        tracemalloc.stop()


def test_tagged_fields_that_nobody_knows_are_counted() -> None:
    tags = b"".join(unsigned_varint(tag) + b"\x00" for tag in range(200))
    body = b"\x01\x01" + unsigned_varint(200) + tags
    assert read_request(API_VERSIONS, 3, memoryview(body), 200).client_software_name == ""
    assert "request.max.elements=199" in refusal(API_VERSIONS, 3, body, 199)


def test_a_header_has_few_tagged_fields() -> None:
    def header(tags: int) -> bytearray:
        found = b"".join(unsigned_varint(tag) + b"\x00" for tag in range(tags))
        return bytearray(b"\x00\x12\x00\x03\x00\x00\x00\x01\x00\x00" + unsigned_varint(tags) + found + b"\x01\x01\x00")

    few, many = header(100), header(101)
    assert read_header(few, 0, len(few)).body == len(few) - 3
    with pytest.raises(MalformedMessage):
        read_header(many, 0, len(many))


def test_text_has_32767_bytes_at_most_as_in_kafka() -> None:
    for length in (32_767, 32_768):
        name = b"t" * length
        body = b"\x02" + unsigned_varint(length + 1) + name + b"\x00" + bytes(4)
        produce = unsigned_varint(length + 1) + name + bytes(6) + b"\x01\x00"
        if length == 32_767:
            assert len(read_request(METADATA, 9, memoryview(body), MOST).topics[0].name) == length
            assert len(read_produce(memoryview(produce), 9, MOST).transactional_id or "") == length
        else:
            assert "32767" in refusal(METADATA, 9, body)
            with pytest.raises(MalformedMessage, match="32767"):
                read_produce(memoryview(produce), 9, MOST)


def test_text_beyond_ascii_counts_as_the_memory_that_it_takes() -> None:
    keys = ["😀" + "a" * 6_399] * 10
    body = write_request(FIND_COORDINATOR, 4, {"coordinator_keys": keys})
    assert read_request(FIND_COORDINATOR, 4, memoryview(body), 1_010).coordinator_keys == keys
    assert "request.max.elements" in refusal(FIND_COORDINATOR, 4, body, 1_009)


@pytest.mark.parametrize("version", [3, 9, 13])
def test_produce_counts_topics_and_partitions(version: int) -> None:
    one = {"index": 0, "records": None}
    topics = [{"name": "t", "topic_id": "A" * 22, "partition_data": [one] * 4}] * 5
    body = memoryview(write_request(PRODUCE, version, {"topic_data": topics}))
    assert len(read_produce(body, version, 25).partitions) == 20
    with pytest.raises(MalformedMessage, match="elements=24"):
        read_produce(body, version, 24)


@pytest.mark.parametrize("version", [4, 7, 11, 12, 13, 18])
def test_fetch_counts_topics_and_partitions(version: int) -> None:
    wide = "😀" * 100
    topics = [{"topic": wide, "topic_id": "A" * 22, "partitions": [{"partition": number} for number in range(4)]}] * 5
    forgotten = [{"topic": "t", "topic_id": "B" * 21 + "A", "partitions": [1, 2, 3]}] * 2
    request = {"topics": topics, "forgotten_topics_data": forgotten}
    # Of text beyond ASCII, 64 characters count as one more.
    most = 25 + (5 if version < 13 else 0) + (8 if version >= 7 else 0)
    for cluster_id in (None, "c") if version >= 12 else (None,):
        # With a tagged field it is read by its schema.
        body = memoryview(write_request(FETCH, version, request | {"cluster_id": cluster_id}))
        extra = 1 if cluster_id is not None else 0
        assert len(read_fetch(body, version, most + extra).partitions) == 4
        with pytest.raises(MalformedMessage, match=f"elements={most + extra - 1} "):
            read_fetch(body, version, most + extra - 1)


def test_requests_of_a_large_cluster_are_read() -> None:
    asked = {"partition": 0, "fetch_offset": 5, "partition_max_bytes": 1 << 20}
    fetch = write_request(FETCH, 12, {"topics": [{"topic": f"t{n}", "partitions": [asked]} for n in range(100_000)]})
    assert len(read_fetch(memoryview(fetch), 12, MOST).partitions) == 100_000
    names = [{"name": f"topic-{number}"} for number in range(10_000)]
    assert (
        len(read_request(METADATA, 9, memoryview(write_request(METADATA, 9, {"topics": names})), MOST).topics) == 10_000
    )
    offsets = [{"partition_index": number, "committed_offset": 1, "committed_metadata": ""} for number in range(10_000)]
    commit = write_request(OFFSET_COMMIT, 9, {"group_id": "g", "topics": [{"name": "t", "partitions": offsets}]})
    assert len(read_request(OFFSET_COMMIT, 9, memoryview(commit), MOST).topics[0].partitions) == 10_000


def test_an_answer_that_quotes_too_much_is_cut() -> None:
    for version in (2, 5):
        for text in ("ä" * 40_000, "a" * 32_768, "a" * 32_767):
            answer = {"topics": [{"name": "t", "error_code": 17, "error_message": text}]}
            body = write_response(CREATE_TOPICS, version, answer)
            written = read_response(CREATE_TOPICS, version, memoryview(body)).topics[0].error_message
            assert text.startswith(written) and 32_765 < len(written.encode()) <= 32_767
