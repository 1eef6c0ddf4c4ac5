"""From sealed batches to the streams of the nodes that lead their partitions."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING, Any, Final

from logserverpb.v1 import common_pb2, log_pb2

from logserver_client._backoff import Backoff
from logserver_client._produce.accumulator import Accumulator, PartitionQueue
from logserver_client._produce.batch import Batch
from logserver_client._produce.config import ProducerConfig
from logserver_client._produce.flow import Flow, Next
from logserver_client._produce.identity import NO_IDENTITY, Identity
from logserver_client._produce.node_sender import NodeSender
from logserver_client._transport.cluster import NO_LEADER, Cluster
from logserver_client.errors import UNKNOWN, LogServerError, transaction_failed

if TYPE_CHECKING:
    from logserver_client._produce.transactions import Transactions

_log = logging.getLogger("logserver_client")

_STALE_LEADER: Final = frozenset(
    {
        "NOT_LEADER_OR_FOLLOWER",
        "FENCED_LEADER_EPOCH",
        "UNKNOWN_LEADER_EPOCH",
        "LEADER_NOT_AVAILABLE",
        "UNKNOWN_TOPIC_OR_PARTITION",
        "KAFKA_STORAGE_ERROR",
    }
)
_TICK_LEAST_S: Final = 0.02
_TICK_MOST_S: Final = 1.0


class Sender:
    """The producer's half that lives on the event loop."""

    def __init__(
        self,
        config: ProducerConfig,
        cluster: Cluster,
        accumulator: Accumulator[Any],
        random: Random,
        clock: Callable[[], float],
    ) -> None:
        self.config = config
        self.cluster = cluster
        self.clock = clock
        self.identity = NO_IDENTITY
        self.transactions: Transactions | None = None
        """Of a producer with a transactional id: it gives the identity."""
        self._accumulator = accumulator
        self._random = random
        self._loop = asyncio.get_running_loop()
        self._flows: dict[PartitionQueue, Flow] = {}
        self._nodes: dict[int, NodeSender] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refreshing: set[str] = set()
        self._without_identity: list[Flow] = []
        self._is_obtaining = False
        self._metadata_backoff = Backoff(config.retry_backoff_ms, config.retry_backoff_max_ms, random)
        self._linger_timer: asyncio.TimerHandle | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._tick_s = min(max(config.delivery_timeout_ms / 20_000, _TICK_LEAST_S), _TICK_MOST_S)
        self._flushes: list[tuple[set[Batch], asyncio.Future[None]]] = []
        self._crash: BaseException | None = None

    # From the accumulator.

    def look(self) -> None:
        """Takes over what has been sealed, seals what is due, and sets the timers that are needed."""
        accumulator = self._accumulator
        accumulator.begin_look()
        deadline_s = accumulator.seal_lingered(self.clock())
        while (queue := accumulator.take_ready()) is not None:
            self.offer(self._flow(queue))
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None
        if deadline_s is not None:
            self._linger_timer = self._loop.call_later(max(deadline_s - self.clock(), 0.0), self.look)
        if self._tick_timer is None:
            self._tick_timer = self._loop.call_later(self._tick_s, self._tick)

    async def flush(self) -> None:
        """Sends everything that is buffered now and returns when all of it has ended."""
        self._accumulator.seal_all()
        pending = set(self._accumulator.unfinished)
        self.look()
        if pending:
            ended: asyncio.Future[None] = self._loop.create_future()
            entry = (pending, ended)
            self._flushes.append(entry)
            try:
                await ended
            finally:
                self._flushes.remove(entry)

    def fail_all(self, error: LogServerError) -> None:
        """Fails whatever has not ended."""
        self._accumulator.seal_all()
        while (queue := self._accumulator.take_ready()) is not None:
            self._flow(queue)
        for flow in self._flows.values():
            flow.fail_all(error)

    async def close(self) -> None:
        for timer in (self._linger_timer, self._tick_timer):
            if timer is not None:
                timer.cancel()
        await asyncio.gather(*(node.close() for node in self._nodes.values()))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # From the nodes' senders.

    def offer(self, flow: Flow) -> None:
        """Lists a partition with the sender of the node that leads it."""
        if flow.is_listed or not flow.has_work():
            return
        if self._crash is not None:
            flow.fail_all(LogServerError(UNKNOWN, "CLIENT_FAILED", f"the producer has failed: {self._crash!r}"))
            return
        if not flow.unanswered or flow.node_id is None:
            # What is under way to one node is answered, or lost, before anything goes to another.
            leader = self.cluster.leader(flow.queue.topic, flow.queue.partition)
            if leader == NO_LEADER:
                self.refresh_topic(flow.queue.topic)
                self._later(flow, self._metadata_backoff.next_delay_s())
                return
            flow.node_id = leader
        node = self._nodes.get(flow.node_id)
        if node is None:
            node = self._nodes[flow.node_id] = NodeSender(self, flow.node_id, self._random)
        node.add(flow)

    def park(self, flow: Flow, reason: Next) -> None:
        """Keeps a partition that can't send until its time, or until there is an identity."""
        match reason:
            case Next.LATER:
                self._later(flow, max(flow.not_before_s - self.clock(), 0.0))
            case Next.IDENTITY if self.transactions is not None:
                # Another identity comes with the next transaction.
                flow.fail_all(
                    transaction_failed(
                        f"batches for {flow.queue.topic}-{flow.queue.partition} are missing, as records that were sent "
                        "could not be stored; abort the transaction"
                    )
                )
            case Next.IDENTITY:
                flow.is_listed = True
                self._without_identity.append(flow)
                if not self._is_obtaining:
                    self._is_obtaining = True
                    self._start(self._obtain_identity())
            case Next.NOTHING:
                pass

    def reroute(self, flows: Iterable[Flow]) -> None:
        """Looks again who leads these partitions; their node can't be reached."""
        for flow in flows:
            self.refresh_topic(flow.queue.topic)
            self.offer(flow)

    def partition_failed(self, flow: Flow, batch: Batch, error: LogServerError, message: common_pb2.Error) -> None:
        """Takes in what an error says about the partition's leader, or about the batch's transaction."""
        # What was given up has failed its transaction already, and the open one may be another.
        if self.transactions is not None and not batch.done:
            self.transactions.partition_failed(error)
        if error.name in _STALE_LEADER:
            if message.HasField("leader"):
                self.cluster.note_leader(flow.queue.topic, flow.queue.partition, message.leader)
            else:
                self.refresh_topic(flow.queue.topic)

    def batch_ended(self, batch: Batch) -> None:
        """Gives a batch's memory back and tells those who wait for all to end."""
        accumulator = self._accumulator
        if self.transactions is not None:
            self.transactions.batch_ended(batch)
        for _, part in batch.parts:
            accumulator.unfinished[part] = None
        accumulator.ended(batch)
        for pending, ended in self._flushes:
            if batch in pending:
                pending.discard(batch)
                pending.update(part for _, part in batch.parts)
                if not pending and not ended.done():
                    ended.set_result(None)

    def crashed(self, error: BaseException) -> None:
        """Fails everything after a mistake of ours, rather than leaving futures that never end."""
        _log.error("the producer has failed", exc_info=error)
        self._crash = error
        self.fail_all(LogServerError(UNKNOWN, "CLIENT_FAILED", f"the producer has failed: {error!r}"))

    def refresh_topic(self, topic: str) -> None:
        """Asks in the background who leads the topic's partitions."""
        if topic not in self._refreshing:
            self._refreshing.add(topic)
            self._start(self._refresh_topic(topic))

    def _flow(self, queue: PartitionQueue) -> Flow:
        flow = self._flows.get(queue)
        if flow is None:
            config = self.config
            flow = self._flows[queue] = Flow(
                queue,
                is_idempotent=config.idempotent,
                in_flight_most=config.max_in_flight,
                compression=config.compression,
                compression_level=config.compression_level,
                backoff=Backoff(config.retry_backoff_ms, config.retry_backoff_max_ms, self._random),
                ended=self.batch_ended,
            )
        return flow

    def _later(self, flow: Flow, delay_s: float) -> None:
        flow.is_listed = True
        self._loop.call_later(delay_s, self._offer_again, flow)

    def _offer_again(self, flow: Flow) -> None:
        flow.is_listed = False
        self.offer(flow)

    def _tick(self) -> None:
        self._tick_timer = None
        now_s = self.clock()
        for flow in self._flows.values():
            if flow.has_work():
                flow.expire(now_s)
                self.offer(flow)
        for node in self._nodes.values():
            node.check_timeouts(now_s)
        for topic in self._accumulator.topics:
            if self.cluster.is_old(topic):
                self.refresh_topic(topic)
        if self._accumulator.unfinished:
            self._tick_timer = self._loop.call_later(self._tick_s, self._tick)

    async def _refresh_topic(self, topic: str) -> None:
        try:
            leaders = await self.cluster.topic(topic, fresh=True)
            self._accumulator.add_topic(topic, leaders.partitions)
            self._metadata_backoff.reset()
        except LogServerError as error:
            _log.info("leaders are not known topic=%s error=%s", topic, error)
            await asyncio.sleep(self._metadata_backoff.next_delay_s())
        finally:
            self._refreshing.discard(topic)

    async def _obtain_identity(self) -> None:
        """Asks for a producer id, or the next epoch of ours, until there is one or the server refuses."""
        backoff = Backoff(self.config.retry_backoff_ms, self.config.retry_backoff_max_ms, self._random)
        previous = self.identity
        try:
            while True:
                try:
                    self.identity = await self._ask_identity(previous)
                    break
                except LogServerError as error:
                    if error.retriable:
                        await asyncio.sleep(backoff.next_delay_s())
                    elif previous != NO_IDENTITY:
                        # The server doesn't know our id any more: a new one serves as well.
                        previous = NO_IDENTITY
                    else:
                        for flow in self._without_identity:
                            flow.fail_all(error)
                        break
        finally:
            self._is_obtaining = False
            waiting, self._without_identity = self._without_identity, []
            for flow in waiting:
                self._offer_again(flow)

    async def _ask_identity(self, previous: Identity) -> Identity:
        request = log_pb2.InitProducerIdRequest()
        if previous != NO_IDENTITY:
            request.producer_id, request.producer_epoch = previous
        answer = await self.cluster.ask(lambda connection: connection.log.InitProducerId, request)
        _log.debug("identity producer_id=%d producer_epoch=%d", answer.producer_id, answer.producer_epoch)
        return Identity(answer.producer_id, answer.producer_epoch)

    def _start(self, coroutine: Any) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.crashed(error)
