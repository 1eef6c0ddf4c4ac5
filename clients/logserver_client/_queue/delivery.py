"""Messages that are held, a range of one acquisition at a time, and the records that they are."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

from logserver_records.batch import split
from logserver_records.codec import decode_rows
from logserver_records.errors import CorruptBatch, DecompressionLimitExceeded, RecordError
from logserverpb.v1 import queues_pb2

from logserver_client._queue.message import BaseMessage, Handle, Said
from logserver_client._queue.outbox import Outbox
from logserver_client._queue.wire import Arrival
from logserver_client.errors import UNKNOWN, CorruptMessage, LogServerError, MessageLost, already_settled

M = TypeVar("M", bound=BaseMessage)

MAX_DECOMPRESSED_BYTES: Final = 64 << 20
"""As much as the server itself decompresses of one batch."""

_new = tuple.__new__


class Session:
    """What holds messages: one Consume call, or a queue's incarnation for those that were received."""

    __slots__ = ("incarnation", "is_lost")

    def __init__(self, incarnation: str = "") -> None:
        self.incarnation = incarnation
        self.is_lost = False
        """Nothing of it is held any more: somebody else may get the messages."""


class Delivery:
    """Consecutive offsets of one acquisition with the same story.

    Args:
        owner: kept alive as long as the messages are: what they came by.
    """

    __slots__ = (
        "deliveries",
        "failures",
        "first",
        "last",
        "number",
        "open",
        "outbox",
        "owner",
        "partition",
        "redelivered",
        "refusals",
        "session",
    )

    def __init__(
        self,
        outbox: Outbox,
        session: Session,
        owner: object,
        partition: int,
        acquired: queues_pb2.AcquiredRange,
    ) -> None:
        self.outbox = outbox
        self.session = session
        self.owner = owner
        self.partition = partition
        self.first: int = acquired.first
        self.last: int = acquired.last
        self.number: int = acquired.number
        self.deliveries: int = acquired.deliveries
        self.failures: int = acquired.failures
        self.redelivered: bool = acquired.redelivered
        self.open: bytearray | None = None
        """For each message whether nobody has said yet what becomes of it; made when somebody first does."""
        self.refusals: list[tuple[int, int, MessageLost]] = []
        """Offsets, both ends inclusive, whose settlement was not good, and why."""

    def goes_on(self, acquired: queues_pb2.AcquiredRange) -> bool:
        """Whether a range continues this one."""
        return (
            acquired.first == self.last + 1
            and acquired.number == self.number
            and acquired.deliveries == self.deliveries
            and acquired.failures == self.failures
            and acquired.redelivered == self.redelivered
        )

    def settle(self, message: BaseMessage, item: "BaseMessage | Said") -> None:
        """Says what becomes of a message, once.

        Raises:
            MessageLost: that has been said before.
        """
        states = self.open
        if states is None:
            states = self.open = bytearray(b"\1") * (self.last - self.first + 1)
        place = message[2] - self.first
        if not states[place]:
            raise already_settled(self.partition, message[2])
        states[place] = 0
        self.outbox.put(item)

    def is_settled(self, offset: int) -> bool:
        """Whether somebody has said what becomes of a message."""
        return self.open is not None and not self.open[offset - self.first]

    def refusal(self, offset: int) -> MessageLost | None:
        """Returns why the settlement of a message was not good, None if it was or that is not known."""
        return next((error for first, last, error in self.refusals if first <= offset <= last), None)

    def handle(self, offset: int) -> str:
        return str(Handle(self.session.incarnation, self.partition, offset, self.number))


def deliveries_of(
    arrival: Arrival, outbox: Outbox, session: Session, owner: object, is_settled: bool = False
) -> list[Delivery]:
    """Returns the ranges of an arrival by their offsets, those joined that belong together.

    Args:
        is_settled: the server has settled the messages as it delivered them.
    """
    found: list[Delivery] = []
    for acquired in sorted(arrival.ranges, key=_first):
        if found and found[-1].goes_on(acquired):
            found[-1].last = acquired.last
        else:
            found.append(Delivery(outbox, session, owner, arrival.partition, acquired))
    if is_settled:
        for delivery in found:
            delivery.open = bytearray(delivery.last - delivery.first + 1)
    return found


def messages_of(arrival: Arrival, deliveries: Sequence[Delivery], kind: type[M]) -> Iterator[list[M]]:
    """Yields the messages of an arrival, some hundreds at a time.

    Raises:
        CorruptMessage: their bytes are damaged.
    """
    partition = arrival.partition
    try:
        for position, header in split(arrival.batches):
            base, end = header.base_offset, header.last_offset
            inside = [found for found in deliveries if found.first <= end and found.last >= base]
            if header.is_control or not inside:
                continue
            first, last = inside[0].first, inside[-1].last
            for rows in decode_rows(
                arrival.batches,
                position,
                kind,
                inside[0],
                partition,
                max_decompressed_bytes=MAX_DECOMPRESSED_BYTES,
                verify_crc=True,
            ):
                if rows[0][2] < first or rows[-1][2] > last:
                    rows = [row for row in rows if first <= row[2] <= last]
                if len(inside) > 1:
                    rows = list(_shared_out(rows, inside, kind))
                if rows:
                    yield rows
    except RecordError as error:
        raise _corrupt(partition, deliveries, error) from error


def _shared_out(rows: list[M], deliveries: Sequence[Delivery], kind: type[M]) -> Iterator[M]:
    """Yields messages with the deliveries that they are of, without those that are of none."""
    left: Iterator[Any] = iter(deliveries)
    delivery: Any = next(left)
    for row in rows:
        offset = row[2]
        while delivery is not None and offset > delivery.last:
            delivery = next(left, None)
        if delivery is None:
            return
        if offset >= delivery.first:
            yield _new(kind, (delivery, *row[1:]))


def _first(acquired: queues_pb2.AcquiredRange) -> int:
    return acquired.first


def _corrupt(partition: int, deliveries: Sequence[Delivery], error: RecordError) -> LogServerError:
    message = f"partition {partition} from offset {deliveries[0].first} on: {error}"
    if isinstance(error, CorruptBatch | DecompressionLimitExceeded):
        return CorruptMessage(2, "CORRUPT_MESSAGE", message)
    return LogServerError(UNKNOWN, "UNSUPPORTED_BATCH", message)
