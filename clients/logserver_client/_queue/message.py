"""A message, and what can be said of it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from logserverpb.v1 import queues_pb2

from logserver_client.types import Headers

if TYPE_CHECKING:
    from logserver_client._queue.delivery import Delivery

Position = Literal["original", "front", "tail"]
"""Where a message goes that is given back: to its place by offset, before everything, or behind everything."""

POSITIONS: Final[dict[str, queues_pb2.ReleasePosition]] = {
    "original": queues_pb2.RELEASE_POSITION_ORIGINAL,
    "front": queues_pb2.RELEASE_POSITION_FRONT,
    "tail": queues_pb2.RELEASE_POSITION_TAIL,
}


class Handle(NamedTuple):
    """A message that is held, as a short text that any process can settle it with."""

    incarnation: str
    partition: int
    offset: int
    number: int

    def __str__(self) -> str:
        return f"{self.incarnation}.{self.partition}.{self.offset}.{self.number:x}"

    @classmethod
    def parse(cls, text: str) -> "Handle":
        """Reads what `str` has written.

        Raises:
            ValueError: it is no handle.
        """
        try:
            incarnation, partition, offset, number = text.rsplit(".", 3)
            return cls(incarnation, int(partition), int(offset), int(number, 16))
        except (ValueError, AttributeError):
            raise ValueError(f"{text!r} is not the handle of a message") from None


class Verdict(NamedTuple):
    """What becomes of a message, if it is not simply done; fields as in `Settlement`."""

    outcome: queues_pb2.Outcome
    delay_ms: int | None = None
    position: queues_pb2.ReleasePosition = queues_pb2.RELEASE_POSITION_ORIGINAL
    lock_ms: int = 0
    reason: str = ""


class Said(NamedTuple):
    """A message and what becomes of it."""

    message: "BaseMessage"
    verdict: Verdict


def failed(retry_in: float | None, reason: str) -> Verdict:
    """Returns the verdict of `nack`."""
    return Verdict(queues_pb2.OUTCOME_FAIL, _delay_ms(retry_in), reason=reason)


def released(position: Position, retry_in: float | None) -> Verdict:
    """Returns the verdict of `release`."""
    if position not in POSITIONS:
        raise ValueError(f'position is "original", "front" or "tail", not {position!r}')
    return Verdict(queues_pb2.OUTCOME_RELEASE, _delay_ms(retry_in), POSITIONS[position])


def rejected(reason: str) -> Verdict:
    """Returns the verdict of `reject`."""
    return Verdict(queues_pb2.OUTCOME_REJECT, reason=reason)


def extended(seconds: float) -> Verdict:
    """Returns the verdict of `extend`."""
    lock_ms = milliseconds("seconds", seconds)
    if lock_ms <= 0:
        raise ValueError(f"a lock is extended by a time above 0, not by {seconds!r} seconds")
    return Verdict(queues_pb2.OUTCOME_EXTEND, lock_ms=lock_ms)


def milliseconds(name: str, seconds: float) -> int:
    """Returns seconds as milliseconds.

    Raises:
        ValueError: they are below 0, or no finite number.
    """
    if not 0 <= seconds < _MOST_S:
        raise ValueError(f"{name} is a number of seconds, not below 0; {seconds!r} is none")
    return round(seconds * 1000)


_MOST_S: Final = float(2**53)


def _delay_ms(retry_in: float | None) -> int | None:
    return None if retry_in is None else milliseconds("retry_in", retry_in)


class Fields(NamedTuple):
    """What a message is made of."""

    delivery: "Delivery"
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class BaseMessage(Fields):
    """A message of a queue: a record that is this consumer's until it is settled.

    What becomes of it is said once, by `ack`, `nack`, `release` or `reject`, which return at once: what is said in the
    same moment travels together. With the consumption's `flush` one knows that all of it is durable.

    Attributes:
        partition, offset: where the record is.
        timestamp_ms: milliseconds since the Unix epoch.
        key, value: bytes, or None for null.
        headers: pairs of name and bytes or None.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(partition={self[1]}, offset={self[2]}, deliveries={self.deliveries}, "
            f"key={self[4]!r}, value={self[5]!r}, headers={self[6]!r})"
        )

    @property
    def deliveries(self) -> int:
        """How often it has been delivered, this time included."""
        return self[0].deliveries

    @property
    def failures(self) -> int:
        """How often it has failed before."""
        return self[0].failures

    @property
    def redelivered(self) -> bool:
        """Whether somebody may have had it before."""
        return self[0].redelivered

    @property
    def is_settled(self) -> bool:
        """Whether it was said here what becomes of it."""
        return self[0].is_settled(self[2])

    @property
    def handle(self) -> str:
        """A short text with which any process can settle the message: `queue.ack(handle)`, and so on.

        Only for messages of `receive`: others are held by their stream.
        """
        return self[0].handle(self[2])

    def ack(self) -> None:
        """It is done.

        Raises:
            MessageLost: it was settled before.
            ClientClosed: after `close`.
        """
        self[0].settle(self, self)

    def nack(self, *, retry_in: float | None = None, reason: str = "") -> None:
        """It has failed: it is delivered again after the rest that the queue's policy wants, or goes to the dead
        letters if it was tried often enough.

        Args:
            retry_in: seconds until it may be delivered again, instead of what the policy says.
            reason: for its story, and for the dead letter.
        """
        self[0].settle(self, Said(self, failed(retry_in, reason)))

    def release(self, *, position: Position = "original", retry_in: float | None = None) -> None:
        """Gives it back, to be delivered again; that is no failure.

        Args:
            position: where it goes.
            retry_in: seconds until it may be delivered again; at once without.
        """
        self[0].settle(self, Said(self, released(position, retry_in)))

    def reject(self, reason: str = "") -> None:
        """It is of no use to anybody: it goes to the dead letters, or away where the queue has none.

        Args:
            reason: for its story, and for the dead letter.
        """
        self[0].settle(self, Said(self, rejected(reason)))

    def extend(self, seconds: float) -> None:
        """It is still worked on: its lock ends so many seconds from now, sooner or later than before."""
        self[0].outbox.put(Said(self, extended(seconds)))


def settle_all(messages: Iterable[BaseMessage], verdict: Verdict | None) -> None:
    """Says the same of several messages; None: they are done."""
    if verdict is not None and verdict.outcome == queues_pb2.OUTCOME_EXTEND:
        for message in messages:
            message[0].outbox.put(Said(message, verdict))
        return
    for message in messages:
        message[0].settle(message, message if verdict is None else Said(message, verdict))
