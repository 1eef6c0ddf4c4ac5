"""The delivery engine beside a simple specification, with time, workers that come and go, and crashes."""

import copy
import random

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from logserver.coordinator.delivery.caution import Caution
from logserver.coordinator.delivery.changes import Changes
from logserver.coordinator.delivery.credits import Credit
from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.handles import Acquired, Check, Handle
from logserver.coordinator.delivery.moves import Destination
from logserver.coordinator.delivery.order import OffsetOrder, Position
from logserver.coordinator.delivery.policy import Backoff, Limit, Policy
from logserver.coordinator.delivery.stored import Stored
from logserver.coordinator.delivery.storing import restored, take_snapshot
from logserver.coordinator.delivery.unsettled import NOBODY, Delivery, State

from .specification import UNSETTLED, Message, Specification, Stage

STAGES = {State.READY: Stage.READY, State.DELAYED: Stage.DELAYED, State.HELD: Stage.HELD, State.MOVING: Stage.MOVING}
OWNERS = st.sampled_from(["anna", "ben", NOBODY])
BIG = 1 << 30


class DeliveryModel(RuleBasedStateMachine):
    """Everything that was sent is acknowledged, taken out, or still there; nobody is given what another one holds; and
    no count ever falls."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1_000_000
        self.held: list[Acquired] = []
        self.numbers: set[int] = set()
        self.has_crashed = False

    @initialize(
        limit=st.sampled_from([None, 1, 2, 3, 6]),
        delay_ms=st.sampled_from([0, 1_000]),
        most=st.sampled_from([3, 20, 10_000]),
        has_dead_letters=st.booleans(),
    )
    def begin(self, limit: int | None, delay_ms: int, most: int, has_dead_letters: bool) -> None:
        self.specification = Specification(limit, delay_ms, most, has_dead_letters)
        self.policy = Policy(
            Limit(limit), Backoff(delay_ms), Destination("dead") if has_dead_letters else None, max_unsettled=most
        )
        self.engine = Engine(0, 1, self.policy, OffsetOrder(), random.Random(1), Changes())
        self.credits = {owner: Credit(None) for owner in ("anna", "ben", NOBODY)}
        self.write()
        self.send(60, {3, 10, 11}, 0)

    # Messages come

    @rule(count=st.integers(1, 40), holes=st.sets(st.integers(0, 39), max_size=6), base=st.sampled_from([0, 0, 1_000]))
    def send(self, count: int, holes: set[int], base: int) -> None:
        """Args:
        base: so many holes come first, so that pages end now and then.
        """
        self.look()
        first = self.engine.offered_end
        count += base
        missing = {first + at for at in range(base)} | {first + base + hole for hole in holes}
        self.specification.send(count, missing)
        ranges = [(offset, offset) for offset in sorted(missing) if offset < first + count]
        self.engine.offer(first, first + count - 1, ranges, size=count * 10)

    @rule(count=st.integers(1, 40))
    def send_later(self, count: int) -> None:
        """They are in the log, and nobody has looked at them yet."""
        self.specification.send(count, set())
        self.engine.end += count

    def look(self) -> None:
        if self.engine.offered_end < self.engine.end:
            first, last = self.engine.offered_end, self.engine.end - 1
            self.engine.offer(first, last, size=(last - first + 1) * 10)

    # Workers

    @rule(
        owner=OWNERS,
        count=st.integers(1, 12),
        lock_ms=st.sampled_from([500, 60_000]),
        settle=st.booleans(),
        is_cautious=st.booleans(),
    )
    def acquire(self, owner: str, count: int, lock_ms: int, settle: bool, is_cautious: bool) -> None:
        lock = lock_ms if owner == NOBODY or lock_ms > 500 else None
        until_ms = None if lock is None else self.now_ms + lock
        credits = () if settle else (self.credits[owner],)
        self.look()
        caution = Caution(self.policy.limit) if is_cautious else None
        found = self.engine.acquire(
            owner, count, BIG, lock, settle, now_ms=self.now_ms, credits=credits, caution=caution
        )
        given = [offset for acquired in found.ranges for offset in range(acquired.first, acquired.last + 1)]
        if is_cautious:
            without = copy.deepcopy(self.specification).acquire(owner, count, until_ms, settle)
            assert self.specification.is_cautious(given, without)
            count = len(given)
        assert given == self.specification.acquire(owner, count, until_ms, settle)
        assert found.records == len(given)
        for acquired in found.ranges:
            for offset in range(acquired.first, acquired.last + 1):
                message = self.specification.messages[offset]
                message.number = acquired.number
                assert (acquired.acquisitions, acquired.failures) == (message.acquisitions, message.failures)
        numbers = {acquired.number for acquired in found.ranges}
        assert len(numbers) <= 1 and not numbers & self.numbers
        self.numbers |= numbers
        if not settle:
            self.held += found.ranges
        if found.after > self.engine.changes.durable:
            self.write()

    def pick(self, data: st.DataObject) -> tuple[Handle, list[Message], bool]:
        """Returns a handle that somebody was given some time, what it names, and whether it is good."""
        good = [each for each in self.held if self.specification.is_held(each.first, each.last, each.number)]
        prefers_good = data.draw(st.integers(0, 3)) > 0
        acquired = data.draw(st.sampled_from(good if good and prefers_good else self.held))
        first = data.draw(st.integers(acquired.first, acquired.last))
        last = data.draw(st.integers(first, acquired.last))
        named = [self.specification.messages[offset] for offset in range(first, last + 1)]
        return Handle(first, last, acquired.number), named, self.specification.is_held(first, last, acquired.number)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), check=st.sampled_from(Check))
    def acknowledge(self, data: st.DataObject, check: Check) -> None:
        handle, named, is_good = self.pick(data)
        if check is Check.LATEST:
            stages = (Stage.HELD, Stage.READY, Stage.DELAYED)
            is_good = all(each.number == handle.number and each.stage in stages for each in named)
        assert self.engine.acknowledge(handle, now_ms=self.now_ms, check=check) is is_good
        for message in named if is_good else ():
            message.stage, message.until_ms = Stage.SETTLED, None

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        failed=st.booleans(),
        after_ms=st.sampled_from([None, 0, 2_000]),
        position=st.sampled_from(Position),
    )
    def release(self, data: st.DataObject, failed: bool, after_ms: int | None, position: Position) -> None:
        handle, named, is_good = self.pick(data)
        due_ms = None if after_ms is None else self.now_ms + after_ms
        assert self.engine.release(handle, failed, position, due_ms, now_ms=self.now_ms) is is_good
        # At the front, too, they stand in their order.
        for message in (reversed(named) if position is Position.FRONT else named) if is_good else ():
            self.specification.give_back(message, failed, due_ms, self.now_ms, position.value)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        handle, named, is_good = self.pick(data)
        assert self.engine.reject(handle, "bad", now_ms=self.now_ms) is is_good
        for message in named if is_good else ():
            self.specification.take_out(message)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), lock_ms=st.sampled_from([100, 100_000]))
    def extend(self, data: st.DataObject, lock_ms: int) -> None:
        handle, named, is_good = self.pick(data)
        assert self.engine.extend(handle, lock_ms, now_ms=self.now_ms) is is_good
        for message in named if is_good else ():
            message.until_ms = self.now_ms + lock_ms

    @rule(owner=st.sampled_from(["anna", "ben"]))
    def leave(self, owner: str) -> None:
        held = [message for message in self.specification.of(Stage.HELD) if message.owner == owner]
        assert self.engine.release_owner(owner, now_ms=self.now_ms) == len(held)
        for message in held:
            self.specification.give_back(message, False, None, self.now_ms, "original")

    # Time, moves, crashes

    @rule(ms=st.sampled_from([100, 1_000, 30_000, 200_000]))
    def pass_time(self, ms: int) -> None:
        self.now_ms += ms
        self.engine.expire(self.now_ms)
        self.specification.expire(self.now_ms)

    @precondition(lambda self: self.engine.moves)
    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        move = self.engine.moves[data.draw(st.sampled_from(sorted(self.engine.moves)))]
        self.engine.moved(move.intent, self.now_ms)
        for offset in range(move.first, move.last + 1):
            self.specification.messages[offset].stage = Stage.ARCHIVED

    @precondition(lambda self: self.specification.messages)
    @rule(data=st.data())
    def send_away(self, data: st.DataObject) -> None:
        message = self.specification.messages[data.draw(st.sampled_from(sorted(self.specification.messages)))]
        move = self.engine.send_away(message.offset, "elsewhere", Destination("other"), now_ms=self.now_ms)
        assert (move is not None) is (message.stage in (Stage.FRESH, Stage.READY, Stage.DELAYED))
        if move is not None:
            assert (move.acquisitions, move.failures) == (message.acquisitions, message.failures)
            message.stage, message.until_ms = Stage.MOVING, None

    @rule(really=st.integers(0, 3))
    def purge(self, really: int) -> None:
        if really:
            return
        ready = self.specification.of(Stage.FRESH, Stage.READY)
        assert self.engine.purge(self.now_ms) == len(ready)
        for message in ready:
            message.stage = Stage.SETTLED

    @rule()
    def write(self) -> None:
        self.stored: Stored = take_snapshot(self.engine)
        self.durable = copy.deepcopy(self.specification.messages)
        self.engine.changes.durable = self.engine.changes.sequence

    @rule()
    def crash(self) -> None:
        """Everybody is gone, and so is what was not durable; it was not answered either."""
        self.has_crashed = True
        before = {offset: message.acquisitions for offset, message in self.durable.items()}
        for offset, message in self.specification.messages.items():
            if offset not in self.durable:
                # Sent since: the log has it, and nobody was told that it was delivered, or it is not known.
                self.durable[offset] = Message(offset, place=(offset, 0))
            elif message.acquisitions > self.durable[offset].acquisitions:
                # Given out for the first time, which waits for no write: it may have been seen.
                assert self.durable[offset].acquisitions == 0
        end = self.specification.end
        self.engine = restored(
            self.stored, 0, end, self.policy, OffsetOrder(), random.Random(1), Changes(), None, now_ms=self.now_ms
        )
        self.engine.expire(self.now_ms)
        perhaps_end = self.engine.redelivered_end
        self.specification.crash(self.durable)
        self.specification.expire(self.now_ms)
        for message in self.specification.of(Stage.FRESH):
            if message.offset < perhaps_end:
                message.acquisitions = 1
        self.offer_again(end)
        for offset, acquisitions in before.items():
            assert self.specification.messages[offset].acquisitions >= acquisitions
        self.held = []
        self.credits = {owner: Credit(None) for owner in self.credits}
        self.write()

    @rule(is_late=st.booleans())
    def take_back(self, is_late: bool) -> None:
        """What nobody has had is looked at once more; perhaps it has to wait longer than before.

        Args:
            is_late: whether the queue ends where the first of them is, for a moment.
        """
        end = self.specification.end
        self.engine.take_back()
        if is_late:
            self.engine.end = self.engine.offered_end
            assert self.engine.counts().ready == len(self.specification.of(Stage.READY))
            assert self.engine.start == self.specification.start
            assert all(message.offset >= self.engine.end for message in self.specification.of(Stage.FRESH))
        self.offer_again(end)

    def offer_again(self, end: int) -> None:
        first = self.engine.offered_end
        holes = [(offset, offset) for offset in range(first, end) if offset not in self.specification.messages]
        if first < end:
            self.engine.offer(first, end - 1, holes, size=10 * (end - first))
        self.engine.end = end

    # Always

    @invariant()
    def is_as_specified(self) -> None:
        if not hasattr(self, "engine"):
            return
        found: dict[int, Delivery] = {
            offset: each for each in self.engine.unsettled for offset in range(each.first, each.last + 1)
        }
        wanted = {message.offset: message for message in self.specification.of(*UNSETTLED)}
        assert found.keys() == wanted.keys()
        for offset, message in wanted.items():
            delivery = found[offset]
            assert STAGES[delivery.state] is message.stage, offset
            assert (delivery.acquisitions, delivery.failures) == (message.acquisitions, message.failures), offset
            if message.stage is Stage.HELD:
                assert delivery.owner == message.owner
            if message.stage in (Stage.HELD, Stage.DELAYED):
                assert delivery.until_ms == (-1 if message.until_ms is None else message.until_ms), offset

    @invariant()
    def counts_are_exact(self) -> None:
        if not hasattr(self, "engine"):
            return
        specification = self.specification
        assert self.engine.counts()[:4] == (
            len(specification.of(Stage.FRESH, Stage.READY)),
            len(specification.of(Stage.DELAYED)),
            len(specification.of(Stage.HELD)),
            len(specification.of(Stage.MOVING)),
        )
        assert self.engine.start == specification.start
        for owner, credit in self.credits.items():
            held = [message for message in specification.of(Stage.HELD) if message.owner == owner]
            assert credit.used <= len(held) if owner == NOBODY else credit.used == len(held)

    @invariant()
    def ready_bytes_are_exact(self) -> None:
        if not hasattr(self, "engine") or self.has_crashed:
            # Of what somebody had before, the sizes are not kept.
            return
        looked_at = [
            message
            for message in self.specification.of(Stage.FRESH, Stage.READY)
            if message.offset < self.engine.offered_end
        ]
        assert self.engine.counts().ready_bytes == 10 * len(looked_at)

    @invariant()
    def deadlines_are_kept(self) -> None:
        if not hasattr(self, "engine"):
            return
        due = [
            message.until_ms
            for message in self.specification.of(Stage.HELD, Stage.DELAYED)
            if message.until_ms is not None
        ]
        next_ms = self.engine.next_ms
        assert not due or (next_ms is not None and next_ms <= min(due))


ModelTest = DeliveryModel.TestCase
ModelTest.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


@pytest.mark.long
@pytest.mark.timeout(1800)
class TestLongModel(DeliveryModel.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(max_examples=5_000, stateful_step_count=80, deadline=None)
