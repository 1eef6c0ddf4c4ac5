"""Readers over gRPC's Subscribe: the server sends what there is of several partitions, as far as it has credit."""

import asyncio
from typing import Final

from logserver_records.batch import whole_batches
from logserverpb.v1 import common_pb2, log_pb2

from logserver.errors import ErrorCode
from logserver.simulation.clients.grpc import CallFailed, GrpcClient
from logserver.simulation.clients.kafka import Lost
from logserver.simulation.clients.reader import begin_reading, start_behind_deletion, take_batch
from logserver.simulation.clients.streams import GrpcStream
from logserver.simulation.ledger import Place, Reading, Violation
from logserver.simulation.world import World

_CREDIT_BYTES: Final = 4000
_PATIENCE_S: Final = 1.0
"""So long it waits for news before it looks whether there is something else to do."""


class Subscriber:
    """Reads some partitions; now and then goes elsewhere in one, or begins a new subscription."""

    def __init__(self, world: World, name: str, where: list[Place], *, is_committed_only: bool) -> None:
        self._world = world
        self._ledger = world.ledger
        self._name = name
        self._is_committed_only = is_committed_only
        self._random = world.random(name)
        self._client = GrpcClient(world.node, self._random)
        self._readings = {place: self._begin(place, 0) for place in where}
        self._generation = 0
        # Of each partition that is assigned; what is of an older one was sent before the server knew better.
        self._assigned: dict[Place, int] = {}
        self._stream: GrpcStream

    def _begin(self, place: Place, offset: int) -> Reading:
        return begin_reading(self._ledger, self._name, place, offset, is_committed_only=self._is_committed_only)

    async def run(self) -> None:
        """Reads until the run is over."""
        while not self._world.is_over:
            stream = GrpcStream(self._world.network, self._random, log_pb2.SubscribeResponse)
            try:
                await stream.open(self._client, "/logserver.v1.Log/Subscribe")
                try:
                    await self._subscribe(stream)
                finally:
                    stream.cancel()
            except (Lost, CallFailed):
                await self._world.pause(self._random, 1)

    async def _subscribe(self, stream: GrpcStream) -> None:
        self._stream, random = stream, self._random
        self._assigned.clear()
        self._generation = 0
        isolation = (
            log_pb2.ISOLATION_LEVEL_READ_COMMITTED
            if self._is_committed_only
            else log_pb2.ISOLATION_LEVEL_READ_UNCOMMITTED
        )
        options = log_pb2.SubscribeOptions(max_bytes=random.choice((0, 500, 3000)), isolation_level=isolation)
        stream.send(log_pb2.SubscribeRequest(options=options))
        self._give_credit(_CREDIT_BYTES)
        while not self._world.is_over:
            missing = [place for place in self._readings if place not in self._assigned]
            if missing:
                self._assign(missing, is_seek=False)
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    answer = await stream.receive()
            except TimeoutError:
                # A partition may be offline; then it is asked for again.
                answer = log_pb2.SubscribeResponse()
            if answer is None:
                return
            self._give_credit(sum(self._take(part) for part in answer.partitions))
            chance = random.random()
            if chance < 0.03:
                self._seek(random.choice(sorted(self._readings)))
            elif chance < 0.05:
                return

    def _give_credit(self, size: int) -> None:
        if size:
            self._stream.send(log_pb2.SubscribeRequest(credit=log_pb2.Credit(bytes=size)))

    def _assign(self, places: list[Place], *, is_seek: bool) -> None:
        self._generation += 1
        command = log_pb2.Assign(
            generation=self._generation,
            partitions=[
                log_pb2.AssignedPartition(
                    topic=place[0],
                    partition=place[1],
                    position=common_pb2.Position(offset=self._readings[place].position),
                )
                for place in places
            ],
        )
        self._assigned |= dict.fromkeys(places, self._generation)
        request = log_pb2.SubscribeRequest(seek=command) if is_seek else log_pb2.SubscribeRequest(assign=command)
        self._stream.send(request)

    def _seek(self, place: Place) -> None:
        # Also inside of a batch.
        known = self._ledger.by_offset.get(place, {})
        self._readings[place] = self._begin(place, self._random.choice([0, *known]))
        if place in self._assigned:
            self._assign([place], is_seek=True)

    def _take(self, part: log_pb2.PartitionData) -> int:
        """Takes up what came of a partition; returns the bytes of records."""
        place = part.topic, part.partition
        size = len(part.batches)
        if part.generation != self._assigned.get(place):
            return size
        reading = self._readings[place]
        if part.HasField("error"):
            del self._assigned[place]
            if part.error.code == ErrorCode.offset_out_of_range.value:
                self._readings[place] = start_behind_deletion(self._ledger, reading)
            return size
        for position, header in whole_batches(part.batches):
            take_batch(self._ledger, reading, part.batches, position, header)
            reading.position = header.last_offset + 1
        if part.next_offset < reading.position:
            raise Violation(
                "non-monotonic poll",
                f"{self._name} has {place} up to {reading.position}, and is told to go on at {part.next_offset}",
                place,
            )
        if size:
            self._ledger.note(self._name, f"has {place} up to {part.next_offset}", place)
        reading.position = part.next_offset
        return size
