"""Calls with streams without gRPC: messages come in order and within limits, and each side learns of the end."""

import asyncio
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc.aio import EOF

from logserver.simulation.clients.grpc import CallFailed
from logserver.simulation.clients.kafka import Lost
from logserver.simulation.clients.streams import GrpcStream
from logserver.simulation.loop import Process, SimulatedLoop
from logserver.simulation.network import Network, Weather


class Server:
    """A method that answers each message with itself, in a process."""

    def __init__(self, loop: SimulatedLoop, *, fails: bool = False) -> None:
        self.process = Process(loop, "server")
        self.written = 0
        self.is_cancelled = False
        self._fails = fails
        self.handler = SimpleNamespace(
            request_deserializer=StringValue.FromString,
            response_serializer=lambda message: message.SerializeToString(),
            stream_stream=self._echo,
        )

    async def reach(self, method: str) -> tuple[Any, Process]:
        return self.handler, self.process

    async def _echo(self, request: object, context: Any) -> None:
        try:
            while (message := await context.read()) is not EOF:
                if self._fails:
                    await context.abort(SimpleNamespace(name="INTERNAL"), "broken")
                await context.write(message)
                self.written += 1
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise


async def opened(loop: SimulatedLoop, server: Server, weather: Weather | None = None) -> GrpcStream:
    network = Network(loop, Random(1))
    network.weather = weather or Weather()
    stream = GrpcStream(network, Random(2), StringValue)
    await stream.open(cast(Any, server), "/s/Echo")
    return stream


def send(stream: GrpcStream, count: int) -> None:
    for number in range(count):
        stream.send(StringValue(value=str(number)))


def test_messages_come_in_order_and_then_the_end() -> None:
    async def run() -> None:
        stream = await opened(loop, Server(loop))
        send(stream, 20)
        stream.end()
        got = []
        while (message := await stream.receive()) is not None:
            got.append(message.value)
        assert got == [str(number) for number in range(20)]

    loop = SimulatedLoop()
    loop.run(run())


def test_the_server_waits_for_a_client_that_does_not_read() -> None:
    async def run() -> None:
        server = Server(loop)
        stream = await opened(loop, server)
        send(stream, 20)
        await asyncio.sleep(10)
        assert 0 < server.written < 10
        for _ in range(20):
            await stream.receive()
        assert server.written == 20

    loop = SimulatedLoop()
    loop.run(run())


def test_each_side_learns_of_the_end() -> None:
    async def run() -> None:
        failing = await opened(loop, Server(loop, fails=True))
        send(failing, 1)
        with pytest.raises(CallFailed, match="broken"):
            await failing.receive()

        left = Server(loop)
        (await opened(loop, left)).cancel()
        await asyncio.sleep(1)
        assert left.is_cancelled

        reset = Server(loop)
        stream = await opened(loop, reset, Weather(reset_chance=1))
        send(stream, 1)
        with pytest.raises(Lost):
            await stream.receive()
        await asyncio.sleep(1)
        assert reset.is_cancelled

        killed = Server(loop)
        stream = await opened(loop, killed)
        killed.process.kill()
        with pytest.raises(Lost):
            await stream.receive()

    loop = SimulatedLoop()
    loop.run(run())
