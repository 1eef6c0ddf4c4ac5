"""The `Log` service."""

from collections.abc import Sequence

from logserver_records.batch import Buffer
from logserver_segments.seams import Clock
from logserverpb.v1 import common_pb2, log_pb2

from logserver.broker import Broker, FetchResult, FetchTarget, fetch
from logserver.coordinator.transactions.coordinator import TransactionCoordinator
from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.calls import Calls
from logserver.grpc_api.convert import check_count, check_format, check_isolation, partition_data, resolve
from logserver.grpc_api.errors import Context, answered, to_error
from logserver.grpc_api.produce import ProduceStream, produce
from logserver.grpc_api.produce_request import ProduceRequest
from logserver.grpc_api.records import from_batches
from logserver.grpc_api.subscribe import Subscription
from logserver.grpc_api.wire import encode_partitions


class LogService:
    """Servicer of `logserver.v1.Log`."""

    def __init__(self, broker: Broker, transactions: TransactionCoordinator, clock: Clock, calls: Calls) -> None:
        self._broker = broker
        self._transactions = transactions
        self._clock = clock
        self._calls = calls

    @answered
    async def Produce(self, request: ProduceRequest, context: Context) -> log_pb2.ProduceResponse:
        """Appends to one or more partitions."""
        return await produce(self._broker, self._transactions, self._clock, request)

    @answered
    async def ProduceStream(self, requests: object, context: Context) -> None:
        """Appends requests as they come and answers each when it is done."""
        with self._calls.track():
            await ProduceStream(self._broker, self._transactions, self._clock, self._calls).run(context)

    @answered
    async def Fetch(self, request: log_pb2.FetchRequest, context: Context) -> bytes:
        """Reads from one or more partitions, waiting for enough data if asked to."""
        settings = self._broker.settings
        for name, value in (
            ("max_wait_ms", request.max_wait_ms),
            ("min_bytes", request.min_bytes),
            ("max_bytes", request.max_bytes),
        ):
            if value < 0:
                raise LogServerError(ErrorCode.invalid_request, f"{name} is {value}; it may not be negative")
        plain = check_format(request.format)
        isolation = check_isolation(request.isolation_level)
        check_count(len(request.partitions), settings.max_request_partition_size_limit)
        for item in request.partitions:
            if item.max_bytes < 0:
                raise LogServerError(
                    ErrorCode.invalid_request,
                    f"max_bytes of {item.topic}-{item.partition} is {item.max_bytes}; it may not be negative",
                )
        max_bytes = min(request.max_bytes or settings.fetch_max_bytes, settings.fetch_max_bytes)
        targets = [
            FetchTarget(
                item.topic,
                item.partition,
                item.offset,
                item.max_bytes or max_bytes,
                item.current_leader_epoch if item.HasField("current_leader_epoch") else None,
            )
            for item in request.partitions
        ]
        max_wait_ms = min(request.max_wait_ms, settings.grpc_max_wait_ms)
        with self._calls.track():
            results = await fetch(
                self._broker,
                targets,
                max_wait_ms=max_wait_ms,
                min_bytes=request.min_bytes,
                max_bytes=max_bytes,
                isolation=isolation,
            )
        if plain:
            return encode_partitions(_plain(targets, results, max_bytes, settings.record_batch_max_decompressed_bytes))
        answer: list[tuple[log_pb2.PartitionData, Buffer]] = []
        for target, found in zip(targets, results, strict=True):
            message = partition_data(target.topic, target.partition, found.partition, found.next_offset, found.error)
            answer.append((message, found.data))
        return encode_partitions(answer)

    @answered
    async def Subscribe(self, requests: object, context: Context) -> None:
        """Pushes data of the assigned partitions."""
        with self._calls.track():
            await Subscription(self._broker, self._calls).run(context)

    @answered
    async def ListOffsets(self, request: log_pb2.ListOffsetsRequest, context: Context) -> log_pb2.ListOffsetsResponse:
        """Finds offsets by position or timestamp."""
        check_count(len(request.partitions), self._broker.settings.max_request_partition_size_limit)
        isolation = check_isolation(request.isolation_level)
        response = log_pb2.ListOffsetsResponse()
        for item in request.partitions:
            result = response.results.add(topic=item.topic, partition=item.partition, offset=-1, timestamp=-1)
            try:
                partition = self._broker.partition(item.topic, item.partition)
                result.leader_epoch = partition.leader_epoch
                result.offset, result.timestamp = await resolve(partition, item.position, isolation)
            except LogServerError as error:
                result.error.CopyFrom(to_error(error))
        return response

    @answered
    async def InitProducerId(
        self, request: log_pb2.InitProducerIdRequest, context: Context
    ) -> log_pb2.InitProducerIdResponse:
        """Gives out a producer id, or the next epoch of one."""
        producer_id, epoch = await self._broker.init_producer_id(
            request.producer_id if request.HasField("producer_id") else None,
            request.producer_epoch if request.HasField("producer_epoch") else None,
        )
        return log_pb2.InitProducerIdResponse(producer_id=producer_id, producer_epoch=epoch)


def _plain(
    targets: Sequence[FetchTarget], results: Sequence[FetchResult], max_bytes: int, max_decompressed_bytes: int
) -> list[tuple[log_pb2.PartitionData, Buffer]]:
    """Returns the answer to a fetch of plain records. `max_bytes` holds for what was stored compressed, too."""
    answer: list[tuple[log_pb2.PartitionData, Buffer]] = []
    left = max_bytes
    for target, found in zip(targets, results, strict=True):
        error = found.error
        next_offset = target.offset
        records: Sequence[common_pb2.Record] = ()
        if len(found.data) and (left > 0 or left == max_bytes):
            try:
                records, next_offset, size = from_batches(
                    found.data, target.offset, min(target.max_bytes, left), max_decompressed_bytes
                )
            except LogServerError as failure:
                error = failure
            else:
                left -= size
        message = partition_data(target.topic, target.partition, found.partition, next_offset, error)
        message.records.extend(records)
        answer.append((message, b""))
    return answer
