"""One subscription to one node: commands out, data of the assigned partitions in, within the credit given."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING, Any

from logserverpb.v1 import log_pb2

from logserver_client._backoff import Backoff
from logserver_client._consume.config import ISOLATION_LEVELS
from logserver_client._consume.partition import PartitionState
from logserver_client._consume.wire import open_subscription
from logserver_client._transport.stream import run_stream
from logserver_client.errors import LogServerError
from logserver_client.types import TopicPartition

if TYPE_CHECKING:
    from logserver_client._consume.fetcher import Fetcher

_log = logging.getLogger("logserver_client")


class NodeSubscriber:
    """Reads the partitions that one node leads, over one stream at a time.

    After a lost stream a new one is assigned every partition at its fetch offset, so nothing is missed or comes twice,
    and gets the credit that isn't taken up by what is still buffered.
    """

    def __init__(self, fetcher: "Fetcher", node_id: int, random: Random) -> None:
        config = fetcher.config
        self.node_id = node_id
        self._fetcher = fetcher
        self._buffer_bytes = config.buffer_bytes
        self._options = log_pb2.SubscribeOptions(isolation_level=ISOLATION_LEVELS[config.isolation_level])
        self._buffered_bytes = 0
        self._states: dict[TopicPartition, PartitionState] = {}
        self._commands: deque[log_pb2.SubscribeRequest] = deque()
        self._backoff = Backoff(config.retry_backoff_ms, config.retry_backoff_max_ms, random)
        self._news = asyncio.Event()
        self._is_open = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"subscription to node {node_id}")
        self._task.add_done_callback(self._ended)

    def assign(self, states: Iterable[PartitionState]) -> None:
        """Takes partitions in, or to another position, under a new generation."""
        states = list(states)
        for state in states:
            self._states[state.tp] = state
            state.node_id = self.node_id
        if self._is_open:
            self._commands.extend(self._assignment(states))
        self._news.set()

    def unassign(self, state: PartitionState) -> None:
        """Leaves a partition out from here on."""
        if self._states.pop(state.tp, None) is not None:
            state.node_id = None
            self._command(log_pb2.SubscribeRequest(unassign=log_pb2.Unassign(partitions=[_named(state)])))

    def forget(self, state: PartitionState) -> None:
        """Leaves out a partition whose subscription the server has ended."""
        if self._states.pop(state.tp, None) is not None:
            state.node_id = None

    def pause(self, state: PartitionState) -> None:
        """Asks for no more data of a partition until it is assigned again."""
        self._command(log_pb2.SubscribeRequest(pause=log_pb2.PartitionSet(partitions=[_named(state)])))

    def return_credit(self, size_bytes: int) -> None:
        """Allows the server to send so much more, because so much has left the buffer."""
        self._buffered_bytes -= size_bytes
        self._command(log_pb2.SubscribeRequest(credit=log_pb2.Credit(bytes=size_bytes)))

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    def _command(self, command: log_pb2.SubscribeRequest) -> None:
        if self._is_open:
            self._commands.append(command)
            self._news.set()

    async def _run(self) -> None:
        while True:
            if not self._states:
                self._news.clear()
                await self._news.wait()
                continue
            try:
                connection = await self._fetcher.cluster.connection(self.node_id)
                if self._backoff.failures:
                    await self._fetcher.cluster.probe(connection)
            except LogServerError as error:
                _log.info("node %d can't be reached error=%s", self.node_id, error)
                await asyncio.sleep(self._backoff.next_delay_s())
                await self._fetcher.replace(self._release_all())
                continue
            call = open_subscription(connection.channel)
            self._open()
            try:
                reason = await run_stream(call, connection.address, self._write(call), self._read(call))
            finally:
                self._is_open = False
            _log.info("subscription ended node=%d partitions=%d reason=%s", self.node_id, len(self._states), reason)
            if not reason.retriable:
                self._fetcher.failed(self._release_all(), reason, self.node_id)
                continue
            # A stream that worked is opened again at once, one that broke as soon as it was opened is not.
            delay_s = self._backoff.next_delay_s() if self._backoff.failures else 0.0
            self._backoff.failures = max(self._backoff.failures, 1)
            await asyncio.sleep(delay_s)

    def _open(self) -> None:
        self._commands.clear()
        self._commands.append(log_pb2.SubscribeRequest(options=self._options))
        self._commands.extend(self._assignment(self._states.values()))
        credit = self._buffer_bytes - self._buffered_bytes
        if credit > 0:
            self._commands.append(log_pb2.SubscribeRequest(credit=log_pb2.Credit(bytes=credit)))
        self._is_open = True

    def _assignment(self, states: Iterable[PartitionState]) -> list[log_pb2.SubscribeRequest]:
        generation = self._fetcher.next_generation()
        assign = log_pb2.Assign(generation=generation)
        paused = []
        for state in states:
            state.generation = generation
            assign.partitions.add(topic=state.tp.topic, partition=state.tp.partition, position=state.where())
            if state.is_paused:
                paused.append(_named(state))
        commands = [log_pb2.SubscribeRequest(assign=assign)]
        if paused:
            commands.append(log_pb2.SubscribeRequest(pause=log_pb2.PartitionSet(partitions=paused)))
        return commands

    async def _write(self, call: Any) -> None:
        while True:
            while self._commands:
                await call.write(self._commands.popleft())
            self._news.clear()
            await self._news.wait()

    async def _read(self, call: Any) -> None:
        async for response in call:
            self._backoff.reset()
            for data, batches in response:
                tp = TopicPartition(data.topic, data.partition)
                kept_bytes = self._fetcher.take(self, self._states.get(tp), data, batches)
                size_bytes = len(batches)
                self._buffered_bytes += size_bytes
                if kept_bytes < size_bytes:
                    self.return_credit(size_bytes - kept_bytes)

    def _release_all(self) -> list[PartitionState]:
        states = list(self._states.values())
        self._states.clear()
        for state in states:
            state.node_id = None
        return states

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fetcher.crashed(error, self.node_id)


def _named(state: PartitionState) -> log_pb2.TopicPartition:
    return log_pb2.TopicPartition(topic=state.tp.topic, partition=state.tp.partition)
