"""A broker on a data directory, put together as the daemon does, over different kinds of storage."""

import asyncio
import itertools
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from logserver_records.batch import Buffer
from logserver_segments.committer import Committer, FlushCommitter, LossReason
from logserver_segments.config import LogConfig
from logserver_segments.data_directory import DataDirectory, random_id
from logserver_segments.disk import OsDisk
from logserver_segments.log import Log
from logserver_segments.machine import SystemRandom
from logserver_segments.partition_log import AbortedTransaction, PartitionLog
from logserver_segments.reading import Slice

from logserver.broker import Broker, Partition
from logserver.broker.broker import Node
from logserver.errors import LogServerError
from logserver.metadata import MetadataStore
from logserver.metadata.log_store import LogMetadataStore
from logserver.settings import load_settings
from tests.broker.harness import DelayedCommitter, FakeClock, HeldCommitter, InlineWorkers, values_of

T = TypeVar("T")

KINDS = ("real", "awaiting", "slow")
"""The real storage; one whose reads always have to be awaited; one whose commits take 300 ms, several at a time."""

METADATA = ("__logserver_metadata", 0, "AAAAAAAAAAAAAAAAAAAAAQ")


class AwaitingLog:
    """A `PartitionLog` over another one that never has an answer at hand."""

    def __init__(self, log: Log) -> None:
        self.inner = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def config(self) -> LogConfig:
        return self.inner.config

    @config.setter
    def config(self, config: LogConfig) -> None:
        self.inner.config = config

    def read(self, offset: int, max_bytes: int, committed_only: bool = False) -> Awaitable[Slice]:
        async def read() -> Slice:
            await asyncio.sleep(0)
            found = self.inner.read(offset, max_bytes, committed_only)
            return found if isinstance(found, Slice) else await found

        return read()

    def aborted_transactions(self, start_offset: int, end_offset: int) -> Awaitable[list[AbortedTransaction]]:
        async def aborted_transactions() -> list[AbortedTransaction]:
            await asyncio.sleep(0)
            found = self.inner.aborted_transactions(start_offset, end_offset)
            return found if isinstance(found, list) else await found

        return aborted_transactions()


class AwaitingStorage:
    """A data directory that hands out `AwaitingLog`s."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory

    def __getattr__(self, name: str) -> Any:
        return getattr(self._directory, name)

    def open(self, topic: str, partition: int, topic_id: str, config: LogConfig) -> PartitionLog:
        return AwaitingLog(self._directory.open(topic, partition, topic_id, config))


class BrokerNode:
    """One node's broker; `start` it again after `stop` or `crash`.

    Args:
        kind: of storage, one of KINDS, or "held": commits come when the test says so.
        store: a metadata store that several nodes share; each its own otherwise.
    """

    def __init__(
        self,
        path: Path,
        kind: str = "real",
        *,
        settings: dict[str, str] | None = None,
        disk: OsDisk | None = None,
        node_id: int = 1,
        store: MetadataStore | None = None,
    ) -> None:
        self.path = path
        self.kind = kind
        self.settings = load_settings(command_line={"log.dirs": str(path), **(settings or {})}.items())
        self.clock = FakeClock()
        self.disk = disk or OsDisk()
        self.node_id = node_id
        self._shared_store = store
        self._epochs = itertools.count()
        self.directory: DataDirectory | None = None
        self._broker: Broker | None = None

    @property
    def broker(self) -> Broker:
        assert self._broker is not None
        return self._broker

    async def start(self) -> Broker:
        """Opens the directory and leads everything."""
        loop = asyncio.get_running_loop()
        directory = DataDirectory(
            str(self.path),
            self.node_id,
            disk=self.disk,
            clock=self.clock,
            random=SystemRandom(),
            workers=InlineWorkers(),
        )
        self.directory = directory
        self.committer: Committer
        if self.kind == "slow":
            self.committer = DelayedCommitter()
        elif self.kind == "held":
            self.committer = HeldCommitter()
        else:
            self.committer = FlushCommitter(self.disk, directory.path, loop.call_soon_threadsafe, loop.call_soon)
        directory.start(self.committer)
        self.store = self._shared_store or await self._open_store(directory)
        node = Node(self.node_id, directory.meta.cluster_id)
        storage = AwaitingStorage(directory) if self.kind == "awaiting" else directory
        random = SystemRandom()
        self._broker = Broker(self.settings, node, self.store, storage, self.clock, random, lambda: random_id(random))
        self._broker.start(next(self._epochs))
        directory.opened_all()
        return self._broker

    async def _open_store(self, directory: DataDirectory) -> LogMetadataStore:
        log = directory.open(*METADATA, LogConfig(compact=True, delete=False))
        store = LogMetadataStore(log, 0, self.clock)
        await store.load()
        return store

    async def stop(self) -> None:
        """Stops cleanly."""
        if self._broker is not None:
            await self._broker.stop()
            self._broker = None
        directory, self.directory = self.directory, None
        if directory is not None:
            if isinstance(self.committer, FlushCommitter):
                self.committer.close()
                await asyncio.sleep(0)
            directory.close()

    async def crash(self) -> None:
        """Ends as SIGKILL would."""
        broker, self._broker = self._broker, None
        if broker is not None:
            broker.abandon()
        directory, self.directory = self.directory, None
        assert directory is not None
        if isinstance(self.committer, FlushCommitter):
            self.committer.close()
        directory.abandon()

    async def topic(self, name: str = "t", partitions: int = 1, **settings: str) -> Partition:
        """Creates a topic and returns its first partition; settings with underscores for dots."""
        dotted = {key.replace("_", "."): value for key, value in settings.items()}
        creating = asyncio.ensure_future(self.broker.create_topic(name, partitions, dotted))
        while not creating.done():
            if isinstance(self.committer, HeldCommitter):
                self.committer.commit()
            await asyncio.sleep(0)
        await creating
        return self.broker.partition(name, 0)

    async def committing(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs something to its end, with every commit that it needs; over storage whose commits are held."""
        assert isinstance(self.committer, HeldCommitter)
        task = asyncio.ensure_future(coroutine)
        while not task.done():
            self.committer.commit()
            await asyncio.sleep(0)
        return await task

    def lose(self, partition: Partition, reason: LossReason, message: str) -> None:
        """Reports a partition's log as lost, as a committer does."""
        log: Any = partition.log
        assert log is not None
        log = getattr(log, "inner", log)
        self.committer.discard(log)
        from logserver_segments.committer import Loss

        log.lost(Loss(reason, message))


async def committed(partition: Partition, last_offset: int) -> None:
    """Waits until an offset is durable; raises the error that says it never will be."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answer(error: LogServerError | None) -> None:
        assert not done.done(), "answered twice"
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    partition.when_committed(last_offset, answer)
    await done


async def store(partition: Partition, payload: bytes) -> int:
    """Appends a payload and waits until it is durable; returns its base offset."""
    appended = partition.append(payload)
    await committed(partition, appended.last_offset)
    return appended.base_offset


async def read(partition: Partition, offset: int = 0, max_bytes: int = 1 << 20) -> Slice:
    """Reads, whether the answer is at hand or not."""
    found = partition.read(offset, max_bytes)
    return found if isinstance(found, Slice) else await found


async def read_all(partition: Partition) -> list[bytes]:
    """Returns the values of all records."""
    values: list[bytes] = []
    offset = partition.log_start_offset
    while offset < partition.high_watermark:
        found = await read(partition, offset)
        assert found.next_offset > offset
        values += values_of(found.data)
        offset = found.next_offset
    return values


def copy(data: Buffer) -> bytes:
    return bytes(data)
