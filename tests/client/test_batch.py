"""A batch ends once, for all of its records: their futures, callbacks and waiters follow it, also through a split."""

import sys
import threading

import pytest
from logserver_client import LogServerError, RecordMetadata
from logserver_client._produce.batch import Batch, add_sequence
from logserver_client.errors import client_closed
from logserver_records.batch import check_crc, read_header
from logserver_records.codec import decode_batch
from logserver_records.compression import Compression

from tests.client.accumulating import Accumulating

Delivered = list[tuple[RecordMetadata | None, LogServerError | None]]


def test_futures_get_the_offset_of_their_record() -> None:
    world = Accumulating()
    futures = [world.future(b"x") for _ in range(3)]
    (batch,) = world.sealed()
    assert not futures[0].done()
    batch.complete(40)
    assert [future.result(0) for future in futures] == [RecordMetadata("t", 0, 40 + n, 5) for n in range(3)]
    assert futures[0].exception(0) is None


def test_the_brokers_append_time_takes_the_place_of_the_records_own() -> None:
    world = Accumulating()
    future = world.future(b"x")
    world.sealed()[0].complete(0, 777)
    assert future.result(0).timestamp_ms == 777


def test_an_unknown_offset_is_minus_one_for_every_record() -> None:
    world = Accumulating()
    futures = [world.future(b"x") for _ in range(2)]
    world.sealed()[0].complete(-1)
    assert [future.result(0).offset for future in futures] == [-1, -1]


def test_a_failure_is_every_records_failure() -> None:
    world = Accumulating()
    delivered: Delivered = []
    futures = [world.future(b"x", lambda data, error: delivered.append((data, error))) for _ in range(2)]
    error = client_closed("closed")
    world.sealed()[0].fail(error)
    assert [future.exception(0) for future in futures] == [error, error]
    assert delivered == [(None, error), (None, error)]
    with pytest.raises(LogServerError, match="closed"):
        futures[0].result(0)


def test_callbacks_come_in_the_order_of_the_records() -> None:
    world = Accumulating()
    delivered: Delivered = []
    for _ in range(3):
        world.future(b"x", lambda data, error: delivered.append((data, error)))
    world.sealed()[0].complete(7)
    assert [data.offset for data, _ in delivered if data] == [7, 8, 9]


def test_a_callback_that_raises_does_not_keep_the_others_from_being_called(caplog: pytest.LogCaptureFixture) -> None:
    world = Accumulating()
    delivered: Delivered = []

    def bad(data: RecordMetadata | None, error: LogServerError | None) -> None:
        raise RuntimeError("a mistake in a callback")

    world.future(b"x", bad)
    world.future(b"x", lambda data, error: delivered.append((data, error)))
    world.sealed()[0].complete(7)
    assert len(delivered) == 1
    assert "a mistake in a callback" in caplog.text


def test_done_callbacks_are_called_also_when_they_come_late() -> None:
    world = Accumulating()
    future = world.future(b"x")
    seen: list[str] = []
    future.add_done_callback(lambda done: seen.append("early"))
    world.sealed()[0].complete(7)
    future.add_done_callback(lambda done: seen.append(f"late {done.result(0).offset}"))
    assert seen == ["early", "late 7"]


def test_a_result_that_is_not_there_in_time_is_a_timeout() -> None:
    world = Accumulating()
    with pytest.raises(TimeoutError):
        world.future(b"x").result(0)


def test_several_threads_wait_for_one_batch() -> None:
    world = Accumulating()
    futures = [world.future(b"x") for _ in range(8)]
    (batch,) = world.sealed()
    offsets: list[int] = []
    threads = [threading.Thread(target=lambda f=future: offsets.append(f.result(30).offset)) for future in futures]
    for thread in threads:
        thread.start()
    batch.complete(0)
    for thread in threads:
        thread.join(30)
    assert sorted(offsets) == list(range(8))


def stamped(world: Accumulating, sequence: int = 10) -> Batch:
    (batch,) = world.sealed()
    batch.stamp(3, 1, sequence)
    return batch


def test_a_new_stamp_changes_producer_fields_and_nothing_else() -> None:
    world = Accumulating()
    for value in (b"a", b"b"):
        world.future(value)
    batch = stamped(world)
    assert batch.payload is not None
    first = batch.payload
    batch.stamp(4, 0, 0)
    header = read_header(batch.payload)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (4, 0, 0)
    check_crc(batch.payload, 0, header)
    assert batch.payload[61:] == first[61:]


def test_a_split_hands_records_sequences_and_memory_to_two_halves() -> None:
    world = Accumulating()
    delivered: Delivered = []
    futures = [world.future(str(n).encode(), lambda data, error: delivered.append((data, error))) for n in range(5)]
    early: list[int] = []
    futures[4].add_done_callback(lambda done: early.append(done.result(0).offset))
    batch = stamped(world)
    reserved_bytes = batch.reserved_bytes
    left, right = batch.split(Compression.NONE, None)
    assert (left.count, left.base_sequence, right.count, right.base_sequence) == (3, 10, 2, 13)
    assert left.reserved_bytes + right.reserved_bytes == reserved_bytes
    assert right.payload is not None
    assert [record.value for record in decode_batch(right.payload, max_decompressed_bytes=1000)] == [b"3", b"4"]
    assert not any(future.done() for future in futures)
    right.complete(100)
    assert [future.done() for future in futures] == [False, False, False, True, True]
    left.split(Compression.NONE, None)
    for _, part in left.parts:
        part.complete(50)
    assert [future.result(0).offset for future in futures] == [50, 51, 50, 100, 101]
    assert early == [101]
    assert len(delivered) == 5


@pytest.mark.parametrize("is_stamped", [True, False])
def test_a_future_that_is_kept_does_not_keep_the_records(is_stamped: bool) -> None:
    world = Accumulating()
    future = world.future(b"x")
    (batch,) = world.sealed()
    builder = batch.builder
    if is_stamped:
        batch.stamp(1, 0, 0)
    batch.fail(client_closed("closed"))
    assert sys.getrefcount(builder) == 2, "our name and the call's argument"
    assert batch.payload is None
    assert future.done()


def test_sequences_wrap_behind_the_largest() -> None:
    assert add_sequence(2**31 - 2, 1) == 2**31 - 1
    assert add_sequence(2**31 - 1, 1) == 0
    assert add_sequence(1, -2) == 2**31 - 1
