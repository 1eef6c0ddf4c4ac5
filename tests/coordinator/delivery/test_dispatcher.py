"""Who gets what of those who wait: turns, priorities, credit that is shared or changes, and an end with a reason."""

import random

from logserver.coordinator.delivery.changes import NoChanges
from logserver.coordinator.delivery.credits import Credit
from logserver.coordinator.delivery.dispatcher import Dispatcher
from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.handles import Acquisition, Handle
from logserver.coordinator.delivery.order import OffsetOrder
from logserver.coordinator.delivery.policy import Policy
from logserver.coordinator.delivery.waiters import Waiter


class Line:
    """A partition with records, and those who wait for them."""

    def __init__(self) -> None:
        self.engine = Engine(0, 1, Policy(), OffsetOrder(), random.Random(1), NoChanges())
        self.got: list[tuple[str, int]] = []
        self.reasons: list[str] = []
        self.dispatcher = Dispatcher(self.engine, lambda: None, self._deliver)

    def _deliver(self, waiter: Waiter, found: Acquisition) -> None:
        self.got += [(waiter.owner, offset) for each in found.ranges for offset in range(each.first, each.last + 1)]

    def waiter(self, owner: str, *credits: Credit, priority: int = 0) -> Waiter:
        waiter = Waiter(
            owner, lambda *_: None, self.reasons.append, priority=priority, credits=credits, max_records=100
        )
        self.dispatcher.add(waiter)
        return waiter

    def send(self, records: int) -> None:
        self.engine.offer(self.engine.offered_end, self.engine.offered_end + records - 1, size=records)

    def dispatch(self) -> list[tuple[str, int]]:
        """Returns who was given which offset."""
        self.dispatcher.dispatch(0)
        got, self.got = self.got, []
        return got


def test_each_has_its_turn() -> None:
    line = Line()
    for owner in ("anna", "ben", "cleo"):
        line.waiter(owner)
    for _ in range(2):
        line.send(3)
        assert {owner for owner, _ in line.dispatch()} == {"anna", "ben", "cleo"}


def test_who_has_a_higher_priority_is_served_as_long_as_they_have_credit() -> None:
    line = Line()
    line.waiter("low", Credit(2), priority=0)
    line.waiter("high", Credit(3), priority=1)
    line.send(4)
    assert line.dispatch() == [("high", 0), ("high", 1), ("high", 2), ("low", 3)]


def test_a_counter_that_two_share_counts_for_both_and_what_is_settled_is_free_again() -> None:
    line = Line()
    shared, own = Credit(3), Credit(2)
    line.waiter("anna", shared, own)
    line.waiter("ben", shared)
    line.send(10)
    given = line.dispatch()
    assert len(given) == 3 and shared.used == 3
    assert sum(owner == "anna" for owner, _ in given) <= 2
    assert line.dispatch() == []
    line.engine.acknowledge(Handle(0, 0, line.engine.unsettled.find(0).number), now_ms=0)  # type: ignore[union-attr]
    assert [offset for _, offset in line.dispatch()] == [3]


def test_credit_changes_while_one_waits() -> None:
    line = Line()
    credit = Credit(1)
    waiter = line.waiter("anna", credit)
    line.send(10)
    assert line.dispatch() == [("anna", 0)]
    credit.change(3)
    assert line.dispatch() == [("anna", 1), ("anna", 2)]
    other = Credit(2)
    waiter.set_credits((other,))
    assert line.dispatch() == [("anna", 3), ("anna", 4)]
    credit.change(None)
    assert line.dispatch() == []
    other.change(None)
    assert [offset for _, offset in line.dispatch()] == [5, 6, 7, 8, 9]


def test_everybody_hears_why_there_will_be_nothing_any_more() -> None:
    line = Line()
    for owner in ("anna", "ben"):
        line.waiter(owner, Credit(0))
    line.dispatcher.cancel("the queue was deleted")
    assert line.reasons == ["the queue was deleted"] * 2
    assert len(line.dispatcher) == 0
