"""A Consume call whose client takes its answers slowly, while the state that is kept fails."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from logserver_client import AdminClient
from logserverpb.v1 import queues_pb2

from logserver.daemon import Daemon
from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.calls import Calls
from logserver.grpc_api.queue_consume import ConsumeStream
from logserver.testing import LogServer
from tests.broker.harness import until

from .worker import Message, Queues, messages

LOST = LogServerError(ErrorCode.coordinator_not_available, "the state was not written")


class Call:
    """A call whose client reads an answer when the test says so."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[Any] = asyncio.Queue()
        self.answers: asyncio.Queue[queues_pb2.ConsumeResponse] = asyncio.Queue(maxsize=1)
        self.settled: list[int] = []
        """What was answered to settlements."""

    async def read(self) -> Any:
        return await self.requests.get()

    async def write(self, written: queues_pb2.ConsumeResponse | bytes) -> None:
        answer = queues_pb2.ConsumeResponse.FromString(written) if isinstance(written, bytes) else written
        if answer.WhichOneof("response") == "settled":
            self.settled.append(answer.settled.id)
        await self.answers.put(answer)

    async def take(self) -> Message:
        """Returns the one message of the next answer."""
        answer = await self.answers.get()
        (message,) = messages(answer.delivered)
        return message

    async def take_all(self) -> None:
        """Takes whatever comes, until it is cancelled."""
        while True:
            await self.answers.get()

    def settle(self, number: int, message: Message) -> None:
        self.requests.put_nowait(
            queues_pb2.ConsumeRequest(settle=queues_pb2.ConsumeSettle(id=number, settlements=[message.settlement()]))
        )


async def opened(daemon: Daemon) -> tuple[Call, ConsumeStream, "asyncio.Task[None]", Any]:
    """Begins a call, with a message in each answer; returns it with the partition that it is served from."""
    queues = daemon._queues
    assert queues is not None
    queue, call = queues.find("q"), Call()
    start = queues_pb2.ConsumeStart(queue="q", max_bytes=1)
    stream = ConsumeStream(queues, queue, start, "me #1", Calls())
    running = asyncio.ensure_future(stream.run(call, queues_pb2.ConsumeStarted()))
    assert (await call.answers.get()).WhichOneof("response") == "started"
    (place,) = queues.opened(queue)
    return call, stream, running, place


@pytest.fixture
def server() -> Iterator[LogServer]:
    with LogServer() as server, AdminClient(server.grpc) as admin, Queues(server.grpc) as queues:
        admin.create_topic("q")
        queues.declare("q")
        for number in range(8):
            queues.send("q", b"%d" % number)
        yield server


def test_nothing_is_said_to_be_settled_behind_what_could_not_be_written(server: LogServer) -> None:
    async def go(daemon: Daemon) -> None:
        call, stream, running, place = await opened(daemon)
        first, second = await call.take(), await call.take()
        # More is waiting to go out, and the client does not take it yet.
        await until(lambda: len(stream._unsent) > 2)
        call.settle(1, first)
        await until(lambda: bool(stream._settling))
        place.abandon(LOST)
        await call.take()
        await until(lambda: not stream._settling)
        call.settle(2, second)
        left = asyncio.ensure_future(call.take_all())
        await asyncio.wait((running,))
        left.cancel()
        assert call.settled == []
        with pytest.raises(BaseExceptionGroup) as raised:
            await running
        assert raised.value.exceptions == (LOST,)

    server.call(go)


def test_what_was_written_before_is_said_to_be_settled(server: LogServer) -> None:
    async def go(daemon: Daemon) -> None:
        call, stream, running, place = await opened(daemon)
        first, second = await call.take(), await call.take()
        await until(lambda: len(stream._unsent) > 2)
        call.settle(1, first)
        await until(lambda: bool(stream._settling) and not stream._settling[0].left)
        call.settle(2, second)
        await until(lambda: len(stream._settling) == 2)
        place.abandon(LOST)
        left = asyncio.ensure_future(call.take_all())
        await asyncio.wait((running,))
        left.cancel()
        assert call.settled == [1]
        with pytest.raises(BaseExceptionGroup) as raised:
            await running
        assert raised.value.exceptions == (LOST,)

    server.call(go)
