"""What workers were told of the messages of a work queue, and what they said of them: the ledger of one queue.

Deliveries of a message are told apart by their count, which rises with each of them and never falls, whatever crashes
there are: so their order is known without a clock. Where a check needs time, it counts from when something was asked
for, which is before the server did it.
"""

from collections.abc import Callable
from typing import Final

from logserver.simulation.deliveries import UNKNOWN, Delivery, Message, Outcome, Session, Terms, until_s
from logserver.simulation.ledger import NEVER, Ledger, Moment, Place, Violation

_SETTLED: Final = {Outcome.ACKNOWLEDGE: "acknowledged", Outcome.REJECT: "rejected"}
_TICK_S: Final = 1e-9


class History:
    """All that is known of one queue.

    Args:
        calm_since_s: returns since when nothing has happened to the server that could end locks before their time.
    """

    def __init__(self, ledger: Ledger, terms: Terms, calm_since_s: Callable[[], float]) -> None:
        self.terms = terms
        self.messages: dict[tuple[Place, int], Message] = {}
        self.numbers: dict[tuple[Place, int], object] = {}
        """Who got which acquisition, in which answer."""
        self.unanswered = 0
        """How often somebody asked for messages and perhaps got some without knowing."""
        self.sent_back: list[tuple[int, Moment]] = []
        """How many messages were told to be sent back, and when."""
        self.declared_at = NEVER
        self._ledger = ledger
        self._calm_since_s = calm_since_s

    def broken(self, kind: str, text: str, place: Place) -> Violation:
        """Returns a violation."""
        return Violation(kind, f"queue {self.terms.name}: {text}", self.terms.name, place)

    # What workers are given

    def acquired(self, place: Place, number: int, answer: object) -> None:
        """Notes that an answer has messages of an acquisition.

        Raises:
            Violation: another one has that number.
        """
        if self.numbers.setdefault((place, number), answer) is not answer:
            raise self.broken("acquisition number given twice", f"{number} of {place}", place)

    def delivered(
        self,
        worker: str,
        place: Place,
        offset: int,
        count: int,
        asked_s: float,
        locked_until_s: float,
        *,
        session: Session | None = None,
        number: int = UNKNOWN,
        failures: int = UNKNOWN,
    ) -> Delivery:
        """Notes that a worker was given a message.

        Raises:
            Violation: it should not have been.
        """
        ledger = self._ledger
        message = self.messages.setdefault((place, offset), Message(place, offset))
        found = Delivery(
            message, worker, count, asked_s, ledger.now(), ledger.moment(), locked_until_s, session, number, failures
        )
        self._check_settled(found)
        self._check_limit(found)
        for other in message.deliveries:
            self._check_order(other, found)
            if other.session is None and other.count < count:
                self._check_lock(other, found, found.got_s)
        for before, end_s, _ in message.rests:
            self._check_rest(before, end_s, found)
        failed = sum(before < count for before, _ in message.failed)
        if UNKNOWN < failures < failed:
            raise self.broken("failure forgotten", f"{found} after {failures} failures, and {failed} were told", place)
        message.deliveries.append(found)
        if self.terms.at_most_once:
            message.acknowledged, message.acknowledged_at = found, ledger.promised(f"delivery of {self.terms.name}")
        elif session is not None:
            session.held[found] = None
        return found

    def _check_settled(self, found: Delivery) -> None:
        message = found.message
        for settled, what in ((message.acknowledged, "acknowledged"), (message.rejected, "rejected")):
            if settled is not None and settled.count < found.count:
                raise self.broken(
                    f"{what} message came back",
                    f"{found}; {settled.worker}, who had it as the {settled.count}., {what} it",
                    message.place,
                )

    def _check_limit(self, found: Delivery) -> None:
        terms = self.terms
        tried = found.failures + 1 if terms.counts_failures else found.count
        if terms.limit and tried > terms.limit:
            what = f"after {found.failures} failures" if terms.counts_failures else ""
            raise self.broken("delivered too often", f"{found} {what}; the limit is {terms.limit}", found.message.place)

    def _check_order(self, other: Delivery, found: Delivery) -> None:
        falls = other.count == found.count
        if other.got_s < found.asked_s:
            falls |= other.count > found.count
        if UNKNOWN not in (other.number, found.number):
            falls |= (other.number < found.number) != (other.count < found.count)
        if falls:
            raise self.broken(
                "delivery count falls",
                f"{found}, under number {found.number}; {other.worker} got it for the {other.count}. time at "
                f"{other.got_s:.4f} under number {other.number}",
                found.message.place,
            )

    def _check_lock(self, holder: Delivery, other: Delivery, there_s: float) -> None:
        """Checks that nobody else was given a message while it was locked.

        Args:
            there_s: up to when the holder is known to have been there.
        """
        if (
            other.count > holder.count
            and other.got_s < min(holder.locked_until_s, holder.said_s, there_s + _TICK_S)
            and self._calm_since_s() <= holder.asked_s
        ):
            raise self.broken(
                "two holders of a message",
                f"{other} at {other.got_s:.4f}; {holder.worker} has it, locked until {holder.locked_until_s:.4f}",
                holder.message.place,
            )

    def _check_rest(self, before: Delivery, end_s: float, found: Delivery) -> None:
        if found.count > before.count and found.got_s < end_s:
            raise self.broken(
                "delivered before its time",
                f"{found} at {found.got_s:.4f}; {before.worker} has failed, it was to rest until {end_s:.4f}",
                found.message.place,
            )

    def proved(self, session: Session, there_s: float) -> None:
        """Notes that a session was there at some time: nobody else got what it holds.

        Raises:
            Violation: somebody did.
        """
        for holder in session.held:
            for other in holder.message.deliveries:
                self._check_lock(holder, other, there_s)

    # What workers say

    def says(self, delivery: Delivery, outcome: Outcome, *, time_ms: int | None = None) -> None:
        """Notes that a worker says what becomes of a message; see `confirmed`."""
        message, now_s = delivery.message, self._ledger.now()
        message.asked.setdefault(outcome, self._ledger.moment())
        if outcome is Outcome.EXTEND:
            # Whichever lock is in force now ends the sooner.
            assert time_ms is not None
            delivery.locked_until_s = min(delivery.locked_until_s, until_s(now_s, time_ms))
            return
        if delivery.said is not None:
            # Which of them was good, and since when it rests, is not known.
            delivery.is_said_again = True
            message.rests = [rest for rest in message.rests if rest[0] is not delivery]
            return
        delivery.said, delivery.said_s, delivery.said_at = outcome, now_s, self._ledger.moment()
        if delivery.session is not None:
            delivery.session.held.pop(delivery, None)

    def is_held(self, delivery: Delivery) -> bool:
        """Returns whether a worker surely has a message still."""
        return self._ledger.now() < delivery.locked_until_s and self._calm_since_s() <= delivery.asked_s

    def confirmed(self, delivery: Delivery, outcome: Outcome, *, asked_s: float, time_ms: int | None = None) -> None:
        """Notes that the server has taken what a worker said, and that it is durable.

        Args:
            asked_s: when it was said.
            time_ms: how long the message was to be locked (EXTEND) or to rest (FAIL, RELEASE).

        Raises:
            Violation: it should not have been taken.
        """
        message = delivery.message
        at = self._ledger.promised(f"{outcome.value} of {self.terms.name}")
        self._check_taken(delivery, outcome, asked_s)
        match outcome:
            case Outcome.ACKNOWLEDGE:
                message.acknowledged, message.acknowledged_at = delivery, at
            case Outcome.REJECT:
                message.rejected, message.rejected_at = delivery, at
            case Outcome.FAIL:
                message.failed.append((delivery.count, at))
                self._rests(delivery, asked_s, self.terms.retry_delay_ms if time_ms is None else time_ms, at)
            case Outcome.RELEASE:
                self._rests(delivery, asked_s, time_ms or 0, at)
            case Outcome.EXTEND:
                assert time_ms is not None
                delivery.locked_until_s = until_s(asked_s, time_ms)
                if delivery.session is None:
                    message.extended = (delivery, delivery.locked_until_s, at)

    def _check_taken(self, delivery: Delivery, outcome: Outcome, asked_s: float) -> None:
        message = delivery.message
        later = max(message.deliveries, key=lambda one: one.count)
        settles = outcome in _SETTLED
        if later.count > delivery.count and (settles or later.got_s < asked_s):
            raise self.broken(
                f"{_SETTLED[outcome]} message came back" if settles else "old handle taken",
                f"{delivery.worker}, who had it as the {delivery.count}., could {outcome.value} it; {later}",
                message.place,
            )
        settled = message.acknowledged or message.rejected
        if settled is not None and settled.count <= delivery.count:
            raise self.broken(
                "settled twice", f"{delivery.worker} could {outcome.value} {message}, which was settled", message.place
            )

    def _rests(self, delivery: Delivery, asked_s: float, rest_ms: int, at: Moment) -> None:
        if rest_ms and not delivery.is_said_again:
            end_s = until_s(asked_s, rest_ms)
            delivery.message.rests.append((delivery, end_s, at))
            for other in delivery.message.deliveries:
                self._check_rest(delivery, end_s, other)

    def refused(self, delivery: Delivery, asked_s: float) -> None:
        """Notes that the server says that a worker does not have a message any more.

        Args:
            asked_s: when the worker had said something of it.

        Raises:
            Violation: it is locked, and nobody had said anything else of it.
        """
        if delivery.session is None and delivery.said_s >= asked_s and self.is_held(delivery):
            raise self.broken(
                "lost lock",
                f"{delivery}, locked until {delivery.locked_until_s:.4f}, and that was refused",
                delivery.message.place,
            )
