"""Subscribe: pushes committed data of the assigned partitions within the client's credit.

Memory is bounded whatever the client does: data is read only when there is credit for it and the message before has
been taken by the transport; the credit itself is capped by `grpc.subscribe.max.credit.bytes`.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from grpc.aio import EOF
from logserver_records.batch import Buffer
from logserverpb.v1 import common_pb2, log_pb2

from logserver.broker import Broker, Partition
from logserver.broker.isolation import IsolationLevel
from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.calls import Calls
from logserver.grpc_api.convert import check_count, check_format, check_isolation, partition_data, resolve
from logserver.grpc_api.errors import Context
from logserver.grpc_api.records import from_batches
from logserver.grpc_api.wire import encode_partitions

_DEFAULT_RESPONSE_BYTES: Final = 1 << 20
_LATEST: Final = common_pb2.Position(latest=common_pb2.Latest())

Key = tuple[str, int]


class _Assigned:
    """One partition of a subscription."""

    __slots__ = ("generation", "key", "offset", "partition", "paused", "queued")

    def __init__(self, key: Key, partition: Partition, generation: int) -> None:
        self.key = key
        self.partition = partition
        self.generation = generation
        # None until the position asked for has been resolved.
        self.offset: int | None = None
        self.paused = False
        # Whether it is in the line of those that may have data.
        self.queued = False


class Subscription:
    """One Subscribe call."""

    def __init__(self, broker: Broker, calls: Calls) -> None:
        settings = broker.settings
        self._broker = broker
        self._calls = calls
        self._max_credit = settings.grpc_subscribe_max_credit_bytes
        self._most_bytes = settings.fetch_max_bytes
        self._max_decompressed = settings.record_batch_max_decompressed_bytes
        self._response_bytes = min(_DEFAULT_RESPONSE_BYTES, self._most_bytes)
        self._plain = False
        self._isolation = IsolationLevel.READ_UNCOMMITTED
        self._started = False
        self._ended = False
        self._credit = 0
        self._assigned: dict[Key, _Assigned] = {}
        # In turn, so that no busy partition starves another.
        self._line: deque[_Assigned] = deque()
        self._notices: list[log_pb2.PartitionData] = []
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._generation = -1
        self._most_named = settings.max_request_partition_size_limit
        self._resolving: set[asyncio.Task[None]] = set()

    async def run(self, context: Context) -> None:
        """Takes commands and sends data until the client ends its side or cancels."""
        try:
            async with asyncio.TaskGroup() as group:
                # If sending fails, so does the call: the group cancels the reading.
                sender = group.create_task(self._send(context), name="subscribe-sender")
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
            for task in self._resolving:
                task.cancel()
            for assigned in self._assigned.values():
                assigned.partition.remove_waiter(self)

    async def _finish(self, sender: asyncio.Task[None]) -> None:
        """Lets the message that is being sent go out: no status can follow one that was given up half-way."""
        self._ended = True
        self._news.set()
        await sender

    async def _receive(self, context: Context) -> None:
        while (request := await context.read()) is not EOF:
            self._command(request)
            while len(self._notices) + len(self._resolving) > self._most_named:
                # The client does not read its answers: it gets no more of them.
                self._room.clear()
                await self._room.wait()

    # Commands

    def _command(self, request: log_pb2.SubscribeRequest) -> None:
        kind = request.WhichOneof("command")
        if kind == "credit":
            self._add_credit(request.credit.bytes)
        elif kind == "assign":
            self._assign(request.assign)
        elif kind == "seek":
            self._seek(request.seek)
        elif kind == "unassign":
            check_count(len(request.unassign.partitions), self._most_named)
            for item in request.unassign.partitions:
                self._remove((item.topic, item.partition))
        elif kind == "pause":
            self._pause(request.pause, True)
        elif kind == "resume":
            self._pause(request.resume, False)
        elif kind == "options":
            self._configure(request.options)
        else:
            raise LogServerError(ErrorCode.invalid_request, "the command is empty")
        self._started = True

    def _configure(self, options: log_pb2.SubscribeOptions) -> None:
        if self._started:
            raise LogServerError(ErrorCode.invalid_request, "options come once, before every other command")
        if options.max_bytes < 0:
            raise LogServerError(ErrorCode.invalid_request, f"max_bytes is {options.max_bytes}; it may not be negative")
        self._plain = check_format(options.format)
        self._isolation = check_isolation(options.isolation_level)
        self._response_bytes = min(options.max_bytes or _DEFAULT_RESPONSE_BYTES, self._most_bytes)

    def _add_credit(self, count: int) -> None:
        if count <= 0:
            raise LogServerError(ErrorCode.invalid_request, f"credit.bytes is {count}; it must be above 0")
        self._credit = min(self._credit + count, self._max_credit)
        self._news.set()

    def _check_generation(self, command: log_pb2.Assign) -> None:
        check_count(len(command.partitions), self._most_named)
        if command.generation <= self._generation:
            raise LogServerError(
                ErrorCode.invalid_request,
                f"generation is {command.generation}; every assign and seek of a stream names a larger one than those "
                f"before it, and there was {self._generation}",
            )
        self._generation = command.generation

    def _assign(self, command: log_pb2.Assign) -> None:
        self._check_generation(command)
        for item in command.partitions:
            key = (item.topic, item.partition)
            self._remove(key)
            try:
                partition = self._broker.partition(*key)
                partition.check_epoch(item.current_leader_epoch if item.HasField("current_leader_epoch") else None)
            except LogServerError as error:
                self._notify(key, None, command.generation, -1, error)
                continue
            assigned = _Assigned(key, partition, command.generation)
            self._assigned[key] = assigned
            partition.add_waiter(self)
            self._resolve(assigned, item.position)

    def _seek(self, command: log_pb2.Assign) -> None:
        self._check_generation(command)
        for item in command.partitions:
            key = (item.topic, item.partition)
            assigned = self._assigned.get(key)
            if assigned is None:
                self._notify(
                    key,
                    None,
                    command.generation,
                    -1,
                    LogServerError(ErrorCode.invalid_request, f"{key[0]}-{key[1]} is not assigned; assign it first"),
                )
                continue
            assigned.generation = command.generation
            assigned.offset = None
            self._resolve(assigned, item.position)

    def _resolve(self, assigned: _Assigned, position: common_pb2.Position) -> None:
        """Finds the offset of a position; looking one up by time may need the disk."""
        task = asyncio.create_task(self._find(assigned, assigned.generation, position))
        self._resolving.add(task)
        task.add_done_callback(self._resolved)

    def _resolved(self, task: asyncio.Task[None]) -> None:
        self._resolving.discard(task)
        self._room.set()

    async def _find(self, assigned: _Assigned, generation: int, position: common_pb2.Position) -> None:
        try:
            if position.WhichOneof("at") == "max_timestamp":
                raise LogServerError(ErrorCode.invalid_request, "max_timestamp is a position for ListOffsets only")
            offset, _ = await resolve(assigned.partition, position, self._isolation)
            if offset < 0:
                # No record is as late as that.
                offset, _ = await resolve(assigned.partition, _LATEST, self._isolation)
        except LogServerError as error:
            self._end(assigned, generation, error)
            return
        if self._is_current(assigned, generation):
            assigned.offset = offset
            self._notify(assigned.key, assigned.partition, generation, offset, None)
            self._queue(assigned)

    def _is_current(self, assigned: _Assigned, generation: int) -> bool:
        return self._assigned.get(assigned.key) is assigned and assigned.generation == generation

    def _pause(self, command: log_pb2.PartitionSet, paused: bool) -> None:
        check_count(len(command.partitions), self._most_named)
        for item in command.partitions:
            assigned = self._assigned.get((item.topic, item.partition))
            if assigned is not None:
                assigned.paused = paused
                self._queue(assigned)

    def _remove(self, key: Key) -> None:
        assigned = self._assigned.pop(key, None)
        if assigned is not None:
            assigned.partition.remove_waiter(self)

    def _end(self, assigned: _Assigned, generation: int, error: LogServerError) -> None:
        """Ends one partition of the subscription with an error; the others go on."""
        if self._is_current(assigned, generation):
            offset = assigned.offset if assigned.offset is not None else -1
            self._remove(assigned.key)
            self._notify(assigned.key, assigned.partition, generation, offset, error)

    def _notify(
        self, key: Key, partition: Partition | None, generation: int, offset: int, error: LogServerError | None
    ) -> None:
        message = partition_data(*key, partition, offset, error)
        message.generation = generation
        self._notices.append(message)
        self._news.set()

    # Data

    def data_available(self, partition: Partition) -> None:
        """Takes up a partition that has something new."""
        assigned = self._assigned.get((partition.topic, partition.number))
        if assigned is not None and not assigned.queued:
            self._queue(assigned)

    def _queue(self, assigned: _Assigned) -> None:
        if not assigned.queued and assigned.offset is not None and not assigned.paused:
            assigned.queued = True
            self._line.append(assigned)
            self._news.set()

    async def _send(self, context: Context) -> None:
        while not self._ended:
            answer: list[tuple[log_pb2.PartitionData, Buffer]] = []
            self._take_notices(answer)
            size = 0
            while self._line and self._credit > 0 and size < self._response_bytes:
                assigned = self._line.popleft()
                assigned.queued = False
                # While another partition was read from the disk this one may have been assigned, or moved: what answers
                # that comes before its data.
                self._take_notices(answer)
                size += await self._read(assigned, min(self._response_bytes - size, self._credit), answer)
            if answer:
                await context.write(encode_partitions(answer))
                continue
            if self._notices or (self._line and self._credit > 0):
                continue
            self._news.clear()
            await self._news.wait()

    def _take_notices(self, answer: list[tuple[log_pb2.PartitionData, Buffer]]) -> None:
        answer += [(notice, b"") for notice in self._notices]
        self._notices.clear()
        self._room.set()

    async def _read(
        self, assigned: _Assigned, max_bytes: int, answer: list[tuple[log_pb2.PartitionData, Buffer]]
    ) -> int:
        """Reads one partition into an answer; returns the bytes that count towards the answer's size."""
        offset, generation = assigned.offset, assigned.generation
        if offset is None or assigned.paused or self._assigned.get(assigned.key) is not assigned:
            return 0
        partition = assigned.partition
        try:
            found = self._isolation.read(partition, offset, max_bytes)
            if not isinstance(found, tuple):
                found = await found
                if not self._is_current(assigned, generation):
                    return 0
            batches, next_offset = found
            size = len(batches)
            records: Sequence[common_pb2.Record] = ()
            if self._plain and size:
                records, next_offset, size = from_batches(batches, offset, max_bytes, self._max_decompressed)
        except LogServerError as error:
            self._end(assigned, generation, error)
            return 0
        if next_offset == offset:
            return 0
        # Also without any record: a reader of a range waits to hear that its end has been reached.
        message = partition_data(*assigned.key, partition, next_offset, None)
        message.generation = generation
        message.records.extend(records)
        answer.append((message, b"" if self._plain else batches))
        assigned.offset = next_offset
        self._credit -= size
        if next_offset < self._isolation.end(partition):
            self._queue(assigned)
        # What nothing came out of, as of aborted transactions, was work, too: the message goes before more is read.
        return size or self._response_bytes
