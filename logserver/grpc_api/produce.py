"""Produce, unary and as a stream: append at once, answer when the acks asked for are reached."""

import asyncio
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from grpc.aio import EOF
from logserver_records.batch import Buffer
from logserver_segments.partition_log import Appended
from logserver_segments.seams import Clock
from logserverpb.v1 import common_pb2, log_pb2

from logserver.broker import Broker, Partition
from logserver.broker.topics import INTERNAL_TOPICS
from logserver.coordinator.transactions.coordinator import TransactionCoordinator
from logserver.coordinator.transactions.enlisting import Outcomes, beginnings, enlist
from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.calls import Calls
from logserver.grpc_api.convert import check_count
from logserver.grpc_api.errors import Context, to_error
from logserver.grpc_api.produce_request import PartitionRequest, ProduceRequest
from logserver.grpc_api.records import to_batch

_NO_OUTCOMES: Final[Outcomes] = MappingProxyType({})

_ANSWER_BYTES: Final = 512
"""What the answer for one partition takes in memory, one that is an error included."""


class Production:
    """The appends of one request, and what is still to come of their answers.

    Args:
        done: called once, when `results` are all there; perhaps before the constructor returns.
        outcomes: what the coordinator has said where a transaction begins.
    """

    __slots__ = ("_done", "_waiting", "failed", "results")

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        request: ProduceRequest,
        done: Callable[["Production"], None],
        outcomes: Outcomes,
    ) -> None:
        self.results: list[log_pb2.ProduceResult] = []
        self.failed = False
        self._done = done
        # One more than there are, so that nothing is done before all have been appended.
        self._waiting = 1
        for number, item in enumerate(request.partitions):
            result = log_pb2.ProduceResult(topic=item.topic, partition=item.partition)
            self.results.append(result)
            try:
                outcome = outcomes.get(number)
                if isinstance(outcome, LogServerError):
                    raise outcome
                partition = broker.partition(item.topic, item.partition)
                appended = partition.append(_payload(item, partition, clock), outcome)
            except LogServerError as error:
                self._fail(result, error)
                continue
            result.log_start_offset = partition.log_start_offset
            if request.acks == log_pb2.ACKS_ALL:
                self._waiting += 1
                partition.when_committed(appended.last_offset, self._committed(result, appended))
            else:
                _fill(result, appended)
        self._one_done()

    def _committed(self, result: log_pb2.ProduceResult, appended: Appended) -> Callable[[LogServerError | None], None]:
        def committed(error: LogServerError | None) -> None:
            if error is None:
                _fill(result, appended)
            else:
                self._fail(result, error)
            self._one_done()

        return committed

    def _fail(self, result: log_pb2.ProduceResult, error: LogServerError) -> None:
        self.failed = True
        result.base_offset = result.last_offset = result.log_append_time_ms = -1
        result.error.CopyFrom(to_error(error))

    def _one_done(self) -> None:
        self._waiting -= 1
        if self._waiting == 0:
            self._done(self)


def _payload(item: PartitionRequest, partition: Partition, clock: Clock) -> Buffer:
    if partition.topic in INTERNAL_TOPICS:
        raise LogServerError(
            ErrorCode.invalid_topic_exception,
            f"the topic {partition.topic!r} belongs to the server, and only the server writes to it",
        )
    data = item.data
    if data is None:
        raise LogServerError(ErrorCode.invalid_record, "give either batches or records, this partition has neither")
    if isinstance(data, common_pb2.RecordList):
        return to_batch(data, clock.now_ms(), partition.max_message_bytes)
    return data


def _size_bytes(item: PartitionRequest) -> int:
    topic, _, data = item
    if isinstance(data, common_pb2.RecordList):
        return len(topic) + data.ByteSize()
    return len(topic) + (len(data) if data is not None else 0)


def _fill(result: log_pb2.ProduceResult, appended: Appended) -> None:
    result.base_offset, result.last_offset, result.log_append_time_ms, result.duplicate = appended


def _check(request: ProduceRequest, broker: Broker) -> None:
    """Checks what concerns a request as a whole.

    Raises:
        LogServerError: INVALID_REQUIRED_ACKS, or INVALID_REQUEST for too many partitions.
    """
    if request.acks not in (log_pb2.ACKS_ALL, log_pb2.ACKS_LEADER, log_pb2.ACKS_NONE):
        raise LogServerError(
            ErrorCode.invalid_required_acks,
            f"acks {request.acks} is not known; give ACKS_ALL, ACKS_LEADER or ACKS_NONE",
        )
    check_count(len(request.partitions), broker.settings.max_request_partition_size_limit)


async def _enlisted(broker: Broker, transactions: TransactionCoordinator, request: ProduceRequest) -> Outcomes:
    """Asks the coordinator about the partitions where a request begins a transaction."""
    items = []
    for number, item in enumerate(request.partitions):
        if isinstance(item.data, common_pb2.RecordList):
            raise LogServerError(
                ErrorCode.invalid_request, "in a transaction give batches, which name the producer, and not records"
            )
        try:
            partition = broker.partition(item.topic, item.partition)
        except LogServerError:
            # It is told when the others are written.
            continue
        if item.data is not None and item.topic not in INTERNAL_TOPICS:
            items.append((number, partition, item.data))
    found = beginnings(items, adds=True)
    return await enlist(transactions, request.transactional_id, found, adds=True) if found else {}


async def produce(
    broker: Broker, transactions: TransactionCoordinator, clock: Clock, request: ProduceRequest
) -> log_pb2.ProduceResponse:
    """Appends one request and returns its answer; with ACKS_NONE the answer only says what was refused at once."""
    _check(request, broker)
    outcomes = await _enlisted(broker, transactions, request) if request.transactional_id else {}
    answer: asyncio.Future[Production] = asyncio.get_running_loop().create_future()

    def done(production: Production) -> None:
        if not answer.done():
            answer.set_result(production)

    Production(broker, clock, request, done, outcomes)
    return log_pb2.ProduceResponse(results=(await answer).results)


class ProduceStream:
    """One ProduceStream call. Reading pauses while `grpc.stream.max.inflight.bytes` wait for their answer, or for the
    client to take it."""

    def __init__(self, broker: Broker, transactions: TransactionCoordinator, clock: Clock, calls: Calls) -> None:
        self._broker = broker
        self._transactions = transactions
        self._calls = calls
        self._clock = clock
        self._max_inflight_bytes = broker.settings.grpc_stream_max_inflight_bytes
        self._inflight_bytes = 0
        self._inflight = 0
        # Answers to be written, and the bytes that count as in flight until they are.
        self._done: list[log_pb2.ProduceAcknowledgement] = []
        self._done_bytes = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False

    async def run(self, context: Context) -> None:
        """Reads requests until the client ends them, and answers all."""
        async with asyncio.TaskGroup() as group:
            # If writing fails, so does the call: the group cancels the reading.
            writer = group.create_task(self._write(context), name="produce-stream-writer")
            try:
                await self._read(context)
            except LogServerError:
                # What came before it is answered before the call ends.
                await self._finish(writer)
                raise
            except asyncio.CancelledError:
                # When the server stops, what was taken is answered before the call ends.
                if self._calls.closing and not writer.done():
                    await self._finish(writer)
                raise
            await self._finish(writer)

    async def _read(self, context: Context) -> None:
        while (request := await context.read()) is not EOF:
            _check(request, self._broker)
            # What comes behind it waits, so that records stay in order.
            outcomes = (
                await _enlisted(self._broker, self._transactions, request) if request.transactional_id else _NO_OUTCOMES
            )
            self._take(request, outcomes)
            # The message is stored, or held by nobody else; the next one may lie in its place.
            del request
            while self._inflight_bytes > self._max_inflight_bytes:
                self._room.clear()
                await self._room.wait()

    async def _finish(self, writer: asyncio.Task[None]) -> None:
        self._ended = True
        self._news.set()
        await writer

    def _take(self, request: ProduceRequest, outcomes: Outcomes) -> None:
        correlation_id, acks, partitions, _ = request
        # What holds memory is what came, and its answer, until the client takes it.
        size = sum(map(_size_bytes, partitions)) + _ANSWER_BYTES * (1 + len(partitions))
        self._inflight_bytes += size
        self._inflight += 1

        def done(production: Production) -> None:
            self._inflight -= 1
            if acks != log_pb2.ACKS_NONE or production.failed:
                self._done_bytes += size
                self._done.append(
                    log_pb2.ProduceAcknowledgement(correlation_id=correlation_id, results=production.results)
                )
            else:
                self._inflight_bytes -= size
                self._room.set()
            self._news.set()

        Production(self._broker, self._clock, request, done, outcomes)

    async def _write(self, context: Context) -> None:
        """Sends what is done, everything since the last message in one."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._done:
                answers, self._done = self._done, []
                size, self._done_bytes = self._done_bytes, 0
                await context.write(log_pb2.ProduceStreamResponse(acknowledgements=answers))
                self._inflight_bytes -= size
                self._room.set()
            if self._ended and not self._inflight and not self._done:
                return
