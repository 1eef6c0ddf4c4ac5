"""What a server holds of a queue is held against what its workers were told."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from logserver_records.codec import build_batch

from logserver.coordinator.delivery.unsettled import State
from logserver.simulation.checks import queues
from logserver.simulation.checks.queue_state import Moved, QueuePartitionState, QueueState, Unsettled
from logserver.simulation.clients.queue_work import records_in
from logserver.simulation.deliveries import EPOCH_BITS, Delivery, Outcome, Terms, until_s
from logserver.simulation.history import History
from logserver.simulation.ledger import Violation

from .story import PLACE, Story

LOCK_MS = 2_000
READY, HELD, MOVING, DELAYED = State.READY, State.HELD, State.MOVING, State.DELAYED


class Queue:
    """A queue with one message, at offset 0, as workers know it and as a server has it after a start."""

    def __init__(self, *, dead_letters: str = "", limit: int = 0) -> None:
        self.story = Story()
        self.terms = Terms("jobs", "jobs", PLACE[0], limit, dead_letters=dead_letters)
        self.history = History(self.story.ledger, self.terms, lambda: 0.0)
        self.story.ledger.queues["jobs"] = self.history
        self.story.send("anna:0", place=PLACE, acked=0)
        self.found = QueuePartitionState(PLACE, 0, 1, 2, 0, waiting={0})
        self.state = QueueState([self.found])
        self.is_there = True

    def give(self, count: int = 1) -> Delivery:
        """Gives the message to a worker."""
        now_s = self.story.now_s
        return self.history.delivered(
            "bert", PLACE, 0, count, now_s - 0.01, until_s(now_s, LOCK_MS), number=(1 << EPOCH_BITS) + count, failures=0
        )

    def says(self, delivery: Delivery, outcome: Outcome, time_ms: int | None = None) -> None:
        """Lets a worker say something, which is confirmed."""
        self.history.says(delivery, outcome, time_ms=time_ms)
        self.history.confirmed(delivery, outcome, asked_s=self.story.now_s, time_ms=time_ms)

    def is_now(self, state: State, deliveries: int = 1, failures: int = 0, number: int = -1) -> None:
        """Somebody has had the message, and this becomes of it next."""
        self.found.waiting.clear()
        self.found.unsettled[0] = Unsettled(state, deliveries, failures, number)

    def is_settled(self) -> None:
        """The server has done with the message."""
        self.found.waiting.clear()
        self.found.unsettled.clear()

    def is_elsewhere(self, value: str = "anna:0", deliveries: int = 0) -> None:
        """The message has gone to the dead letters."""
        self.is_settled()
        self.state.moved.setdefault((PLACE, 0), []).append(Moved(PLACE, 0, value, deliveries))

    async def check(self, monkeypatch: pytest.MonkeyPatch) -> str | None:
        """Returns what the check says."""

        async def read(daemon: object, terms: object) -> QueueState:
            return self.state

        monkeypatch.setattr(queues, "read_queue", read)
        declared = SimpleNamespace(declared=lambda name: object() if self.is_there else None)
        try:
            await queues.check_queues(
                cast(Any, SimpleNamespace(queues=declared)), self.story.ledger, self.story.at, is_fresh=True
            )
        except Violation as violation:
            return violation.kind
        return None


async def test_what_may_become_of_a_message_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(dead_letters="dead")
    assert await queue.check(monkeypatch) is None
    delivery = queue.give()
    queue.is_now(HELD)
    assert await queue.check(monkeypatch) is None
    queue.history.says(delivery, Outcome.ACKNOWLEDGE)
    assert await queue.check(monkeypatch) is None
    queue.is_settled()
    assert await queue.check(monkeypatch) is None


async def test_an_acknowledged_message_that_is_to_be_delivered_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue()
    queue.says(queue.give(), Outcome.ACKNOWLEDGE)
    for state in State:
        queue.is_now(state)
        assert await queue.check(monkeypatch) == "acknowledged message came back"
    queue.is_settled()
    assert await queue.check(monkeypatch) is None


async def test_what_is_acknowledged_after_a_cut_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue()
    delivery = queue.give()
    queue.is_now(READY)
    queue.story.done = 1
    queue.says(delivery, Outcome.ACKNOWLEDGE)
    queue.story.done = 0
    assert await queue.check(monkeypatch) is None


async def test_a_message_that_nobody_has_acknowledged_and_is_settled_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue()
    queue.is_settled()
    assert await queue.check(monkeypatch) == "lost message"
    queue = Queue(limit=2)
    queue.give(2)
    queue.is_settled()
    assert await queue.check(monkeypatch) is None


async def test_a_rejected_message_goes_to_the_dead_letters_once_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = Queue(dead_letters="dead")
    queue.says(queue.give(), Outcome.REJECT)
    queue.is_now(READY)
    assert await queue.check(monkeypatch) == "rejected message came back"
    queue.is_now(MOVING)
    assert await queue.check(monkeypatch) is None
    queue.is_settled()
    assert await queue.check(monkeypatch) == "lost dead letter"
    queue.is_elsewhere(deliveries=1)
    assert await queue.check(monkeypatch) is None
    queue.is_elsewhere(deliveries=1)
    assert await queue.check(monkeypatch) == "dead letter written twice"


async def test_a_dead_letter_that_should_not_be_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(dead_letters="dead")
    queue.says(queue.give(), Outcome.ACKNOWLEDGE)
    queue.is_elsewhere()
    assert await queue.check(monkeypatch) == "dead letter of an acknowledged message"
    queue = Queue(dead_letters="dead")
    queue.give(2)
    queue.is_elsewhere(deliveries=1)
    assert await queue.check(monkeypatch) == "delivered after its end"
    queue = Queue(dead_letters="dead")
    queue.is_elsewhere(value="carl:0")
    assert await queue.check(monkeypatch) == "unknown record"


async def test_counts_that_fall_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue()
    queue.says(queue.give(2), Outcome.FAIL)
    queue.is_now(READY, deliveries=1, failures=1)
    assert await queue.check(monkeypatch) == "delivery count falls"
    queue.is_now(READY, deliveries=2)
    assert await queue.check(monkeypatch) == "failure forgotten"
    queue.is_now(READY, deliveries=2, failures=1)
    assert await queue.check(monkeypatch) is None
    queue.found.epoch = 1
    assert await queue.check(monkeypatch) == "acquisition number given twice"


async def test_a_rest_or_a_lock_that_ends_early_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue()
    queue.says(queue.give(), Outcome.FAIL, time_ms=500)
    queue.is_now(READY, failures=1)
    assert await queue.check(monkeypatch) == "delivered before its time"
    queue.is_now(DELAYED, failures=1)
    assert await queue.check(monkeypatch) is None
    queue = Queue()
    held = queue.give()
    queue.says(held, Outcome.EXTEND, time_ms=LOCK_MS)
    queue.is_now(READY)
    assert await queue.check(monkeypatch) == "lost lock"
    queue.is_now(HELD, number=held.number)
    assert await queue.check(monkeypatch) is None


async def test_a_queue_or_what_was_sent_back_from_it_that_is_gone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue()
    queue.is_there = False
    assert await queue.check(monkeypatch) is None
    queue.history.declared_at = queue.story.at
    assert await queue.check(monkeypatch) == "lost queue"
    queue.is_there = True
    queue.history.sent_back.append((1, queue.story.at))
    assert await queue.check(monkeypatch) == "lost message"
    queue.is_elsewhere()
    assert await queue.check(monkeypatch) is None


def test_an_answer_that_has_a_message_twice_is_found() -> None:
    rows = [(0, None, b"anna:0 x", ()), (0, None, b"anna:1 x", ())]
    first, second = (base.to_bytes(8, "big") + build_batch(rows)[8:] for base in (0, 2))
    assert list(records_in(first + second, PLACE)) == [0, 1, 2, 3]
    with pytest.raises(Violation, match=r"^message twice in an answer"):
        records_in(first + second + second, PLACE)
