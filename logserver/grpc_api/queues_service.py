"""The `Queues` service."""

import asyncio
from collections import Counter
from contextlib import aclosing
from itertools import count
from typing import Final

from grpc.aio import EOF
from logserver_segments.seams import Clock
from logserverpb.v1 import common_pb2, queues_pb2

from logserver.broker import Broker
from logserver.coordinator.delivery.coordinator import QueueCoordinator, QueueName
from logserver.coordinator.delivery.counts import NO_COUNTS
from logserver.coordinator.delivery.handles import Check
from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.redrive import Progress, Redrive, Selection
from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.calls import Calls
from logserver.grpc_api.errors import Context, answered, to_error
from logserver.grpc_api.queue_consume import ConsumeStream
from logserver.grpc_api.queue_look import explain, peek
from logserver.grpc_api.queue_messages import from_counts, from_policy, refusal, settle, to_record
from logserver.grpc_api.queue_receive import receive
from logserver.grpc_api.records import to_batch

_MOST_NAME: Final = 200
_PARTITIONS_AT_A_TIME: Final = 50


class QueuesService:
    """Servicer of `logserver.v1.Queues`."""

    def __init__(self, broker: Broker, queues: QueueCoordinator, clock: Clock, calls: Calls) -> None:
        self._broker = broker
        self._queues = queues
        self._clock = clock
        self._calls = calls
        self._numbers = count(1)
        self._next_partition = 0

    # Queues

    @answered
    async def DeclareQueue(
        self, request: queues_pb2.DeclareQueueRequest, context: Context
    ) -> queues_pb2.DeclareQueueResponse:
        """Makes a queue, or changes its policies."""
        known = self._queues.declared(request.name)
        record = await self._queues.declare(
            to_record(request, known), request.partitions, dict(request.settings), from_latest=request.from_latest
        )
        return queues_pb2.DeclareQueueResponse(queue=await self._describe(self._queues.find(record.name)))

    @answered
    async def DeleteQueue(
        self, request: queues_pb2.DeleteQueueRequest, context: Context
    ) -> queues_pb2.DeleteQueueResponse:
        """Forgets a queue."""
        await self._queues.delete(request.name)
        return queues_pb2.DeleteQueueResponse()

    @answered
    async def ListQueues(
        self, request: queues_pb2.ListQueuesRequest, context: Context
    ) -> queues_pb2.ListQueuesResponse:
        """Describes all queues."""
        return queues_pb2.ListQueuesResponse(queues=[await self._describe(queue) for queue in self._queues.all()])

    @answered
    async def DescribeQueue(
        self, request: queues_pb2.DescribeQueueRequest, context: Context
    ) -> queues_pb2.DescribeQueueResponse:
        """Describes one queue."""
        return queues_pb2.DescribeQueueResponse(queue=await self._describe(self._queues.find(request.name)))

    async def _describe(self, queue: QueueName) -> queues_pb2.Queue:
        message = queues_pb2.Queue(
            name=queue.name,
            topic=queue.topic,
            group=queue.group_id,
            incarnation=queue.record.incarnation if queue.record is not None else "",
            declared=queue.record is not None,
            policy=from_policy(self._queues.names.terms(queue.group_id, queue.topic).policy, queue.record),
            consumers=self._queues.consumer_count(queue),
            dead_lettered=await self._dead_lettered(queue),
        )
        total = NO_COUNTS
        oldest: list[int] = []
        first_deliveries: list[int] = []
        deliveries: Counter[int] = Counter()
        for index, number in enumerate(self._queues.numbers(queue)):
            try:
                place = await self._queues.look(queue, number)
                ready_ms = await place.oldest_ready_ms()
            except LogServerError as error:
                message.partitions.add(partition=number, start_offset=-1, end_offset=-1, error=to_error(error))
                continue
            counts = place.engine.counts()
            total = total + counts
            message.partitions.add(
                partition=number,
                start_offset=place.engine.start,
                end_offset=place.engine.end,
                counts=from_counts(counts),
                move_refusal=next((move.refusal for move in place.engine.moves.values() if move.refusal), ""),
            )
            if ready_ms is not None:
                oldest.append(ready_ms)
            for delivery in place.engine.unsettled:
                deliveries[delivery.acquisitions] += delivery.records
                if delivery.first_ms >= 0:
                    first_deliveries.append(delivery.first_ms)
            if index % _PARTITIONS_AT_A_TIME == _PARTITIONS_AT_A_TIME - 1:
                await asyncio.sleep(0)
        message.counts.CopyFrom(from_counts(total))
        message.oldest_ready_ms = min(oldest, default=-1)
        message.oldest_first_delivery_ms = min(first_deliveries, default=-1)
        message.deliveries.update(deliveries)
        return message

    async def _dead_lettered(self, queue: QueueName) -> int:
        letters = self._queues.dead_letters(queue)
        if letters is None:
            return -1
        looks = [await self._queues.look(letters, number) for number in self._queues.numbers(letters)]
        return sum(sum(look.engine.counts()[:4]) for look in looks)

    # Messages

    @answered
    async def Send(self, request: queues_pb2.SendRequest, context: Context) -> queues_pb2.SendResponse:
        """Appends messages, all to one partition, the next one each time."""
        queue = self._queues.find(request.queue)
        partitions = self._broker.topic(queue.topic).partitions
        self._next_partition += 1
        partition = partitions[self._next_partition % len(partitions)]
        batch = to_batch(request.messages, self._clock.now_ms(), partition.max_message_bytes)
        base_offset = await self._queues.peers.append(queue.topic, partition.number, batch)
        sent = len(request.messages.records)
        return queues_pb2.SendResponse(
            partitions=[partition.number] * sent, offsets=range(base_offset, base_offset + sent)
        )

    @answered
    async def Consume(self, request: object, context: Context) -> None:
        """Delivers and settles on one stream."""
        with self._calls.track():
            first = await context.read()
            if first is EOF:
                return
            if first.WhichOneof("request") != "start":
                raise LogServerError(ErrorCode.invalid_request, "a Consume stream begins with start")
            queue = self._queues.find(first.start.queue)
            owner = self._owner(first.start.consumer, context)
            stream = ConsumeStream(self._queues, queue, first.start, owner, self._calls)
            started = queues_pb2.ConsumeStarted(
                incarnation=queue.record.incarnation if queue.record is not None else "",
                queue=queues_pb2.Queue(name=queue.name, topic=queue.topic, group=queue.group_id),
            )
            await stream.run(context, started)

    def _owner(self, name: str, context: Context) -> str:
        """Returns a name that nobody else has."""
        return f"{name[:_MOST_NAME] or context.peer()} #{next(self._numbers)}"

    @answered
    async def Receive(self, request: queues_pb2.ReceiveRequest, context: Context) -> bytes:
        """Delivers once."""
        with self._calls.track():
            return await receive(self._queues, self._queues.find(request.queue), request)

    @answered
    async def Settle(self, request: queues_pb2.SettleRequest, context: Context) -> queues_pb2.SettleResponse:
        """Settles what Receive gave."""
        queue = self._queues.find(request.queue)
        incarnation = queue.record.incarnation if queue.record is not None else ""
        if request.incarnation != incarnation:
            raise LogServerError(
                ErrorCode.invalid_record_state,
                f"the queue {queue.name!r} was made anew since these messages were received; they are settled with it",
            )
        response = queues_pb2.SettleResponse()
        check = Check.LATEST if request.latest else Check.STRICT
        touched: dict[QueuePartition, None] = {}
        for index, settlement in enumerate(request.settlements):
            try:
                place = await self._queues.partition(queue, settlement.partition)
                touched[place] = None
                if not settle(place, settlement, check, None):
                    raise refusal(settlement, place)
            except LogServerError as error:
                response.refused.add(index=index, error=to_error(error))
        for place in touched:
            await place.durable()
        return response

    @answered
    async def Peek(self, request: queues_pb2.PeekRequest, context: Context) -> queues_pb2.PeekResponse:
        """Looks at messages."""
        return await peek(self._queues, self._queues.find(request.queue), request)

    @answered
    async def Purge(self, request: queues_pb2.PurgeRequest, context: Context) -> queues_pb2.PurgeResponse:
        """Settles what is ready."""
        places = await self._queues.open(self._queues.find(request.queue))
        messages = sum(place.purge() for place in places)
        for place in places:
            await place.durable()
        return queues_pb2.PurgeResponse(messages=messages)

    @answered
    async def Redrive(self, request: queues_pb2.RedriveRequest, context: Context) -> None:
        """Sends messages elsewhere."""
        with self._calls.track():
            queue = self._queues.find(request.queue)
            selection = Selection(
                request.destination or None,
                request.key if request.HasField("key") else None,
                tuple(_header(header) for header in request.headers),
                request.messages_per_second,
                request.max_messages,
            )
            progress = Progress(0, 0, 0, 0)
            async with aclosing(Redrive(self._queues, queue, selection, self._clock).run()) as steps:
                async for progress in steps:
                    await context.write(_progress(progress))
            await context.write(_progress(progress, done=True))

    @answered
    async def Explain(self, request: queues_pb2.ExplainRequest, context: Context) -> queues_pb2.ExplainResponse:
        """Tells the story of a record."""
        return await explain(self._queues, self._broker, request)


def _header(header: common_pb2.Header) -> tuple[str, bytes | None]:
    return header.key, header.value if header.HasField("value") else None


def _progress(found: Progress, *, done: bool = False) -> queues_pb2.RedriveProgress:
    return queues_pb2.RedriveProgress(
        moved=found.moved, skipped=found.skipped, held=found.held, remaining=found.remaining, done=done
    )
