"""Writing over gRPC's ProduceStream: several requests under way on one stream, answered as they are done."""

import asyncio
from random import Random
from typing import Final

from logserverpb.v1 import log_pb2

from logserver.simulation.clients.grpc import CallFailed, GrpcClient
from logserver.simulation.clients.kafka import Lost
from logserver.simulation.clients.streams import GrpcStream
from logserver.simulation.world import World

_PATIENCE_S: Final = 8.0


class ProduceStream:
    """One stream at a time, which is made anew when it is lost."""

    def __init__(self, world: World, random: Random) -> None:
        self._network = world.network
        self._random = random
        self._client = GrpcClient(world.node, random)
        self._stream: GrpcStream | None = None
        self._next_id = 0
        self._waiting: dict[int, asyncio.Future[log_pb2.ProduceResult]] = {}
        # Requests go out in the order in which they were made, also those that wait for the stream.
        self._sending = asyncio.Lock()
        self._receiving: asyncio.Task[None] | None = None

    async def send(self, part: log_pb2.ProducePartition, transactional_id: str | None) -> log_pb2.ProduceResult:
        """Sends a batch; returns what became of it.

        Raises:
            Lost: there was no answer.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                async with self._sending:
                    stream = await self._opened()
                    self._next_id += 1
                    waiter: asyncio.Future[log_pb2.ProduceResult] = asyncio.get_running_loop().create_future()
                    self._waiting[self._next_id] = waiter
                    stream.send(
                        log_pb2.ProduceStreamRequest(
                            correlation_id=self._next_id,
                            partitions=[part],
                            acks=log_pb2.ACKS_ALL,
                            transactional_id=transactional_id,
                        )
                    )
                return await waiter
        except TimeoutError:
            self.close()
            raise Lost("no answer in time") from None

    async def _opened(self) -> GrpcStream:
        stream = self._stream
        if stream is None or stream.is_over:
            self._fail()
            stream = GrpcStream(self._network, self._random, log_pb2.ProduceStreamResponse)
            await stream.open(self._client, "/logserver.v1.Log/ProduceStream")
            self._stream = stream
            self._receiving = asyncio.ensure_future(self._receive(stream))
        return stream

    async def _receive(self, stream: GrpcStream) -> None:
        try:
            while (message := await stream.receive()) is not None:
                for answer in message.acknowledgements:
                    waiter = self._waiting.pop(answer.correlation_id, None)
                    if waiter is not None and not waiter.done():
                        (result,) = answer.results
                        waiter.set_result(result)
        except (Lost, CallFailed):
            # As at the end: whoever still waits learns that nothing comes.
            pass
        if self._stream is stream:
            self._stream = None
            self._fail()

    def _fail(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            if not waiter.done():
                waiter.set_exception(Lost("the stream was lost"))

    def close(self) -> None:
        """Ends the stream, whatever is under way."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()
        self._fail()
