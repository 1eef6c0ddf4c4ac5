"""One Consume call: messages go out as they come, settlements come in on the same stream."""

import asyncio
from collections import deque
from typing import Final

from grpc.aio import EOF
from logserverpb.v1 import queues_pb2

from logserver.coordinator.delivery.coordinator import QueueCoordinator, QueueName
from logserver.coordinator.delivery.credits import Credit
from logserver.coordinator.delivery.handles import Acquisition, Check
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.policy import MOST_MS
from logserver.coordinator.delivery.waiters import Waiter
from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.calls import Calls
from logserver.grpc_api.errors import Context, to_error
from logserver.grpc_api.queue_messages import consume_response, delivered, refusal, settle

_DEFAULT_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 16 << 20
_MOST_RECORDS: Final = 500
"""In one answer; what is held is limited by the prefetch."""
_MOST_UNSENT: Final = 4
"""Answers that wait for the client to take them, before it gets no more."""
_MOST_SETTLING: Final = 10_000
"""Settle requests that wait to be durable, before no more are read."""


class _Settling:
    """A settle request whose answer waits until all of it is durable."""

    __slots__ = ("error", "id", "left", "refused")

    def __init__(self, number: int, left: int) -> None:
        self.id = number
        self.left = left
        self.refused: list[queues_pb2.RefusedSettlement] = []
        self.error: LogServerError | None = None


class ConsumeStream:
    """Consumes one queue for one client.

    Args:
        owner: of the locks; a name that nobody else has.
    """

    def __init__(
        self, queues: QueueCoordinator, queue: QueueName, start: queues_pb2.ConsumeStart, owner: str, calls: Calls
    ) -> None:
        self._queues = queues
        self._queue = queue
        self._start = start
        self._calls = calls
        if start.prefetch < 0 or start.lock_ms < 0 or start.max_bytes < 0:
            raise LogServerError(ErrorCode.invalid_request, "prefetch, lock_ms and max_bytes are not below 0")
        if start.lock_ms > MOST_MS:
            raise LogServerError(ErrorCode.invalid_request, f"lock_ms is at most {MOST_MS}")
        self._credit = Credit(start.prefetch or None)
        self._waiter = Waiter(
            owner,
            self._deliver,
            self._cancelled,
            lock_ms=start.lock_ms or None,
            settle=start.settle,
            priority=start.priority,
            credits=() if start.settle else (self._credit,),
            max_records=_MOST_RECORDS,
            max_bytes=min(start.max_bytes or _DEFAULT_BYTES, _MOST_BYTES),
        )
        self._places: dict[int, QueuePartition] = {}
        self._unsent: deque[tuple[QueuePartition, Acquisition]] = deque()
        self._settling: deque[_Settling] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._cancel: LogServerError | None = None
        self._ended = False

    async def run(self, context: Context, started: queues_pb2.ConsumeStarted) -> None:
        """Consumes until the client ends its side or cancels, or the queue does."""
        try:
            for place in await self._queues.open(self._queue, begin=True):
                self._places[place.number] = place
            await self._queues.join(
                self._queue,
                self._waiter,
                exclusive=self._start.exclusive,
                single_active=self._start.single_active,
            )
            # What is sent from here on is for the consumer, also where it is the first.
            await context.write(queues_pb2.ConsumeResponse(started=started))
            async with asyncio.TaskGroup() as group:
                # If sending fails, so does the call: the group cancels the reading.
                sender = group.create_task(self._send(context), name="consume-sender")
                try:
                    await self._receive(context)
                except LogServerError:
                    await self._finish(sender)
                    raise
                except asyncio.CancelledError:
                    if self._calls.closing and not sender.done():
                        await self._finish(sender)
                    raise
                await self._finish(sender)
        finally:
            self._queues.leave(self._queue, self._waiter)

    async def _finish(self, sender: "asyncio.Task[None]") -> None:
        """Answers what was settled, and lets what is being sent go out."""
        self._waiter.leave()
        self._ended = True
        self._news.set()
        await sender

    # Commands

    async def _receive(self, context: Context) -> None:
        while self._cancel is None and (request := await context.read()) is not EOF:
            match request.WhichOneof("request"):
                case "settle":
                    self._settle(request.settle)
                case "prefetch":
                    if request.prefetch.prefetch < 0:
                        raise LogServerError(ErrorCode.invalid_request, "prefetch is not below 0")
                    self._credit.change(request.prefetch.prefetch or None)
                case _:
                    raise LogServerError(
                        ErrorCode.invalid_request, "a Consume stream starts once, and begins with that"
                    )
            while len(self._settling) > _MOST_SETTLING:
                self._room.clear()
                await self._room.wait()

    def _settle(self, command: queues_pb2.ConsumeSettle) -> None:
        settling = _Settling(command.id, 1)
        self._settling.append(settling)
        touched: dict[QueuePartition, None] = {}
        for index, settlement in enumerate(command.settlements):
            place = self._places.get(settlement.partition) or self._find(settlement.partition)
            try:
                if place is None:
                    raise LogServerError(
                        ErrorCode.unknown_topic_or_partition,
                        f"the queue {self._queue.name!r} has no partition {settlement.partition}",
                    )
                if place.ended is not None:
                    raise place.ended
                touched[place] = None
                if not settle(place, settlement, Check.STRICT, self._waiter.owner):
                    raise refusal(settlement, place)
            except LogServerError as error:
                settling.refused.append(queues_pb2.RefusedSettlement(id=command.id, index=index, error=to_error(error)))
        settling.left += len(touched)
        for place in touched:
            place.when_durable(lambda error: self._durable(settling, error))
        self._durable(settling, None)

    def _find(self, number: int) -> QueuePartition | None:
        """Returns a partition that was added since the call began."""
        for place in self._queues.opened(self._queue):
            self._places[place.number] = place
        return self._places.get(number)

    def _durable(self, settling: _Settling, error: LogServerError | None) -> None:
        settling.left -= 1
        settling.error = settling.error or error
        if not settling.left:
            self._news.set()

    # Answers

    def _deliver(self, place: QueuePartition, found: Acquisition) -> None:
        self._unsent.append((place, found))
        if len(self._unsent) >= _MOST_UNSENT:
            self._waiter.pause()
        self._news.set()

    def _cancelled(self, reason: str) -> None:
        self._cancel = LogServerError(ErrorCode.not_coordinator, reason)
        self._news.set()

    async def _send(self, context: Context) -> None:
        while True:
            self._news.clear()
            settled = self._settled()
            if settled is not None:
                await context.write(queues_pb2.ConsumeResponse(settled=settled))
                self._room.set()
            if self._cancel is not None:
                # At once: an answer to what comes later would say that all before it went well.
                raise self._cancel
            if self._unsent and not self._ended:
                place, found = self._unsent.popleft()
                ranges, batches = await place.read(found.ranges)
                if ranges:
                    await context.write(consume_response(delivered(place.number, ranges, batches)))
                if len(self._unsent) < _MOST_UNSENT:
                    self._waiter.resume()
                continue
            if self._ended and not self._settling:
                return
            await self._news.wait()

    def _settled(self) -> queues_pb2.ConsumeSettled | None:
        """Returns the answer to all that is durable, in the order in which it came: up to what can't become so, which
        ends the call."""
        number = None
        refused: list[queues_pb2.RefusedSettlement] = []
        while self._settling and not self._settling[0].left:
            settling = self._settling.popleft()
            if settling.error is not None:
                self._cancel = settling.error
                break
            number = settling.id
            refused += settling.refused
        return None if number is None else queues_pb2.ConsumeSettled(id=number, refused=refused)
