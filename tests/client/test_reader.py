"""What a user gets of what has come: every record from the position on, once, and errors in their place."""

from typing import Any

import pytest
from logserver_client import BytesRecord, CorruptMessage, LogServerError, OffsetOutOfRange, SerializationError
from logserver_client._consume.config import consumer_config
from logserver_client._consume.partition import PartitionState
from logserver_client._consume.reader import ALL, Arrival, RecordReader
from logserver_client._positions import position_message
from logserver_client.types import TopicPartition
from logserver_records.codec import build_batch
from logserver_records.compression import Compression


def batch(base_offset: int, count: int = 3, **extra: Any) -> bytes:
    records = [(0, b"k", str(base_offset + n).encode(), ()) for n in range(count)]
    return build_batch(records, base_offset=base_offset, **extra)


class World:
    """A reader with two partitions, and what it asks its surroundings for."""

    def __init__(self, at: int = 0, end_offset: int | None = None, **settings: Any) -> None:
        self.returned: list[tuple[int, int]] = []
        self.finished: list[PartitionState] = []
        key = settings.pop("key_deserializer", None)
        value = settings.pop("value_deserializer", None)
        settings.setdefault("buffer_bytes", 4)
        config = consumer_config("host:1", key, value, **settings)
        self.reader = RecordReader(
            config, lambda node, size: self.returned.append((node, size)), self.finished.append, lambda: None
        )
        self.a, self.b = (
            PartitionState(TopicPartition("t", number), position_message(at), end_offset) for number in (0, 1)
        )

    def arrive(self, data: bytes, next_offset: int, state: PartitionState | None = None) -> None:
        self.reader.add(Arrival(state or self.a, 1, data, next_offset))

    def fail(self, error: LogServerError) -> None:
        self.reader.add(Arrival(self.a, 1, error=error))

    def take(self, most: int = ALL) -> list[int]:
        return offsets(self.reader.take(most) or [])

    @property
    def position(self) -> int | None:
        return self.reader.position(self.a)


def offsets(records: list[BytesRecord]) -> list[int]:
    return [record.offset for record in records]


def test_records_carry_everything_that_was_stored() -> None:
    world = World()
    world.arrive(build_batch([(7, None, b"", [("h", None)])], base_offset=0), 1)
    (record,) = world.reader.take(ALL) or []
    assert record[:6] == ("t", 0, 0, 7, None, b"")
    assert list(record.headers) == [("h", None)]


def test_records_below_the_position_are_left_out() -> None:
    world = World(at=2)
    world.arrive(batch(0) + batch(3), 6)
    assert world.take() == [2, 3, 4, 5]


def test_control_batches_move_the_position_and_are_not_seen() -> None:
    world = World()
    world.arrive(batch(0, 1, is_control=True) + batch(1) + batch(4, 1, is_control=True), 5)
    assert world.take() == [1, 2, 3]
    assert world.position == 5


def test_only_control_batches_give_an_empty_list_once() -> None:
    world = World()
    world.arrive(batch(0, 1, is_control=True), 1)
    assert world.reader.take(ALL) == []
    assert world.position == 1
    assert world.reader.take(ALL) is None


def test_the_position_moves_over_what_is_not_there_in_its_turn() -> None:
    world = World()
    world.arrive(batch(0), 3)
    world.reader.add(Arrival(world.a, 1, moved_to=7))
    world.arrive(batch(7), 10)
    assert world.take(2) == [0, 1]
    assert world.position == 2
    assert world.take(1) == [2]
    assert world.take() == [7, 8, 9]
    world.reader.add(Arrival(world.a, 1, moved_to=20))
    assert world.reader.take(ALL) is None
    assert world.position == 20


def test_a_range_ends_where_the_position_moves_to_its_end() -> None:
    world = World(end_offset=7)
    world.arrive(batch(0), 3)
    world.reader.add(Arrival(world.a, 1, moved_to=6))
    assert world.take() == [0, 1, 2]
    assert world.reader.take(ALL) is None
    assert (world.finished, world.reader.finished_partitions) == ([], 0)
    world.reader.add(Arrival(world.a, 1, moved_to=9))
    world.reader.add(Arrival(world.a, 1, moved_to=10))
    assert world.reader.take(ALL) is None
    assert (world.finished, world.reader.finished_partitions) == ([world.a], 1)


def test_the_position_is_behind_what_was_handed_out_and_then_behind_the_answer() -> None:
    world = World()
    world.arrive(batch(0), 10)
    assert world.take(2) == [0, 1]
    assert world.position == 2
    assert world.take(2) == [2]
    assert world.position == 10


def test_the_position_follows_an_iteration_record_by_record() -> None:
    world = World()
    world.arrive(batch(0), 3)
    piece = world.reader.next_piece()
    assert piece is not None
    assert world.position == 0
    seen = []
    for record in piece.rest:
        seen.append((record.offset, world.position))
    assert seen == [(0, 1), (1, 2), (2, 3)]


def test_a_drop_in_the_middle_of_an_iteration_ends_it() -> None:
    world = World()
    world.arrive(batch(0), 3)
    world.arrive(batch(3), 6)
    piece = world.reader.next_piece()
    assert piece is not None
    next(piece.rest)
    world.reader.drop(world.a)
    assert list(piece.rest) == []
    assert world.position == 1
    assert world.reader.take(ALL) is None


def test_a_drop_leaves_the_other_partitions_alone() -> None:
    world = World()
    world.arrive(batch(0), 3)
    world.arrive(batch(0), 3, world.b)
    world.reader.drop(world.a)
    assert [(r.partition, r.offset) for r in world.reader.take(ALL) or []] == [(1, 0), (1, 1), (1, 2)]


def test_one_take_collects_from_several_partitions() -> None:
    world = World()
    world.arrive(batch(0), 3)
    world.arrive(batch(0), 3, world.b)
    assert world.take(5) == [0, 1, 2, 0, 1]
    assert world.take(5) == [2]


def test_credit_comes_back_when_an_answer_has_been_decoded_or_dropped() -> None:
    world = World()
    data = batch(0)
    world.arrive(data, 3)
    assert world.returned == []
    world.take()
    world.arrive(data, 3)
    world.reader.drop(world.a)
    assert world.returned == [(1, len(data)), (1, len(data))]


def test_small_credits_are_returned_together() -> None:
    data = batch(0)
    world = World(buffer_bytes=12 * len(data))
    for number in range(6):
        world.arrive(batch(0), 3 * number + 3)
    world.take()
    assert world.returned == [(1, 3 * len(data)), (1, 3 * len(data))]


def test_an_error_comes_behind_the_records_before_it_and_stays() -> None:
    world = World()
    world.arrive(batch(0), 3)
    world.fail(OffsetOutOfRange(1, "OFFSET_OUT_OF_RANGE", "gone"))
    assert world.take() == [0, 1, 2]
    for _ in range(2):
        with pytest.raises(OffsetOutOfRange):
            world.take()
    world.a.seek(position_message(0))
    world.arrive(batch(0), 3)
    assert world.take() == [0, 1, 2]


def test_an_error_of_a_paused_partition_waits_for_its_resumption() -> None:
    world = World()
    world.a.is_paused = True
    world.fail(OffsetOutOfRange(1, "OFFSET_OUT_OF_RANGE", "gone"))
    world.arrive(batch(0), 3, world.b)
    assert world.take() == [0, 1, 2]
    world.a.is_paused = False
    with pytest.raises(OffsetOutOfRange):
        world.take()


def damaged(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 0xFF])


def test_a_corrupt_batch_is_an_error_at_its_offset_behind_the_good_ones() -> None:
    world = World()
    world.arrive(batch(0) + damaged(batch(3)) + batch(6), 9)
    assert world.take() == [0, 1, 2]
    with pytest.raises(CorruptMessage, match="t-0 at offset 3"):
        world.take()
    assert world.position == 3
    world.a.seek(position_message(6))
    world.arrive(batch(6), 9)
    assert world.take() == [6, 7, 8]


def test_a_decompression_bomb_is_an_error_that_names_the_setting() -> None:
    world = World(max_decompressed_bytes=1000)
    bomb = build_batch([(0, None, bytes(100_000), ())], compression=Compression.ZSTD)
    world.arrive(bomb, 1)
    with pytest.raises(CorruptMessage, match="max_decompressed_bytes"):
        world.take()


def number(data: bytes) -> int:
    return int(data)


def test_deserialisers_make_keys_and_values_and_leave_null_alone() -> None:
    world = World(key_deserializer=bytes.decode, value_deserializer=number)
    world.arrive(build_batch([(0, b"k", b"5", ()), (0, None, None, ())]), 2)
    records: Any = world.reader.take(ALL)
    assert [(record.key, record.value) for record in records] == [("k", 5), (None, None)]


def test_a_record_that_cannot_be_deserialised_is_named_and_can_be_passed_over() -> None:
    world = World(value_deserializer=number)
    data = build_batch([(0, None, value, ()) for value in (b"0", b"1", b"two", b"3")])
    world.arrive(data, 4)
    assert world.take() == [0, 1]
    with pytest.raises(SerializationError) as raised:
        world.take()
    assert (raised.value.topic, raised.value.partition, raised.value.offset) == ("t", 0, 2)
    assert isinstance(raised.value.__cause__, ValueError)
    assert world.position == 2
    world.reader.drop(world.a)
    world.a.seek(position_message(3))
    world.arrive(data, 4)
    assert world.take() == [3]


@pytest.mark.parametrize("end_offset", [2, 3, 4])
def test_reading_ends_before_the_end_offset(end_offset: int) -> None:
    world = World(end_offset=end_offset)
    world.arrive(batch(0), 3)
    world.arrive(batch(3), 6)
    assert world.take() == list(range(end_offset))
    assert world.finished == [world.a]
    assert world.reader.finished_partitions == 1
    world.arrive(batch(6), 9)
    assert world.reader.take(ALL) is None


def test_a_gap_at_the_end_offset_does_not_keep_it_from_ending() -> None:
    world = World(end_offset=5)
    world.arrive(batch(0) + batch(10), 13)
    assert world.take() == [0, 1, 2]
    assert world.reader.take(ALL) is None
    assert world.finished == [world.a]


def test_a_reset_moves_the_position_behind_what_came_before() -> None:
    world = World(at=7)
    world.arrive(batch(7), 10)
    world.reader.add(Arrival(world.a, 1, moved_to=0))
    world.arrive(batch(0), 3)
    assert world.take() == [7, 8, 9, 0, 1, 2]


def test_bytes_of_keys_and_values_are_counted_when_asked_for() -> None:
    world = World(at=1)
    world.reader.counts_bytes = True
    world.arrive(build_batch([(0, b"kk", b"vvv", ()), (0, b"kk", b"vvv", ()), (0, None, b"vvvv", ())]), 3)
    world.take()
    assert world.reader.payload_bytes == 5 + 4
