"""What the delivery engine got wrong once, and bounds that a model would not notice."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from logserver.coordinator.delivery.caution import Caution
from logserver.coordinator.delivery.changes import Changes
from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.handles import Acquisition, Check, Handle
from logserver.coordinator.delivery.moves import Destination
from logserver.coordinator.delivery.order import Fresh, OffsetOrder, Position
from logserver.coordinator.delivery.policy import Acts, Backoff, Counter, Limit, Policy
from logserver.coordinator.delivery.stored import Stored, StoredRange, StoredState
from logserver.coordinator.delivery.storing import restored, take_delta, take_snapshot
from logserver.coordinator.delivery.unsettled import NOBODY

BIG = 1 << 30


def new_engine(records: int = 100, policy: Policy | None = None) -> Engine:
    engine = Engine(0, 1, policy or Policy(), OffsetOrder(), random.Random(1), Changes())
    engine.offer(0, records - 1, size=records * 10)
    return engine


def again(engine: Engine, end: int = 100) -> Engine:
    """Returns what a restart makes of an engine, with everything written."""
    stored = take_snapshot(engine)
    return restored(stored, 0, end, engine.policy, OffsetOrder(), random.Random(1), Changes(), None, now_ms=0)


def acquire(
    engine: Engine, count: int, owner: str = "anna", lock_ms: int | None = None, now_ms: int = 0
) -> Acquisition:
    return engine.acquire(owner, count, BIG, lock_ms, now_ms=now_ms)


def given(found: Acquisition) -> list[int]:
    return [offset for each in found.ranges for offset in range(each.first, each.last + 1)]


def test_what_is_settled_after_its_lock_has_run_out_is_not_given_out() -> None:
    engine = new_engine()
    handle = acquire(engine, 6, NOBODY, 10).ranges[0].handle
    engine.expire(10)
    assert engine.acknowledge(Handle(1, 1, handle.number), now_ms=10, check=Check.LATEST)
    assert given(acquire(engine, 6, now_ms=10)) == [0, 2, 3, 4, 5, 6]


def test_what_is_purged_is_not_given_out() -> None:
    engine = new_engine(10)
    acquire(engine, 5)
    engine.release_owner("anna", now_ms=0)
    assert engine.purge(0) == 10
    engine.offer(10, 11)
    assert given(acquire(engine, 5)) == [10, 11]


def test_what_is_settled_after_a_restart_is_not_offered_again() -> None:
    engine = new_engine()
    acquire(engine, 5, NOBODY, 1_000)
    engine = again(engine)
    assert engine.acknowledge(Handle(2, 2, (1 << 40) + 1), now_ms=0)
    assert [(found.first, found.last) for found in take_delta(engine).ranges] == [(2, 2)]
    engine.offer(0, 99)
    engine.expire(1_000)
    assert given(acquire(engine, 6, now_ms=1_000)) == [0, 1, 3, 4, 5, 6]


def test_a_lock_that_ended_while_nobody_was_there_is_a_failure_like_others() -> None:
    engine = new_engine(policy=Policy(Limit(1)))
    acquire(engine, 1, NOBODY, 1_000)
    engine = again(engine)
    assert engine.expire(1_000) == 1
    assert engine.counts().in_flight == 0
    engine.offer(1, 99)
    assert given(acquire(engine, 1)) == [1]


def test_a_range_that_is_released_to_the_front_keeps_its_order() -> None:
    engine = new_engine()
    number = acquire(engine, 6).ranges[0].number
    engine.extend(Handle(2, 3, number), 5_000, now_ms=0)
    assert engine.release(Handle(0, 5, number), False, Position.FRONT, now_ms=0)
    assert given(acquire(engine, 7)) == [0, 1, 2, 3, 4, 5, 6]


def test_a_hundred_and_twenty_thousand_records_can_be_in_flight_one_by_one() -> None:
    engine = new_engine(130_000)
    handles = [acquire(engine, 1).ranges[0].handle for _ in range(120_000)]
    assert acquire(engine, 1).ranges == []
    assert engine.counts().in_flight == 120_000
    random.Random(1).shuffle(handles)
    assert all(engine.acknowledge(handle, now_ms=0) for handle in handles)
    assert (engine.start, len(engine.unsettled)) == (120_000, 0)


def test_a_backlog_of_ten_million_is_as_small_as_one_of_a_thousand() -> None:
    engine = new_engine(10)
    engine.end = 10_000_000
    assert engine.counts().ready == 10_000_000
    stored = take_snapshot(engine)
    assert (stored.start, stored.ranges) == (0, [])


def test_nothing_is_written_of_what_was_settled_in_order() -> None:
    engine = new_engine()
    for _ in range(10):
        for each in acquire(engine, 10).ranges:
            engine.acknowledge(each.handle, now_ms=0)
    delta = take_delta(engine)
    assert (delta.start, delta.ranges) == (100, [])


@pytest.mark.parametrize(("failures", "delay_ms"), [(1, 100), (2, 300), (3, 900), (4, 1_000), (1_000, 1_000)])
def test_delays_grow_up_to_their_cap(failures: int, delay_ms: int) -> None:
    assert Backoff(100, 3.0, 1_000).delay_ms(failures, random.Random(1)) == delay_ms


def test_jitter_takes_off_no_more_than_its_share() -> None:
    delays = {Backoff(1_000, jitter=0.5).delay_ms(1, random.Random(seed)) for seed in range(100)}
    assert 500 <= min(delays) < max(delays) <= 1_000


@pytest.mark.parametrize("dead_letters", [None, Destination("dead")])
def test_what_was_tried_often_enough_before_a_restart_is_not_tried_again(dead_letters: Destination | None) -> None:
    engine = new_engine(3, Policy(Limit(2), dead_letters=dead_letters))
    acquire(engine, 2)
    engine.release_owner("anna", now_ms=0)
    acquire(engine, 1)
    engine = again(engine, 3)
    engine.take_out_spent(0)
    assert given(acquire(engine, 5)) == [1]
    assert [move.first for move in engine.moves.values()] == ([0] if dead_letters else [])


def test_what_was_settled_among_what_is_offered_once_more_stays_settled() -> None:
    # As Apache Kafka may have left it: nobody has had the first records.
    settled, returned = StoredRange(5, 9, StoredState.ACKNOWLEDGED, 1), StoredRange(12, 13, StoredState.AVAILABLE, 1)
    stored = Stored(0, 0, 0, 0, [settled, returned], [])
    engine = restored(stored, 0, 20, Policy(), OffsetOrder(), random.Random(1), Changes(), None, now_ms=0)
    engine.offer(0, 14)
    engine.take_back()
    assert (engine.offered_end, engine.start, engine.counts().ready) == (0, 0, 10)
    engine.offer(0, 19)
    assert given(acquire(engine, 100)) == [*range(5), *range(10, 20)]


def tried(engine: Engine, count: int = 100) -> list[int]:
    """Returns how many records come together, until there are none."""
    found = []
    while given_now := given(engine.acquire("anna", count, BIG, None, now_ms=0, caution=Caution(engine.policy.limit))):
        found.append(len(given_now))
    engine.release_owner("anna", now_ms=0)
    return found


@pytest.mark.parametrize(
    ("limit", "parts"),
    [
        (2, [[8]] * 2),
        (3, [[8]] * 2 + [[1] * 8]),
        (5, [[8]] * 3 + [[4, 4], [1] * 8]),
        (7, [[8]] * 4 + [[4, 4], [2] * 4, [1] * 8]),
        (None, [[8]] * 9),
    ],
)
def test_what_was_tried_often_comes_in_ever_smaller_parts(limit: int | None, parts: list[list[int]]) -> None:
    engine = new_engine(8, Policy(Limit(limit)))
    for expected in parts:
        assert tried(engine) == expected
    assert tried(engine) == ([] if limit else [8])


def test_what_was_tried_often_comes_without_anything_else() -> None:
    engine = new_engine(4, Policy(Limit(5)))
    for _ in range(3):
        assert tried(engine) == [4]
    engine.offer(4, 9)
    assert tried(engine) == [2, 2, 6]
    # Some of one part are settled.
    taken = engine.acquire("anna", 1, BIG, None, now_ms=0, caution=Caution(engine.policy.limit))
    assert given(taken) == [0]
    assert engine.acknowledge(taken.ranges[0].handle, now_ms=0)
    assert tried(engine) == [1, 1, 1, 6]
    assert tried(engine) == [6]


def test_what_was_tried_often_waits_for_what_comes_before_and_comes_with_nothing_behind() -> None:
    engine = new_engine(8, Policy(Limit(5)))
    acquire(engine, 4, "ben")
    for _ in range(3):
        assert tried(engine) == [4]
    engine.release_owner("ben", now_ms=0)
    assert tried(engine) == [4, 2, 2]
    # Of the first four, which have been tried three times then, one is left.
    taken = acquire(engine, 8, "ben")
    assert given(taken) == list(range(8))
    assert engine.acknowledge(Handle(1, 7, taken.ranges[0].number), now_ms=0)
    engine.offer(8, 11)
    for _ in range(3):
        assert tried(engine) == [4]
    engine.release_owner("ben", now_ms=0)
    assert tried(engine) == [1, 2, 2]


def test_a_limit_of_failures_counts_failures_alone() -> None:
    engine = new_engine(policy=Policy(Limit(2, Counter.FAILURES)))
    for failed in (False, True, False):
        assert engine.release(acquire(engine, 1).ranges[0].handle, failed, now_ms=0)
    assert given(acquire(engine, 1)) == [0]
    assert engine.release(Handle(0, 0, engine.unsettled.find(0).number), True, now_ms=0)  # type: ignore[union-attr]
    assert given(acquire(engine, 1)) == [1]


def test_a_limit_that_acts_when_a_record_would_be_delivered_once_more() -> None:
    policy = Policy(Limit(1, acts=Acts.AT_ACQUIRE), dead_letters=Destination("dead"))
    engine = new_engine(3, policy)
    handle = acquire(engine, 1).ranges[0].handle
    assert engine.release(handle, now_ms=0)
    assert engine.counts()[:4] == (3, 0, 0, 0)
    assert engine.acknowledge(handle, now_ms=0, check=Check.LATEST), "it may still be acknowledged"
    handle = acquire(engine, 1).ranges[0].handle
    assert engine.release(handle, now_ms=0)
    assert given(acquire(engine, 5)) == [2]
    assert [(move.first, move.last) for move in engine.moves.values()] == [(1, 1)]


class LatestFirst(OffsetOrder):
    """Another rule: what came last is next, those of a higher lane before all others."""

    def __init__(self) -> None:
        super().__init__()
        self._lanes: dict[int, int] = {}

    def offer(self, first: int, last: int, size: int, columns: Any) -> None:
        for offset in range(first, last + 1):
            self._lanes[offset] = columns["lane"]

    def take_fresh(self, max_records: int, max_bytes: int, within: int) -> Fresh | None:
        if not self._lanes:
            return None
        offset = max(self._lanes, key=lambda offset: (self._lanes[offset], offset))
        del self._lanes[offset]
        return Fresh(offset, offset, 0)

    def lowest_fresh(self) -> int | None:
        return min(self._lanes, default=None)

    def fresh(self) -> Iterator[Fresh]:
        return (Fresh(offset, offset, 0) for offset in sorted(self._lanes))


def test_which_record_is_next_is_a_rule_that_can_be_replaced_and_knows_columns() -> None:
    engine = Engine(0, 1, Policy(), LatestFirst(), random.Random(1), Changes())
    engine.offer(0, 1, columns={"lane": 0})
    engine.offer(2, 3, columns={"lane": 1})
    engine.offer(4, 4, columns={"lane": 0})
    found = [acquire(engine, 1) for _ in range(3)]
    assert [given(each) for each in found] == [[3], [2], [4]]
    assert engine.start == 0
    for each in found:
        assert engine.acknowledge(each.ranges[0].handle, now_ms=0)
    assert [(each.first, each.last) for each in take_snapshot(engine).ranges] == [(2, 4)]
    with pytest.raises(ValueError, match="no use for columns"):
        new_engine().offer(100, 100, columns={"lane": 0})


def test_what_was_tried_often_comes_without_what_was_tried_less_also_if_they_came_together() -> None:
    engine = new_engine(8, Policy(Limit(6)))
    # Somebody may have had half of them before a crash.
    engine.redelivered_end = 4
    first = acquire(engine, 8)
    assert [(found.first, found.acquisitions) for found in first.ranges] == [(0, 2), (4, 1)]
    assert engine.acknowledge(Handle(1, 3, first.ranges[0].number), now_ms=0)
    engine.release_owner("anna", now_ms=0)
    assert tried(engine) == [5]
    assert tried(engine) == [1, 4]


def test_what_is_settled_at_delivery_makes_room_before_the_next_is_chosen() -> None:
    engine = new_engine(10, Policy(max_unsettled=4))
    handle = acquire(engine, 4).ranges[0].handle
    assert engine.release(Handle(0, 3, handle.number), False, Position.TAIL, None, now_ms=0)
    # Nothing else may be had while so many are unsettled; then it is the turn of what was not at the tail.
    found = engine.acquire("ben", 3, BIG, None, True, now_ms=0)
    assert given(found) == [0, 4, 5]
