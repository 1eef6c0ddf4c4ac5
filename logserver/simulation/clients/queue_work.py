"""What all who work on queues through the gRPC door have in common: taking what they are given, and making up their
minds."""

from collections.abc import Iterable
from random import Random
from typing import Final, NamedTuple

from logserver_records.batch import whole_batches
from logserver_records.codec import decode_batch
from logserverpb.v1 import queues_pb2

from logserver.simulation.clients.writer import name_of
from logserver.simulation.deliveries import Delivery, Outcome, Session
from logserver.simulation.history import History
from logserver.simulation.ledger import Ledger, Place, Violation

_MOST_BYTES: Final = 1 << 20
_OUTCOMES: Final = {
    Outcome.ACKNOWLEDGE: queues_pb2.OUTCOME_ACKNOWLEDGE,
    Outcome.RELEASE: queues_pb2.OUTCOME_RELEASE,
    Outcome.FAIL: queues_pb2.OUTCOME_FAIL,
    Outcome.REJECT: queues_pb2.OUTCOME_REJECT,
    Outcome.EXTEND: queues_pb2.OUTCOME_EXTEND,
}
_POSITIONS: Final = (
    queues_pb2.RELEASE_POSITION_ORIGINAL,
    queues_pb2.RELEASE_POSITION_FRONT,
    queues_pb2.RELEASE_POSITION_TAIL,
)


class Said(NamedTuple):
    """What is said of neighbours that were given together.

    Args:
        time_ms: how long to lock them, or to let them rest; None as the queue's policies say.
    """

    deliveries: list[Delivery]
    outcome: Outcome
    time_ms: int | None = None

    def message(self, random: Random) -> queues_pb2.Settlement:
        """Returns it as requests have it."""
        first, last = self.deliveries[0], self.deliveries[-1]
        made = queues_pb2.Settlement(
            partition=first.message.place[1],
            first=first.message.offset,
            last=last.message.offset,
            number=first.number,
            outcome=_OUTCOMES[self.outcome],
            position=random.choice(_POSITIONS),
            reason="so",
        )
        if self.outcome is Outcome.EXTEND:
            made.lock_ms = self.time_ms or 0
        elif self.time_ms is not None:
            made.delay_ms = self.time_ms
        return made


def records_in(data: bytes, place: Place) -> dict[int, str]:
    """Returns what names the records of batches from a partition, by their offsets.

    Raises:
        Violation: one is there twice.
    """
    found: dict[int, str] = {}
    for position, header in whole_batches(data):
        if header.is_control:
            continue
        for record in decode_batch(data, position, max_decompressed_bytes=_MOST_BYTES, verify_crc=True):
            if record.offset in found:
                raise Violation("message twice in an answer", f"{name_of(record)}, {record.offset} of {place}", place)
            found[record.offset] = name_of(record)
    return found


def check_record(ledger: Ledger, worker: str, place: Place, offset: int, records: dict[int, str]) -> None:
    """Checks that a message that was delivered is one that was sent.

    Raises:
        Violation: it is not, or it is not there.
    """
    if offset not in records:
        raise Violation("unknown record", f"{worker} was given {offset} of {place}, without a record", place)
    ledger.saw(worker, place, offset, records[offset])


def take(
    history: History,
    ledger: Ledger,
    worker: str,
    delivered: queues_pb2.DeliveredRecords,
    asked_s: float,
    locked_until_s: float,
    session: Session | None = None,
) -> list[Delivery]:
    """Notes what a worker was given; returns it.

    Raises:
        Violation: it should not have been.
    """
    place = (history.terms.topic, delivered.partition)
    records = records_in(delivered.batches, place)
    taken: list[Delivery] = []
    answer = object()
    for found in delivered.ranges:
        history.acquired(place, found.number, answer)
        if found.deliveries > 1 and not found.redelivered:
            raise history.broken("redelivery is not told", f"{found.first} of {place} to {worker}", place)
        for offset in range(found.first, found.last + 1):
            check_record(ledger, worker, place, offset, records)
            taken.append(
                history.delivered(
                    worker,
                    place,
                    offset,
                    found.deliveries,
                    asked_s,
                    locked_until_s,
                    session=session,
                    number=found.number,
                    failures=found.failures,
                )
            )
    names = f"{taken[0].message} and {len(taken) - 1} more, for the {taken[0].count}. time"
    ledger.note(worker, f"is given {names}", history.terms.name, place)
    return taken


def decide(random: Random, deliveries: Iterable[Delivery]) -> list[Said]:
    """Returns what a worker says of messages: of most of them something, of neighbours often the same."""
    decided: list[Said] = []
    outcome, time_ms = _choose(random)
    for delivery in deliveries:
        if random.random() < 0.3:
            outcome, time_ms = _choose(random)
        last = decided[-1] if decided else None
        if outcome is None:
            continue
        if last is not None and last.outcome is outcome and last.time_ms == time_ms and _is_next(last, delivery):
            last.deliveries.append(delivery)
        else:
            decided.append(Said([delivery], outcome, time_ms))
    return decided


def _is_next(said: Said, delivery: Delivery) -> bool:
    last = said.deliveries[-1]
    return last.number == delivery.number and last.message.offset + 1 == delivery.message.offset


def _choose(random: Random) -> tuple[Outcome | None, int | None]:
    chance = random.random()
    if chance < 0.64:
        return Outcome.ACKNOWLEDGE, None
    if chance < 0.74:
        return Outcome.FAIL, random.choice((None, None, 700))
    if chance < 0.81:
        return Outcome.RELEASE, random.choice((None, None, 500))
    if chance < 0.86:
        return Outcome.REJECT, None
    if chance < 0.95:
        return Outcome.EXTEND, random.choice((600, 2_500))
    return None, None


def note_says(history: History, ledger: Ledger, worker: str, said: Said) -> None:
    """Notes that a worker says something."""
    for delivery in said.deliveries:
        history.says(delivery, said.outcome, time_ms=said.time_ms)
    first, last = said.deliveries[0].message, said.deliveries[-1].message.offset
    ledger.note(worker, f"{said.outcome.value}s {first} up to {last}", history.terms.name, first.place)


def note_answer(history: History, said: Said, asked_s: float, *, is_good: bool) -> None:
    """Notes what the server has answered to that.

    Raises:
        Violation: it should not have.
    """
    for delivery in said.deliveries:
        if is_good:
            history.confirmed(delivery, said.outcome, asked_s=asked_s, time_ms=said.time_ms)
        else:
            history.refused(delivery, asked_s)
