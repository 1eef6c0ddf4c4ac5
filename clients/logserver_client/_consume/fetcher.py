"""The consumer's half that lives on the event loop: which partition is subscribed to where, and what answers mean."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Final

from logserver_records.batch import Buffer
from logserverpb.v1 import common_pb2, log_pb2

from logserver_client._backoff import Backoff
from logserver_client._consume.config import ConsumerConfig
from logserver_client._consume.node_subscriber import NodeSubscriber
from logserver_client._consume.partition import PartitionState, Taken
from logserver_client._consume.reader import Arrival, RecordReader
from logserver_client._positions import position_message
from logserver_client._transport.cluster import NO_LEADER, Cluster
from logserver_client._transport.offsets import unknown_partition
from logserver_client._transport.status import error_from_message
from logserver_client.errors import UNKNOWN, LogServerError, request_timed_out
from logserver_client.types import TopicPartition

_log = logging.getLogger("logserver_client")

_OUT_OF_RANGE: Final = "OFFSET_OUT_OF_RANGE"
_UNKNOWN_TOPIC: Final = "UNKNOWN_TOPIC_OR_PARTITION"
_UNKNOWN_GRACE_S: Final = 5.0
"""How long a partition that was there may be unknown before that is believed: a topic has been deleted."""

_NO_NODE: Final = -1


class Fetcher:
    """Keeps the assigned partitions subscribed to, wherever their leaders are, and passes on what comes."""

    def __init__(
        self, config: ConsumerConfig, cluster: Cluster, reader: RecordReader, random: Random, clock: Callable[[], float]
    ) -> None:
        self.config = config
        self.cluster = cluster
        self.states: dict[TopicPartition, PartitionState] = {}
        self.is_in_group = False
        """The partitions are those that a group's coordinator assigns."""
        self._reader = reader
        self._random = random
        self._clock = clock
        self._nodes: dict[int, NodeSubscriber] = {}
        self._generation = 0
        self._backoff = Backoff(config.retry_backoff_ms, config.retry_backoff_max_ms, random)
        self._placing: dict[PartitionState, list[asyncio.Future[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # From the consumer.

    async def assign(self, states: Iterable[PartitionState]) -> None:
        """Reads these partitions too, and returns when the server has taken their positions.

        Raises:
            UnknownTopicOrPartition, OffsetOutOfRange, ConnectionFailed: one can't be read; none of them is then.
        """
        states = list(states)
        try:
            for topic in {state.tp.topic for state in states}:
                leaders = await self.cluster.topic(topic)
                for tp in (state.tp for state in states if state.tp.topic == topic):
                    if not 0 <= tp.partition < leaders.partitions:
                        leaders = await self.cluster.topic(topic, fresh=True)
                    if not 0 <= tp.partition < leaders.partitions:
                        raise unknown_partition(tp, leaders.partitions)
            self.states.update((state.tp, state) for state in states)
            self._place(states)
            await self.placed(states)
        except BaseException:
            for state in states:
                self.unassign(state)
            raise

    def add(self, states: Iterable[PartitionState]) -> None:
        """Reads these partitions too, from the positions they have, as soon as their leaders can be reached."""
        states = list(states)
        self.states.update((state.tp, state) for state in states)
        unknown = {state for state in states if self.cluster.leader(*state.tp) == NO_LEADER}
        self._place(state for state in states if state not in unknown)
        if unknown:
            self._start(self.replace(unknown))

    def stop(self, state: PartitionState, reason: LogServerError) -> None:
        """Stops the flow of a partition, and keeps what is buffered from being handed out; it stays assigned.

        Args:
            reason: for those who wait to hear where its position is.
        """
        state.is_finished = True
        self._leave(state)
        for future in self._placing.pop(state, []):
            if not future.done():
                future.set_exception(reason)

    def restart(self, state: PartitionState) -> None:
        """Lets a stopped partition flow again, from its position; what was buffered has been dropped."""
        state.is_finished = False
        state.rewind()
        self._subscribe_anew(state)

    def forget(self, state: PartitionState) -> None:
        """Ends a stopped partition. What was buffered has been dropped."""
        if self.states.get(state.tp) is state:
            del self.states[state.tp]

    def unassign(self, state: PartitionState) -> None:
        """Stops reading a partition."""
        self._reader.drop(state)
        state.error = None
        self._leave(state)
        if self.states.get(state.tp) is state:
            del self.states[state.tp]

    def finished(self, state: PartitionState) -> None:
        """Stops the flow of a partition that has been read to its end; it stays assigned."""
        self._leave(state)

    def seek(self, state: PartitionState, wanted: common_pb2.Position) -> None:
        """Moves a partition to another position."""
        self._reader.drop(state)
        state.seek(wanted)
        if not state.is_finished:
            self._subscribe_anew(state)

    def pause(self, state: PartitionState) -> None:
        """Stops the flow of a partition. What is buffered is dropped, so that it doesn't hold up the others."""
        if not state.is_paused:
            self._reader.drop(state)
            state.rewind()
            state.is_paused = True
            if state.node_id is not None:
                self._nodes[state.node_id].pause(state)

    def resume(self, state: PartitionState) -> None:
        """Lets a partition flow again from its position."""
        if state.is_paused:
            state.is_paused = False
            state.rewind()
            if not state.is_finished:
                self._subscribe_anew(state)

    async def placed(self, states: Iterable[PartitionState]) -> None:
        """Returns when the server has said where these partitions' positions are.

        Raises:
            LogServerError: a position can't be had, or not within `request_timeout_ms`.
        """
        futures = []
        for state in states:
            if state.error is not None:
                raise state.error.with_traceback(None)
            if not state.is_placed:
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._placing.setdefault(state, []).append(future)
                futures.append(future)
        try:
            async with asyncio.timeout(self.config.request_timeout_s):
                for future in futures:
                    await future
        except TimeoutError:
            raise request_timed_out(
                f"{self.cluster.bootstrap.address} did not say where to read within "
                f"request_timeout_ms={self.config.request_timeout_ms:g}"
            ) from None
        finally:
            for future in futures:
                # Those behind the first that failed have nobody who looks at their error.
                if not future.cancel() and not future.cancelled():
                    future.exception()

    def return_credit(self, node_id: int, size_bytes: int) -> None:
        """Takes in that so many bytes of a node's have left the buffer."""
        node = self._nodes.get(node_id)
        if node is not None:
            node.return_credit(size_bytes)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(node.close() for node in self._nodes.values()))
        for futures in self._placing.values():
            for future in futures:
                future.cancel()

    # From the nodes' subscriptions.

    def next_generation(self) -> int:
        self._generation += 1
        return self._generation

    def take(
        self, node: NodeSubscriber, state: PartitionState | None, data: log_pb2.PartitionData, batches: Buffer
    ) -> int:
        """Takes in an answer about one partition; returns how many of its bytes are kept."""
        if state is None:
            return 0
        match state.take(data, bool(len(batches))):
            case Taken.STALE:
                return 0
            case Taken.PLACED:
                self._taken_place(node, state)
                return 0
            case Taken.FAILED:
                node.forget(state)
                self._partition_failed(state, data.error)
                return 0
            case Taken.DATA:
                if state.is_paused or state.is_finished:
                    return 0
                self._backoff.reset()
                self._reader.add(Arrival(state, node.node_id, batches, data.next_offset))
                return len(batches)
            case Taken.MOVED:
                if not (state.is_paused or state.is_finished):
                    self._reader.add(Arrival(state, node.node_id, moved_to=data.next_offset))
                return 0

    async def replace(self, states: Iterable[PartitionState]) -> None:
        """Looks again who leads these partitions, and subscribes to them there."""
        states = list(states)
        unknown: set[str] = set()
        for topic in {state.tp.topic for state in states}:
            try:
                await self.cluster.topic(topic, fresh=True)
            except LogServerError as error:
                unknown.add(topic)
                _log.info("leaders are not known topic=%s error=%s", topic, error)
                if error.name == _UNKNOWN_TOPIC:
                    gone = [state for state in states if state.tp.topic == topic and self._is_gone(state)]
                    self.failed(gone, error, _NO_NODE)
                    states = [state for state in states if state not in gone]
        states = [state for state in states if self.states.get(state.tp) is state and not state.is_finished]
        for state in states:
            if state.topic_id is not None and state.tp.topic not in unknown:
                state.is_outdated = state.topic_id != self.cluster.topic_id(state.tp.topic)
        self._place(state for state in states if not state.is_outdated)
        # Of another topic's partitions the group's coordinator will speak.
        self._place_later([state for state in states if state.is_outdated and state.tp.topic in unknown])

    def failed(self, states: Iterable[PartitionState], error: LogServerError, node_id: int) -> None:
        """Ends partitions with an error, which the user gets behind what is buffered."""
        for state in states:
            waiting = self._placing.pop(state, [])
            for future in waiting:
                if not future.done():
                    future.set_exception(error)
            if not state.is_placed:
                state.error = error
            self._reader.add(Arrival(state, node_id, error=error))

    def crashed(self, error: BaseException, node_id: int) -> None:
        """Ends everything after a mistake of ours, rather than leaving a consumer that waits for ever."""
        _log.error("the consumer has failed", exc_info=error)
        failure = LogServerError(UNKNOWN, "CLIENT_FAILED", f"the consumer has failed: {error!r}")
        self.failed(list(self.states.values()), failure, node_id)

    def _taken_place(self, node: NodeSubscriber, state: PartitionState) -> None:
        if state.is_resetting:
            state.is_resetting = False
            self._reader.add(Arrival(state, node.node_id, moved_to=state.fetch_offset))
        elif state.position is None:
            state.position = state.fetch_offset
        for future in self._placing.pop(state, []):
            if not future.done():
                future.set_result(None)

    def _partition_failed(self, state: PartitionState, message: common_pb2.Error) -> None:
        error = error_from_message(message)
        if error.name == _OUT_OF_RANGE and self.config.auto_offset_reset != "error":
            _log.info("offset out of range, goes on at %s partition=%s", self.config.auto_offset_reset, state.tp)
            state.reset(position_message(self.config.auto_offset_reset))
            self._place([state])
        elif error.retriable and not (error.name == _UNKNOWN_TOPIC and self._is_gone(state)):
            _log.info("reading is interrupted partition=%s error=%s", state.tp, error)
            state.is_outdated = state.topic_id is not None
            if message.HasField("leader"):
                self.cluster.note_leader(state.tp.topic, state.tp.partition, message.leader)
            self._place_later([state])
        else:
            self.failed([state], error, _NO_NODE)

    def _is_gone(self, state: PartitionState) -> bool:
        """True if the partition has been unknown for so long that it is believed; at once if it never was known.

        In a group it's the coordinator that knows: it takes away the partitions of a topic that is gone.
        """
        if self.is_in_group:
            return False
        if not state.is_placed:
            return True
        if state.unknown_since_s is None:
            state.unknown_since_s = self._clock()
        return self._clock() - state.unknown_since_s > _UNKNOWN_GRACE_S

    def _place(self, states: Iterable[PartitionState]) -> None:
        """Adds partitions to the subscriptions of the nodes that lead them."""
        by_node: dict[int, list[PartitionState]] = {}
        for state in states:
            by_node.setdefault(self.cluster.leader(*state.tp), []).append(state)
        self._place_later(by_node.pop(NO_LEADER, []))
        for node_id, led in by_node.items():
            node = self._nodes.get(node_id)
            if node is None:
                node = self._nodes[node_id] = NodeSubscriber(self, node_id, self._random)
            node.assign(led)

    def _place_later(self, states: list[PartitionState]) -> None:
        if states:
            self._start(self._replace_after(self._backoff.next_delay_s(), states))

    async def _replace_after(self, delay_s: float, states: list[PartitionState]) -> None:
        await asyncio.sleep(delay_s)
        # What the user has moved or left meanwhile goes its own way.
        await self.replace(state for state in states if state.node_id is None)

    def _subscribe_anew(self, state: PartitionState) -> None:
        if state.node_id is not None:
            self._nodes[state.node_id].assign([state])
        else:
            self._place([state])

    def _leave(self, state: PartitionState) -> None:
        if state.node_id is not None:
            self._nodes[state.node_id].unassign(state)

    def _start(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.crashed(error, _NO_NODE)
