"""Calls of the gRPC services whose messages come in streams, without gRPC: late, in order, or not at all."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Final

from grpc.aio import EOF

from logserver.simulation.clients.grpc import Aborted, CallFailed, Context, GrpcClient
from logserver.simulation.clients.kafka import Lost
from logserver.simulation.loop import Process
from logserver.simulation.network import Network

_GAP_S: Final = 1e-6
_MOST_UNREAD: Final = 4
"""Messages that the server has written and the client has not read, before writing waits."""
_LOOK_S: Final = 1.0
"""After so long a client notices that the server is no more."""


class _Context(Context):
    """What a servicer method sees of its call: messages come and go by `read` and `write`."""

    def __init__(self, stream: "GrpcStream", read: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> None:
        self._stream = stream
        self._deserialize = read
        self._serialize = write
        self.requests: deque[bytes | None] = deque()
        """What has arrived; None: the client has ended its side."""
        self.news = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()

    def arrived(self, data: bytes | None) -> None:
        """Called when a message of the client has arrived."""
        self.requests.append(data)
        self.news.set()

    async def read(self) -> Any:
        while not self.requests:
            self.news.clear()
            await self.news.wait()
        data = self.requests[0]
        if data is None:
            return EOF
        self.requests.popleft()
        return self._deserialize(data)

    async def write(self, message: Any) -> None:
        await self.room.wait()
        self._stream.written(self._serialize(message))


class GrpcStream:
    """One call, on the client's side.

    Args:
        answer: class of what the server sends.
    """

    def __init__(self, network: Network, random: Random, answer: Any) -> None:
        self._network = network
        self._random = random
        self._answer = answer
        self._process: Process
        self._context: _Context
        self._task: asyncio.Task[None]
        self._arrives_s = [0.0, 0.0]
        self._answers: deque[bytes | Exception | None] = deque()
        self._unread = 0
        self._news = asyncio.Event()
        self.is_over = False
        """Whether nothing more is sent or received."""

    async def open(self, client: GrpcClient, method: str, request: Any = None) -> None:
        """Begins the call.

        Args:
            method: such as "/logserver.v1.Queues/Consume".
            request: the only one, where the client sends no stream.

        Raises:
            Lost: there is no server.
        """
        handler, self._process = await client.reach(method)
        self._context = context = _Context(self, handler.request_deserializer, handler.response_serializer)

        async def serve() -> None:
            end: Exception | None = None
            try:
                if request is None:
                    await handler.stream_stream(None, context)
                else:
                    message = handler.request_deserializer(request.SerializeToString())
                    await handler.unary_stream(message, context)
            except Aborted as error:
                end = CallFailed(error)
            # What is left of a process that was killed tells nobody anything.
            if not self._process.is_dead:
                self._to_client(end)

        self._task = self._process.start(serve())

    def send(self, message: Any) -> None:
        """Sends a message; it may never get there.

        Raises:
            Lost: the call is over.
        """
        if self.is_over:
            raise Lost("the call is over")
        self._to_server(message.SerializeToString())

    def end(self) -> None:
        """Ends this side; the server answers what it has to and ends the call."""
        if not self.is_over:
            self._to_server(None)

    async def receive(self) -> Any:
        """Returns the next message; None at the end.

        Raises:
            Lost: the connection or the server is gone.
            CallFailed: the call ended with a status.
        """
        while not self._answers:
            if self.is_over:
                raise Lost("the call is over")
            self._news.clear()
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._news.wait()
            except TimeoutError:
                if self._process.is_dead:
                    self.is_over = True
        found = self._answers.popleft()
        if isinstance(found, bytes):
            self._unread -= 1
            self._in_server(0.0, self._context.room.set)
            return self._answer.FromString(found)
        self.is_over = True
        if found is not None:
            raise found
        return None

    def cancel(self) -> None:
        """Ends the call without a word; the server learns of it in its own time."""
        if not self.is_over:
            self.is_over = True
            self._news.set()
            self._in_server(self._delay_s(), self._task.cancel)

    # On the way

    def written(self, data: bytes) -> None:
        """Called when the server has written a message."""
        self._unread += 1
        if self._unread >= _MOST_UNREAD:
            self._context.room.clear()
        self._to_client(data)

    def _to_client(self, data: bytes | Exception | None) -> None:
        self._pass(0, lambda delay_s: self._later(delay_s, contextvars.Context(), self._take, data))

    def _to_server(self, data: bytes | None) -> None:
        self._pass(1, lambda delay_s: self._in_server(delay_s, self._context.arrived, data))

    def _pass(self, way: int, send: Callable[[float], None]) -> None:
        """Sends in order, unless the connection breaks."""
        weather, random = self._network.weather, self._random
        delay_s = weather.stall_s if random.random() < weather.stall_chance else self._delay_s()
        now_s = self._network.loop.time()
        self._arrives_s[way] = max(self._arrives_s[way] + _GAP_S, now_s + delay_s)
        send(self._arrives_s[way] - now_s)
        if random.random() < weather.reset_chance:
            # Each side learns of it in its own time.
            self._later(self._delay_s(), contextvars.Context(), self._lose)
            self._in_server(self._delay_s(), self._task.cancel)

    def _delay_s(self) -> float:
        weather = self._network.weather
        return self._random.uniform(weather.least_delay_s, weather.most_delay_s)

    def _take(self, data: bytes | Exception | None) -> None:
        if not self.is_over:
            self._answers.append(data)
            self._news.set()

    def _lose(self) -> None:
        self.is_over = True
        self._answers.clear()
        self._news.set()

    def _later(self, delay_s: float, context: contextvars.Context, call: Callable[..., Any], *args: Any) -> None:
        self._network.loop.call_later(delay_s, call, *args, context=context)

    def _in_server(self, delay_s: float, call: Callable[..., Any], *args: Any) -> None:
        self._later(delay_s, self._process.context.copy(), call, *args)
