"""Who looks after queues: declares them, sends to them, sends dead letters back, and works off what is left at the
end."""

import asyncio
from typing import Any, Final

from logserverpb.v1 import common_pb2, queues_pb2

from logserver.errors import ErrorCode
from logserver.simulation.clients.grpc import CallFailed, GrpcClient
from logserver.simulation.clients.kafka import INCREMENTAL_ALTER_CONFIGS, KafkaClient, Lost
from logserver.simulation.clients.queue_work import Said
from logserver.simulation.clients.receiver import Receiver
from logserver.simulation.clients.streams import GrpcStream
from logserver.simulation.deliveries import Outcome
from logserver.simulation.history import History
from logserver.simulation.ledger import Place, Sent
from logserver.simulation.world import World

_QUEUES: Final = "/logserver.v1.Queues/"
_GROUP: Final = 32
_MOST_RECORDS: Final = 4
_MOST_LEFT_S: Final = 60.0
_AT_A_TIME: Final = 500


class QueueKeeper:
    """An administrator of queues."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ledger = world.ledger
        self._random = world.random("queue keeper")
        self._client = GrpcClient(world.node, self._random)

    async def declare(self, history: History, policy: queues_pb2.QueuePolicy) -> None:
        """Declares a queue, again until it is known to be there."""
        name = history.terms.name
        request = queues_pb2.DeclareQueueRequest(name=name, policy=policy, partitions=2)
        while True:
            try:
                await self._client.call(_QUEUES + "DeclareQueue", request, queues_pb2.DeclareQueueResponse)
                break
            except (Lost, CallFailed):
                await self._world.pause(self._random, 0.5)
        history.declared_at = self._ledger.promised("queue")
        self._ledger.note("queues", f"{name} is declared", name)

    async def begin_earliest(self, group: str) -> None:
        """Lets a share group begin with the first record."""
        client = KafkaClient(self._world.network, "queues")
        config = {"name": "share.auto.offset.reset", "config_operation": 0, "value": "earliest"}
        resource = {"resource_type": _GROUP, "resource_name": group, "configs": [config]}
        while True:
            try:
                answer = await client.call(
                    INCREMENTAL_ALTER_CONFIGS, 1, {"resources": [resource], "validate_only": False}
                )
            except Lost:
                await self._world.pause(self._random, 0.5)
                continue
            assert answer.responses[0].error_code == 0, answer
            client.close()
            return

    async def run(self, history: History) -> None:
        """Sends dead letters on now and then until the run is over."""
        while not self._world.is_over:
            await self._world.pause(self._random, 6)
            try:
                await self._redrive(history)
            except (Lost, CallFailed) as error:
                self._ledger.note("queues", f"sending back: {error}", history.terms.name)

    async def _redrive(self, history: History) -> None:
        terms, random = history.terms, self._random
        self._ledger.note("queues", f"sends back what is in {terms.name}", terms.name)
        history.unanswered += 1
        stream = GrpcStream(self._world.network, random, queues_pb2.RedriveProgress)
        request = queues_pb2.RedriveRequest(
            queue=terms.name, destination=terms.destination, max_messages=random.choice((0, 3))
        )
        await stream.open(self._client, _QUEUES + "Redrive", request)
        until_s = self._ledger.now() + random.uniform(0.2, 8)
        while (progress := await stream.receive()) is not None:
            if progress.done:
                history.sent_back.append((progress.moved, self._ledger.promised("messages sent back")))
                self._ledger.note("queues", f"{progress.moved} were sent back", terms.name)
            elif self._ledger.now() > until_s:
                self._ledger.note("queues", "gives up sending back", terms.name)
                stream.cancel()


class QueueSender:
    """Sends messages to the only partition of a queue, once each."""

    def __init__(self, world: World, name: str, place: Place) -> None:
        self._world = world
        self._ledger = world.ledger
        self._name = name
        self._place = place
        self._random = world.random(name)
        self._client = GrpcClient(world.node, self._random)
        self._count = 0

    async def run(self) -> None:
        """Sends until the run is over."""
        while not self._world.is_over:
            try:
                await self._send()
            except Lost:
                await self._world.pause(self._random, 0.5)
            except CallFailed as error:
                self._ledger.note(self._name, f"was refused: {error}", self._place)
            await self._world.pause(self._random, 0.6)

    async def _send(self) -> None:
        ledger, sent = self._ledger, []
        for _ in range(self._random.randint(1, _MOST_RECORDS)):
            self._count += 1
            value = f"{self._name}:{self._count}"
            at = ledger.moment()
            sent.append(ledger.send(Sent(value, self._name, self._count, self._place, None, at, is_idempotent=False)))
        ledger.note(self._name, f"sends {sent[0].value}+{len(sent) - 1}", self._place)
        messages = [common_pb2.Record(value=one.value.encode()) for one in sent]
        request = queues_pb2.SendRequest(queue=self._place[0], messages=common_pb2.RecordList(records=messages))
        answer: Any = await self._client.call(_QUEUES + "Send", request, queues_pb2.SendResponse)
        for one, offset in zip(sent, answer.offsets, strict=True):
            ledger.acked(one, offset)
        ledger.note(self._name, f"{sent[0].value} is at {answer.offsets[0]}", self._place)


class Drain:
    """Works off what is left in a queue when all is well again."""

    def __init__(self, world: World, history: History) -> None:
        self._world = world
        self._history = history
        self._worker = Receiver(world, history, f"last of {history.terms.name}")
        self._client = GrpcClient(world.node, world.random("drain"))

    async def run(self) -> None:
        """Acknowledges everything that comes, until all is settled.

        Raises:
            Violation: something never comes, or never goes.
        """
        history, world = self._history, self._world
        place = (history.terms.topic, 0)
        end_s = world.elapsed_s() + _MOST_LEFT_S
        while world.elapsed_s() < end_s:
            try:
                if await self._work():
                    return
            except (Lost, CallFailed) as error:
                world.ledger.note("drain", f"{error}", history.terms.name)
            await asyncio.sleep(0.2)
        description = await self._describe()
        raise history.broken(
            "stuck message", f"all is well, and after {_MOST_LEFT_S} s there is left: {description}", place
        )

    async def _work(self) -> bool:
        """Takes and settles some; returns whether nothing is left."""
        deliveries, incarnation = await self._worker.receive(_AT_A_TIME, 0)
        said = [Said([delivery], Outcome.ACKNOWLEDGE) for delivery in deliveries]
        if not self._history.terms.at_most_once:
            await self._worker.settle(said, incarnation, is_latest=False)
        if deliveries:
            return False
        queue = await self._describe()
        return all(
            found.start_offset == found.end_offset
            and found.error.code == ErrorCode.none.value
            and found.end_offset >= 0
            for found in queue.partitions
        )

    async def _describe(self) -> Any:
        request = queues_pb2.DescribeQueueRequest(name=self._history.terms.name)
        answer: Any = await self._client.call(_QUEUES + "DescribeQueue", request, queues_pb2.DescribeQueueResponse)
        return answer.queue
