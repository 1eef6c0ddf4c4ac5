"""A daemon on the test's own event loop, and the generated stubs as its client."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from logserverpb.v1 import admin_pb2, admin_pb2_grpc, common_pb2, log_pb2, log_pb2_grpc

from logserver.broker import Broker, Partition
from logserver.daemon import Daemon
from logserver.errors import ErrorCode
from logserver.settings import load_settings
from tests.broker.faulty_disk import FaultyDisk
from tests.broker.harness import batch, values_of
from tests.broker.nodes import AwaitingStorage

LONG_MS = 60_000
"""Longer than any test may take."""

ALL, LEADER, NONE = log_pb2.ACKS_ALL, log_pb2.ACKS_LEADER, log_pb2.ACKS_NONE
BATCHES, RECORDS = common_pb2.RECORD_FORMAT_BATCHES, common_pb2.RECORD_FORMAT_RECORDS


def _broker_over_awaiting_logs(settings: Any, node: Any, store: Any, storage: Any, *rest: Any) -> Broker:
    return Broker(settings, node, store, AwaitingStorage(storage), *rest)


Place = tuple[str, int, common_pb2.Position]


class Server:
    """A daemon with a channel to it. Its disk can be broken and its flushes held.

    Args:
        awaiting: whether the partitions' logs never have an answer at hand.
    """

    def __init__(self, path: Path, settings: dict[str, str] | None = None, *, awaiting: bool = False) -> None:
        self.path = path
        self._awaiting = awaiting
        self.disk = FaultyDisk()
        self.settings = {"log.dirs": str(path), "grpc.listeners": "127.0.0.1:0", "listeners": "off", **(settings or {})}
        self._channels: list[grpc.aio.Channel] = []

    async def start(self) -> "Server":
        self.daemon = Daemon(load_settings(command_line=self.settings.items()), disk=self.disk)
        with mock.patch("logserver.daemon.daemon.Broker", _broker_over_awaiting_logs if self._awaiting else Broker):
            await self.daemon.start()
        self.address = str(self.daemon.grpc_addresses[0])
        self.channel = self.new_channel()
        self.log = log_pb2_grpc.LogStub(self.channel)
        self.admin = admin_pb2_grpc.AdminStub(self.channel)
        return self

    def new_channel(self, **options: Any) -> grpc.aio.Channel:
        """Returns another channel, with a connection of its own."""
        named = {"grpc.use_local_subchannel_pool": 1, "grpc.max_receive_message_length": -1, **options}
        channel = grpc.aio.insecure_channel(self.address, options=list(named.items()))
        self._channels.append(channel)
        return channel

    async def stop(self) -> None:
        self.disk.held.set()
        for channel in self._channels:
            await channel.close()
        self._channels.clear()
        await self.daemon.stop()

    @property
    def broker(self) -> Broker:
        return self.daemon.broker

    def partition(self, topic: str = "t", number: int = 0) -> Partition:
        return self.broker.partition(topic, number)

    def waiters(self) -> int:
        """How many fetches and subscriptions partitions know of."""
        return sum(len(partition._waiters) for partition in self.broker.partitions())

    async def topic(self, name: str = "t", partitions: int = 1, **settings: str) -> admin_pb2.Topic:
        """Creates a topic; settings with underscores for dots."""
        dotted = {key.replace("_", "."): value for key, value in settings.items()}
        request = admin_pb2.CreateTopicRequest(name=name, partitions=partitions, settings=dotted)
        return (await self.admin.CreateTopic(request)).topic

    async def store(self, *payloads: bytes, topic: str = "t", partition: int = 0) -> None:
        """Produces payloads, one request each, and checks that all are stored."""
        for payload in payloads:
            request = log_pb2.ProduceRequest(partitions=[batches(payload, topic, partition)])
            (result,) = (await self.log.Produce(request)).results
            assert not result.HasField("error"), result

    async def read_all(self, topic: str = "t", partition: int = 0) -> list[bytes]:
        """Returns the values of all records of a partition, fetched as batches."""
        found: list[bytes] = []
        position = common_pb2.Position(earliest=common_pb2.Earliest())
        offset = (await self.offset(position, topic, partition)).offset
        while True:
            data = await self.fetch(offset, topic=topic, partition=partition)
            assert not data.HasField("error"), data.error
            if not data.batches:
                return found
            found += values_of(data.batches)
            offset = data.next_offset

    async def fetch(self, offset: int = 0, *, topic: str = "t", partition: int = 0, **fields: Any) -> Any:
        """Fetches one partition."""
        target = log_pb2.FetchPartition(topic=topic, partition=partition, offset=offset)
        response = await self.log.Fetch(log_pb2.FetchRequest(partitions=[target], **fields))
        (data,) = response.partitions
        return data

    async def offset(self, position: common_pb2.Position, topic: str = "t", partition: int = 0) -> Any:
        """Looks one offset up."""
        item = log_pb2.ListOffsetsPartition(topic=topic, partition=partition, position=position)
        (result,) = (await self.log.ListOffsets(log_pb2.ListOffsetsRequest(partitions=[item]))).results
        return result


def batches(payload: bytes, topic: str = "t", partition: int = 0) -> log_pb2.ProducePartition:
    return log_pb2.ProducePartition(topic=topic, partition=partition, batches=payload)


def plain(*records: common_pb2.Record, topic: str = "t", partition: int = 0) -> log_pb2.ProducePartition:
    return log_pb2.ProducePartition(
        topic=topic, partition=partition, records=common_pb2.RecordList(records=list(records))
    )


def at(**fields: Any) -> common_pb2.Position:
    """A position: at(offset=3), at(timestamp=5), at(earliest=True), at(latest=True), at(max_timestamp=True)."""
    ((kind, value),) = fields.items()
    made = {"earliest": common_pb2.Earliest, "latest": common_pb2.Latest, "max_timestamp": common_pb2.MaxTimestamp}
    return common_pb2.Position(**{kind: made[kind]() if kind in made else value})


def check_error(error: common_pb2.Error, code: ErrorCode, *words: str) -> None:
    """Checks the error of a part of a call."""
    assert (error.code, error.name) == (code.value, code.name.upper()), error
    assert error.retriable == code.retriable
    for word in words:
        assert word in error.message, error.message


class refused:
    """Expects a call to end with the status of an error, and the error in its details."""

    def __init__(self, code: ErrorCode, status: grpc.StatusCode, *words: str) -> None:
        self.code, self.status, self.words = code, status, words

    def __enter__(self) -> "refused":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        assert isinstance(error, grpc.aio.AioRpcError), f"it was not refused: {error!r}"
        assert error.code() is self.status, (error.code(), error.details())
        info = error_info(error)
        assert (info.reason, info.domain) == (self.code.name.upper(), "logserver")
        assert dict(info.metadata) == {
            "code": str(self.code.value),
            "retriable": "true" if self.code.retriable else "false",
        }
        for word in self.words:
            assert word in (error.details() or ""), error.details()
        return True


def error_info(error: grpc.aio.AioRpcError) -> ErrorInfo:
    """Returns the details of a call's status."""
    (value,) = [value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin"]
    status = Status.FromString(value)
    assert status.message == error.details() and status.code == error.code().value[0]
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


class Subscriber:
    """A Subscribe call: commands out, everything that comes kept in `seen`."""

    def __init__(self, server: Server, channel: grpc.aio.Channel | None = None, timeout_s: float | None = None) -> None:
        stub = log_pb2_grpc.LogStub(channel) if channel is not None else server.log
        self.call = stub.Subscribe(timeout=timeout_s)
        self.seen: list[log_pb2.PartitionData] = []
        self._generation = 0

    async def send(self, **command: Any) -> None:
        await self.call.write(log_pb2.SubscribeRequest(**command))

    async def options(self, **fields: Any) -> None:
        await self.send(options=log_pb2.SubscribeOptions(**fields))

    async def credit(self, count: int) -> None:
        await self.send(credit=log_pb2.Credit(bytes=count))

    async def assign(self, *places: Place, seek: bool = False, epoch: int | None = None) -> int:
        """Assigns or seeks partitions under the next generation, which it returns."""
        self._generation += 1
        items = [
            log_pb2.AssignedPartition(topic=topic, partition=number, position=position, current_leader_epoch=epoch)
            for topic, number, position in places
        ]
        command = log_pb2.Assign(generation=self._generation, partitions=items)
        await self.send(**{"seek" if seek else "assign": command})
        return self._generation

    async def unassign(self, *places: tuple[str, int]) -> None:
        await self.send(unassign=log_pb2.Unassign(partitions=_named(places)))

    async def pause(self, *places: tuple[str, int]) -> None:
        await self.send(pause=log_pb2.PartitionSet(partitions=_named(places)))

    async def resume(self, *places: tuple[str, int]) -> None:
        await self.send(resume=log_pb2.PartitionSet(partitions=_named(places)))

    async def next(self) -> list[log_pb2.PartitionData]:
        """Returns the entries of the next response."""
        response = await self.call.read()
        assert response is not grpc.aio.EOF, "the stream has ended"
        self.seen += response.partitions
        return list(response.partitions)

    async def entry(self, topic: str = "t", partition: int = 0) -> log_pb2.PartitionData:
        """Returns the next entry of a partition that has not been returned yet."""
        while True:
            for number, data in enumerate(self.seen):
                if (data.topic, data.partition) == (topic, partition):
                    return self.seen.pop(number)
            await self.next()

    async def values(self, count: int, topic: str = "t", partition: int = 0) -> list[bytes]:
        """Returns the values of the next records of a partition, at least `count`."""
        found: list[bytes] = []
        while len(found) < count:
            data = await self.entry(topic, partition)
            assert not data.HasField("error"), data
            found += values_of(data.batches) if data.batches else [record.value for record in data.records]
        return found


def _named(places: Iterable[tuple[str, int]]) -> Sequence[log_pb2.TopicPartition]:
    return [log_pb2.TopicPartition(topic=topic, partition=number) for topic, number in places]


class ProduceStream:
    """A ProduceStream call."""

    def __init__(self, server: Server, channel: grpc.aio.Channel | None = None) -> None:
        stub = log_pb2_grpc.LogStub(channel) if channel is not None else server.log
        self.call = stub.ProduceStream()
        self.answers: dict[int, Sequence[log_pb2.ProduceResult]] = {}
        self.order: list[int] = []
        self.messages = 0

    async def send(self, correlation_id: int, *partitions: log_pb2.ProducePartition, acks: int = ALL) -> None:
        await self.call.write(
            log_pb2.ProduceStreamRequest(correlation_id=correlation_id, partitions=partitions, acks=acks)
        )

    async def read(self) -> bool:
        """Takes in one message; false at the end."""
        response = await self.call.read()
        if response is grpc.aio.EOF:
            return False
        self.messages += 1
        for answer in response.acknowledgements:
            assert answer.correlation_id not in self.answers, "answered twice"
            self.answers[answer.correlation_id] = answer.results
            self.order.append(answer.correlation_id)
        return True

    async def answer(self, correlation_id: int) -> Sequence[log_pb2.ProduceResult]:
        """Returns the results of a request."""
        while correlation_id not in self.answers:
            assert await self.read(), "the stream has ended"
        return self.answers[correlation_id]

    async def end(self) -> None:
        """Ends our side and takes in what is left."""
        await self.call.done_writing()
        while await self.read():
            pass


async def soon(condition: Any) -> None:
    """Waits for something of the server that nothing tells us of; the test's own timeout bounds it."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.001)


__all__ = [name for name in dir() if not name.startswith("_")] + ["batch"]
