"""An engine, what is kept of it, and the engine that is made of that after a crash: after every append, the same."""

import copy
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from logserver.coordinator.delivery.changes import Changes
from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.handles import Acquired, Check, Handle
from logserver.coordinator.delivery.moves import Destination
from logserver.coordinator.delivery.order import OffsetOrder, Position
from logserver.coordinator.delivery.policy import Acts, Backoff, Counter, Limit, Policy
from logserver.coordinator.delivery.stored import Stored
from logserver.coordinator.delivery.storing import restored, take_delta, take_snapshot
from logserver.coordinator.delivery.unsettled import NOBODY
from tests.broker.harness import NOW_MS, SeededRandom

from .kept_log import Keeper, KeptLog
from .nodes import KEY

OWNERS = ("a", "b", NOBODY)

policies = st.builds(
    lambda count, counter, acts, backoff_ms, dead_letters: Policy(
        Limit(count, counter, acts),
        Backoff(backoff_ms),
        Destination("dead", None) if dead_letters else None,
        max_unsettled=40,
    ),
    st.sampled_from([None, 2, 3]),
    st.sampled_from(Counter),
    st.sampled_from(Acts),
    st.sampled_from([0, 5_000]),
    st.booleans(),
)


def is_hole(offset: int) -> bool:
    return offset % 11 == 7


def holes(first: int, last: int) -> list[tuple[int, int]]:
    return [(offset, offset) for offset in range(first, last + 1) if is_hole(offset)]


def contents(engine: Engine, end: int) -> dict[str, Any]:
    """Returns all of an engine that matters, after an `expire`, as far as an offset, exclusive."""
    settled = set(range(engine.start))
    for first, last in engine.settled_within(engine.start, max(end, engine.offered_end) - 1):
        settled.update(range(first, last + 1))
    unsettled = {
        offset: (
            found.state,
            found.acquisitions,
            found.failures,
            found.first_ms,
            found.last_ms,
            found.number,
            found.until_ms,
            found.redelivered,
            None if found.move is None else found.move.intent,
        )
        for found in engine.unsettled
        for offset in range(found.first, found.last + 1)
    }
    moves = {
        intent: tuple(getattr(move, name) for name in move.__slots__ if name not in ("first", "last", "sequence"))
        for intent, move in engine.moves.items()
    }
    return {
        "epoch": engine.epoch,
        "start": engine.start,
        "settled": settled,
        "unsettled": unsettled,
        "redelivered_end": engine.redelivered_end,
        "last_intent": engine.last_intent,
        "moves": moves,
        "counts": engine.counts(),
    }


class EngineModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.log = KeptLog()
        self.now_ms = NOW_MS
        self.log_start = 0
        self.log_end = 0
        self.held: list[Acquired] = []
        # What was settled and durable, and the highest numbers that anybody has seen.
        self.gone: set[int] = set()
        self.acknowledged: set[int] = set()
        self.highest_number = -1

    @initialize(policy=policies, updates=st.sampled_from([0, 1, 4, 500]))
    def begin(self, policy: Policy, updates: int) -> None:
        self.policy = policy
        self.updates = updates
        self.open()

    def open(self) -> None:
        """Opens what is kept, in a new engine."""
        self.keeper = Keeper(self.log, KEY, self.updates)
        self.engine = self.from_kept()
        self.held = []

    def from_kept(self) -> Engine:
        machine = self.log.replayed()
        if KEY not in machine.states:
            return Engine(self.log_start, 1, self.policy, OffsetOrder(), SeededRandom(1), Changes())
        image = machine.states[KEY].image()
        assert image.stored is not None
        return self.made_from(image.stored)

    def made_from(self, stored: Stored) -> Engine:
        engine = restored(
            stored,
            self.log_start,
            self.log_end,
            self.policy,
            OffsetOrder(),
            SeededRandom(1),
            Changes(),
            None,
            now_ms=self.now_ms,
        )
        engine.end = max(self.log_end, engine.start)
        return engine

    # What happens

    @rule(records=st.integers(1, 30))
    def send(self, records: int) -> None:
        self.log_end += records
        self.engine.end = max(self.engine.end, self.log_end)

    @precondition(lambda self: self.engine.offered_end < self.log_end)
    @rule(most=st.integers(1, 30))
    def offer(self, most: int) -> None:
        first = self.engine.offered_end
        last = min(first + most, self.log_end) - 1
        self.engine.offer(first, last, holes(first, last), size=100 * (last - first + 1))

    @rule(
        owner=st.sampled_from(OWNERS),
        most=st.integers(1, 12),
        lock_ms=st.sampled_from([None, 1_000, 60_000]),
        settle=st.sampled_from([False, False, False, True]),
    )
    def acquire(self, owner: str, most: int, lock_ms: int | None, settle: bool) -> None:
        if owner == NOBODY and lock_ms is None:
            lock_ms = 1_000
        found = self.engine.acquire(owner, most, 1 << 20, lock_ms, settle, now_ms=self.now_ms)
        for item in found.ranges:
            assert item.number > self.highest_number, "an acquisition's number is given twice"
            for offset in range(item.first, item.last + 1):
                assert offset not in self.gone, f"{offset} was settled, and comes again"
        if not settle:
            self.held += found.ranges
        if found.after:
            # Nobody sees them before.
            self.write()
        self.highest_number = max([self.highest_number, *(item.number for item in found.ranges)])

    def pick(self, data: st.DataObject) -> Handle:
        item = data.draw(st.sampled_from(self.held))
        first = data.draw(st.integers(item.first, item.last))
        return Handle(first, data.draw(st.integers(first, item.last)), item.number)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), check=st.sampled_from(Check))
    def acknowledge(self, data: st.DataObject, check: Check) -> None:
        handle = self.pick(data)
        if self.engine.acknowledge(handle, now_ms=self.now_ms, check=check):
            self.acknowledged.update(range(handle.first, handle.last + 1))

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        failed=st.booleans(),
        position=st.sampled_from(Position),
        rest_ms=st.sampled_from([None, 0, 3_000]),
    )
    def release(self, data: st.DataObject, failed: bool, position: Position, rest_ms: int | None) -> None:
        due_ms = None if rest_ms is None else self.now_ms + rest_ms
        self.engine.release(self.pick(data), failed, position, due_ms, now_ms=self.now_ms, reason="again")

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        self.engine.reject(self.pick(data), "rejected", now_ms=self.now_ms)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), lock_ms=st.sampled_from([0, 500, 90_000]))
    def extend(self, data: st.DataObject, lock_ms: int) -> None:
        self.engine.extend(self.pick(data), lock_ms, now_ms=self.now_ms)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        self.engine.move(self.pick(data), "elsewhere", Destination("other", 3), now_ms=self.now_ms)

    @precondition(lambda self: self.engine.moves)
    @rule(data=st.data())
    def moved(self, data: st.DataObject) -> None:
        self.engine.moved(data.draw(st.sampled_from(sorted(self.engine.moves))), self.now_ms)

    @rule(owner=st.sampled_from(OWNERS[:2]), failed=st.booleans())
    def leave(self, owner: str, failed: bool) -> None:
        self.engine.release_owner(owner, failed, now_ms=self.now_ms)

    @rule(ms=st.sampled_from([1, 999, 2_000, 70_000]))
    def pass_time(self, ms: int) -> None:
        self.now_ms += ms
        self.engine.expire(self.now_ms)

    @rule()
    def purge(self) -> None:
        self.engine.purge(self.now_ms)

    @precondition(lambda self: self.log_start < self.log_end)
    @rule(data=st.data())
    def retain(self, data: st.DataObject) -> None:
        self.log_start = data.draw(st.integers(self.log_start, self.log_end))
        self.engine.drop_below(self.log_start, self.now_ms)

    # Writing and crashing

    @precondition(lambda self: self.engine.changes)
    @rule()
    def write(self) -> None:
        engine = self.engine
        self.keeper.write(lambda: take_delta(engine), lambda: take_snapshot(engine))
        engine.changes.durable = engine.changes.sequence
        self.gone |= self.acknowledged
        self.check_kept()

    def check_kept(self) -> None:
        """Compares what a restart finds with what would be found if all was written anew."""
        known = copy.copy(self.engine)
        known.changes = Changes()
        wanted = self.made_from(take_snapshot(known))
        found = self.from_kept()
        for engine in (wanted, found):
            engine.expire(self.now_ms)
        assert contents(found, self.log_end) == contents(wanted, self.log_end)
        summary = self.keeper.state.summary()
        assert summary == self.log.replayed().states[KEY].summary()
        self.check_kafka(found)

    def check_kafka(self, found: Engine) -> None:
        """Compares with what Kafka would find in its own records."""
        kafka = self.log.as_kafka()
        start = self.keeper.state.start
        mine: dict[int, int] = {
            offset: each.acquisitions for each in found.unsettled for offset in range(each.first, each.last + 1)
        }
        for offset, (state, deliveries) in kafka.items():
            if offset >= self.log_start:
                assert (state == 0) == (offset in mine), offset
                assert state or deliveries == mine[offset], offset
        settled = {offset for offset, (state, _) in kafka.items() if state}
        assert len(settled) == self.keeper.state.delivery_complete_count
        assert all(offset >= start for offset in kafka)

    @rule(lost=st.sampled_from([0, 0, 0, 5]))
    def crash(self, lost: int) -> None:
        """Args:
        lost: records that the topic's own log loses, its durable state being ahead of it.
        """
        self.log_end = max(self.log_end - lost, self.log_start)
        self.gone = {offset for offset in self.gone if offset < self.log_end}
        self.acknowledged = set(self.gone)
        self.open()

    @rule()
    def prune(self) -> None:
        self.log.prune(self.keeper.machine)

    @invariant()
    def counts_add_up(self) -> None:
        if hasattr(self, "engine"):
            assert self.engine.start >= self.log_start


ModelTest = EngineModel.TestCase
ModelTest.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)


@pytest.mark.long
class TestLongModel(EngineModel.TestCase):  # type: ignore[misc,name-defined]
    settings = settings(max_examples=3_000, stateful_step_count=60, deadline=None)
