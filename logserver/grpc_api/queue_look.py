"""Looking at messages, and telling what became of them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from logserver_records.codec import Record
from logserverpb.v1 import queues_pb2

from logserver.broker import Broker
from logserver.coordinator.delivery.coordinator import QueueCoordinator, QueueName
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.unsettled import Delivery, State
from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.queue_messages import STATES

_MOST_PEEKED: Final = 1_000
_DEFAULT_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 16 << 20


async def peek(queues: QueueCoordinator, queue: QueueName, request: queues_pb2.PeekRequest) -> queues_pb2.PeekResponse:
    """Returns messages that are not settled, by their offsets.

    Raises:
        LogServerError: the queue can't be used here.
    """
    if min(request.max_messages, request.max_bytes) < 0:
        raise LogServerError(ErrorCode.invalid_request, "max_messages and max_bytes are not below 0")
    response = queues_pb2.PeekResponse()
    looking = _Looking(
        min(request.max_messages or 1, _MOST_PEEKED), min(request.max_bytes or _DEFAULT_BYTES, _MOST_BYTES)
    )
    for place in await queues.open(queue):
        wanted = (each for each in _peeked(place) if request.state in (queues_pb2.MESSAGE_STATE_ANY, each.state))
        # Taken now: they may be others after waiting for a disk.
        ranges = await looking.there(place, tuple(islice(wanted, _MOST_PEEKED)))
        if ranges:
            batches, _ = await place.reader.read(sorted((found.first, found.last) for found in ranges))
            response.peeked.add(partition=place.number, batches=b"".join(batches), ranges=ranges)
    return response


class _Looking:
    """One look at messages, over all partitions.

    Args:
        messages, size_bytes: at most so much, but always one message.
    """

    def __init__(self, messages: int, size_bytes: int) -> None:
        self._messages = messages
        self._bytes = size_bytes

    async def there(
        self, place: QueuePartition, ranges: Iterable[queues_pb2.PeekedRange]
    ) -> list[queues_pb2.PeekedRange]:
        """Returns ranges as far as there are messages in them and there is room.

        Raises:
            LogServerError: they can't be read.
        """
        found: list[queues_pb2.PeekedRange] = []
        records: list[Record] = []
        begin = end = 0
        for each in ranges:
            at = each.first
            while at <= each.last and self._messages > 0 and self._bytes > 0:
                if not begin <= at < end:
                    piece = await place.reader.visible(at)
                    records, begin, end = list(place.reader.decoded(piece.data)), at, max(piece.next_offset, at + 1)
                self._add(found, each, (record for record in records if at <= record.offset <= each.last))
                at = end
        return found

    def _add(
        self, found: list[queues_pb2.PeekedRange], each: queues_pb2.PeekedRange, records: Iterable[Record]
    ) -> None:
        for record in records:
            if self._messages <= 0 or self._bytes <= 0:
                return
            self._messages -= 1
            self._bytes -= len(record.key or b"") + len(record.value or b"")
            self._bytes -= sum(len(name) + len(value or b"") for name, value in record.headers)
            last = found[-1] if found else None
            if last is not None and each.first <= last.first and last.last == record.offset - 1 <= each.last:
                last.last = record.offset
                continue
            piece = queues_pb2.PeekedRange()
            piece.CopyFrom(each)
            piece.first = piece.last = record.offset
            found.append(piece)


def _peeked(place: QueuePartition) -> Iterator[queues_pb2.PeekedRange]:
    """Yields what is not settled, in order; what nobody has had comes last."""
    engine = place.engine
    for found in engine.unsettled:
        yield queues_pb2.PeekedRange(
            first=found.first,
            last=found.last,
            state=STATES[found.state],
            deliveries=found.acquisitions,
            failures=found.failures,
            until_ms=found.until_ms,
            holder=found.owner if found.state is State.HELD else "",
        )
    for first, last in engine.waiting():
        yield queues_pb2.PeekedRange(first=first, last=last, state=queues_pb2.MESSAGE_STATE_READY, until_ms=-1)


async def explain(
    queues: QueueCoordinator, broker: Broker, request: queues_pb2.ExplainRequest
) -> queues_pb2.ExplainResponse:
    """Returns the story of one record, in one queue or in all of its topic.

    Raises:
        LogServerError: there is no such partition or queue, or what is kept can't be read.
    """
    partition = broker.partition(request.topic, request.partition)
    wanted = [queues.find(request.queue)] if request.queue else queues.of_topic(request.topic)
    response = queues_pb2.ExplainResponse()
    for queue in wanted:
        place = await queues.place(queue, request.topic, request.partition)
        story = response.stories.add(queue=queue.name, until_ms=-1)
        found = place.engine.unsettled.find(request.offset)
        if request.offset < partition.log_start_offset or request.offset >= partition.log_end_offset:
            story.state, story.next = "gone", "The log has no record at this offset."
        elif found is not None:
            _tell_unsettled(story, found, place)
        elif place.engine.is_waiting(request.offset):
            story.state = "not delivered yet"
            story.next = "It is delivered when its turn comes."
        else:
            story.state, story.next = "settled", "Nothing more will happen to it here."
        for event in await queues.story(queue, request.topic, request.partition, request.offset):
            story.events.add(
                kind=event.kind.value,
                at_ms=event.at_ms,
                owner=event.owner,
                number=event.number,
                deliveries=event.acquisitions,
                failures=event.failures,
                reason=event.reason,
                until_ms=event.until_ms,
            )
    return response


def _tell_unsettled(story: queues_pb2.Story, found: Delivery, place: QueuePartition) -> None:
    story.deliveries, story.failures, story.until_ms = found.acquisitions, found.failures, found.until_ms
    story.state = found.state.name.lower()
    match found.state:
        case State.READY:
            story.next = "It is delivered again when its turn comes."
        case State.DELAYED:
            story.next = "It is delivered again at until_ms, as the policy of the queue or whoever gave it back said."
        case State.HELD:
            story.holder = found.owner
            until = "its lock ends at until_ms" if found.until_ms >= 0 else "its consumer is gone"
            story.next = f"It comes back when {until}, unless it is settled before."
        case State.MOVING:
            move = found.move
            assert move is not None
            refused = f"; it could not be done yet: {move.refusal}" if move.refusal else ""
            story.next = f"It goes to {move.destination.topic} ({move.reason}){refused}."
