"""Records gather in one open batch for each partition until it is full or has waited long enough."""

from itertools import pairwise

import pytest

from tests.client.accumulating import Accumulating


def test_a_full_batch_is_sealed_and_the_loop_is_woken_once() -> None:
    world = Accumulating(batch_bytes=1000)
    world.append(b"x" * 400)
    assert world.wake_ups == 1, "for the linger timer"
    world.accumulator.begin_look()
    for _ in range(4):
        world.append(b"x" * 400)
    assert world.wake_ups == 2
    assert [batch.count for batch in world.ready()] == [2, 2]


def test_a_batch_is_sealed_when_it_has_lingered() -> None:
    world = Accumulating(linger_s=1.0)
    world.append(b"a")
    world.now_s += 0.4
    assert world.accumulator.seal_lingered(world.now_s) == pytest.approx(101.0)
    assert world.ready() == []
    world.now_s += 0.6
    assert world.accumulator.seal_lingered(world.now_s) is None
    assert [batch.count for batch in world.ready()] == [1]


def test_the_first_record_after_a_quiet_time_wakes_the_loop_again() -> None:
    world = Accumulating(linger_s=1.0)
    world.append(b"a")
    world.now_s += 2
    world.accumulator.begin_look()
    world.accumulator.seal_lingered(world.now_s)
    before = world.wake_ups
    world.accumulator.begin_look()
    world.append(b"b")
    assert world.wake_ups == before + 1


def test_a_record_larger_than_a_batch_goes_alone() -> None:
    world = Accumulating(batch_bytes=1000)
    world.append(b"small")
    world.append(b"x" * 5000)
    world.append(b"small")
    assert [batch.count for batch in world.sealed()] == [1, 1, 1]


def test_memory_is_taken_by_batches_and_given_back_at_their_end() -> None:
    world = Accumulating(batch_bytes=1000, buffer_bytes=2000)
    assert world.append(b"x" * 800) is not None
    assert world.append(b"x" * 800) is not None
    assert world.append(b"x" * 800) is None, "two batches fill the buffer"
    batches = world.sealed()
    for batch in batches:
        batch.complete(0)
        world.accumulator.ended(batch)
    assert world.pool.free_bytes == world.pool.total_bytes
    assert not world.accumulator.unfinished
    assert world.append(b"x" * 800) is not None


def test_a_sealed_batch_takes_no_more_memory_than_its_records() -> None:
    world = Accumulating(batch_bytes=1000, buffer_bytes=2000)
    world.append(b"x")
    assert world.pool.free_bytes == 1000
    (batch,) = world.sealed()
    assert world.pool.free_bytes == 2000 - batch.size_bytes


def test_with_very_many_partitions_open_batches_fit_into_half_of_the_memory() -> None:
    world = Accumulating(batch_bytes=64 * 1024, buffer_bytes=1 << 20)
    many = world.accumulator.add_topic("many", 64)
    for queue in many.queues:
        assert world.append(b"x", queue) is not None
    assert world.pool.free_bytes >= world.pool.total_bytes // 2


def test_records_without_a_key_stay_in_a_partition_until_its_batch_is_sealed() -> None:
    world = Accumulating(batch_bytes=1000, partitions=5)
    partitions = []
    for _ in range(200):
        queue = world.topic.sticky
        world.append(b"x" * 100, queue)
        partitions.append(queue.partition)
    changes = sum(a != b for a, b in pairwise(partitions))
    assert 15 <= changes <= 30, "one change a batch of eight records"
    assert set(partitions) == set(range(5))


def test_a_record_that_is_refused_leaves_nothing_behind() -> None:
    world = Accumulating()
    with pytest.raises(TypeError):
        world.accumulator.append(world.topic.queues[0], 5, None, "text", (), None)  # type: ignore[arg-type]
    assert world.pool.free_bytes == world.pool.total_bytes
    world.append(b"good")
    with pytest.raises(TypeError):
        world.accumulator.append(world.topic.queues[0], 5, None, "text", (), None)  # type: ignore[arg-type]
    assert [batch.count for batch in world.sealed()] == [1]


def test_nothing_is_added_after_close() -> None:
    world = Accumulating()
    world.append(b"before")
    world.accumulator.close()
    world.refuse = RuntimeError("closed")
    with pytest.raises(RuntimeError, match="closed"):
        world.append(b"after")
    assert [batch.count for batch in world.ready()] == [1]


def test_keys_are_remembered_up_to_a_bound() -> None:
    world = Accumulating(partitions=3)
    queues = {key: world.topic.for_key(key) for key in (str(n).encode() for n in range(40_000))}
    assert all(world.topic.for_key(key) is queue for key, queue in queues.items())
    assert len(world.topic.by_key) <= 16_384


def test_new_partitions_are_taken_up() -> None:
    world = Accumulating(partitions=2)
    old = world.topic.queues[:]
    assert world.accumulator.add_topic("t", 4) is world.topic
    assert world.topic.queues[:2] == old
    assert [queue.partition for queue in world.topic.queues] == [0, 1, 2, 3]
    assert {world.topic.for_key(str(n).encode()).partition for n in range(100)} == {0, 1, 2, 3}
