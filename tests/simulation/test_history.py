"""The ledger of a queue finds what must not be, and lets pass what may."""

from math import inf

import pytest

from logserver.simulation.deliveries import Delivery, Outcome, Session, Terms, until_s
from logserver.simulation.history import History
from logserver.simulation.ledger import Ledger, Moment, Violation

PLACE = ("jobs", 0)
LOCK_MS = 2_000


class Run:
    """A queue, and the time."""

    def __init__(self, limit: int = 0, retry_delay_ms: int = 0) -> None:
        self.now_s = 100.0
        self.calm_since_s = 0.0
        ledger = Ledger(lambda: self.now_s, lambda: Moment(0, 0))
        terms = Terms("jobs", "jobs", "jobs", limit, retry_delay_ms=retry_delay_ms)
        self.history = History(ledger, terms, lambda: self.calm_since_s)

    def give(
        self, worker: str, count: int, *, number: int | None = None, failures: int = 0, session: Session | None = None
    ) -> Delivery:
        """Gives message 7 to a worker who has just asked for it."""
        locked_until_s = inf if session is not None else until_s(self.now_s, LOCK_MS)
        return self.history.delivered(
            worker,
            PLACE,
            7,
            count,
            self.now_s - 0.01,
            locked_until_s,
            session=session,
            number=count if number is None else number,
            failures=failures,
        )

    def says(self, delivery: Delivery, outcome: Outcome) -> None:
        """Lets a worker say something, which is confirmed."""
        time_ms = LOCK_MS if outcome is Outcome.EXTEND else None
        self.history.says(delivery, outcome, time_ms=time_ms)
        self.history.confirmed(delivery, outcome, asked_s=self.now_s, time_ms=time_ms)


def kind(broken: pytest.ExceptionInfo[Violation]) -> str:
    return broken.value.kind


def test_what_may_be_passes() -> None:
    run = Run(limit=3, retry_delay_ms=500)
    first = run.give("anna", 1)
    run.says(first, Outcome.EXTEND)
    run.says(first, Outcome.FAIL)
    run.now_s += 0.6
    run.give("bert", 2, failures=1)
    run.now_s += LOCK_MS / 1000
    last = run.give("carl", 3, failures=1)
    run.says(last, Outcome.ACKNOWLEDGE)


@pytest.mark.parametrize("outcome", [Outcome.ACKNOWLEDGE, Outcome.REJECT])
def test_what_was_settled_does_not_come_back(outcome: Outcome) -> None:
    run = Run()
    run.says(run.give("anna", 1), outcome)
    with pytest.raises(Violation) as broken:
        run.give("bert", 2)
    assert kind(broken) in ("acknowledged message came back", "rejected message came back")


def test_who_has_lost_a_message_does_not_settle_it() -> None:
    run = Run()
    first = run.give("anna", 1)
    run.now_s += LOCK_MS / 1000
    run.give("bert", 2)
    with pytest.raises(Violation) as broken:
        run.says(first, Outcome.ACKNOWLEDGE)
    assert kind(broken) == "acknowledged message came back"


def test_nobody_settles_twice() -> None:
    run = Run()
    first = run.give("anna", 1)
    run.says(first, Outcome.REJECT)
    with pytest.raises(Violation) as broken:
        run.says(first, Outcome.ACKNOWLEDGE)
    assert kind(broken) == "settled twice"


@pytest.mark.parametrize("count", [1, 2])
def test_counts_do_not_fall(count: int) -> None:
    run = Run()
    run.give("anna", 2)
    run.now_s += LOCK_MS / 1000
    with pytest.raises(Violation) as broken:
        run.give("bert", count, number=9)
    assert kind(broken) == "delivery count falls"


def test_while_a_lock_lasts_nobody_else_gets_the_message_unless_the_server_was_started_again() -> None:
    run = Run()
    run.give("anna", 1)
    run.now_s += 1
    with pytest.raises(Violation) as broken:
        run.give("bert", 2)
    assert kind(broken) == "two holders of a message"
    run.calm_since_s = run.now_s
    run.give("carl", 3)


def test_what_a_session_holds_is_its_own_as_long_as_it_is_there() -> None:
    run = Run()
    session = Session()
    run.give("anna", 1, session=session)
    run.now_s += 1
    run.give("bert", 2)
    # Perhaps anna's session had ended when bert got it.
    run.history.proved(session, run.now_s - 0.5)
    with pytest.raises(Violation) as broken:
        run.history.proved(session, run.now_s)
    assert kind(broken) == "two holders of a message"


def test_a_lock_is_not_lost_early() -> None:
    run = Run()
    first = run.give("anna", 1)
    asked_s = run.now_s
    run.history.says(first, Outcome.ACKNOWLEDGE)
    with pytest.raises(Violation) as broken:
        run.history.refused(first, asked_s)
    assert kind(broken) == "lost lock"
    run.now_s += LOCK_MS / 1000
    run.history.refused(first, asked_s)


def test_failures_are_counted_and_followed_by_a_rest() -> None:
    run = Run(retry_delay_ms=500)
    run.says(run.give("anna", 1), Outcome.FAIL)
    with pytest.raises(Violation) as broken:
        run.give("bert", 2, failures=1)
    assert kind(broken) == "delivered before its time"
    run.now_s += 1
    with pytest.raises(Violation) as broken:
        run.give("bert", 2, failures=0)
    assert kind(broken) == "failure forgotten"


def test_limits_are_kept_and_numbers_given_once() -> None:
    run = Run(limit=2)
    with pytest.raises(Violation) as broken:
        run.give("anna", 3)
    assert kind(broken) == "delivered too often"
    answer = object()
    run.history.acquired(PLACE, 5, answer)
    run.history.acquired(PLACE, 5, answer)
    with pytest.raises(Violation) as broken:
        run.history.acquired(PLACE, 5, object())
    assert kind(broken) == "acquisition number given twice"
