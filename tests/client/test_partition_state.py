"""What an answer about a partition is, told by its generation and by what came before it."""

from typing import Any

from logserver_client._consume.partition import PartitionState, Taken
from logserver_client._positions import position_message
from logserver_client.types import TopicPartition
from logserverpb.v1 import common_pb2, log_pb2


def assigned(generation: int) -> PartitionState:
    state = PartitionState(TopicPartition("t", 0), position_message("earliest"))
    state.generation = generation
    return state


def take(
    state: PartitionState, generation: int, next_offset: int, *, has_batches: bool = False, **fields: Any
) -> Taken:
    data = log_pb2.PartitionData(generation=generation, next_offset=next_offset, high_watermark=9, **fields)
    return state.take(data, has_batches)


def test_the_first_empty_answer_places_and_later_ones_move() -> None:
    state = assigned(3)
    assert take(state, 3, 4) is Taken.PLACED
    assert (state.is_placed, state.fetch_offset, state.high_watermark) == (True, 4, 9)
    assert take(state, 3, 6, has_batches=True) is Taken.DATA
    assert take(state, 3, 8) is Taken.MOVED
    assert state.fetch_offset == 8
    assert take(state, 3, 9) is Taken.MOVED


def test_each_generation_is_placed_anew() -> None:
    state = assigned(0)
    assert take(state, 0, 4) is Taken.PLACED
    state.generation = 2
    assert take(state, 0, 5) is Taken.STALE
    assert take(state, 2, 4) is Taken.PLACED
    assert take(state, 2, 7) is Taken.MOVED
    assert state.fetch_offset == 7


def test_an_error_is_no_place() -> None:
    state = assigned(1)
    assert take(state, 1, 4, error=common_pb2.Error(code=1)) is Taken.FAILED
    assert not state.is_placed
    assert take(state, 1, 4) is Taken.PLACED
