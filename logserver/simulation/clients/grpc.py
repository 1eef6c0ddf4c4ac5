"""Calls of the gRPC services without gRPC: their own readers and writers of messages, and a context that is none."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc.aio import AbortError

from logserver.errors import ErrorCode
from logserver.grpc_api import GrpcDoor
from logserver.simulation.clients.kafka import Lost
from logserver.simulation.loop import Process
from logserver.simulation.node import Node


class CallFailed(Exception):
    """A call ended with a status that is not OK; the code is what its details say."""

    def __init__(self, status: "Aborted") -> None:
        super().__init__(str(status))
        self.code = status.error


class Context:
    """What a servicer method sees of its call."""

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return ()

    async def abort(self, code: Any, details: str = "", trailing_metadata: Any = ()) -> None:
        raise Aborted(f"{code.name}: {details}", _error_of(trailing_metadata))


class Aborted(AbortError):
    """The status of a call, on its way out of the servicer."""

    def __init__(self, status: str, error: ErrorCode) -> None:
        super().__init__(status)
        self.error = error


def _error_of(metadata: Sequence[tuple[str, bytes]]) -> ErrorCode:
    for _, packed in metadata:
        for detail in Status.FromString(packed).details:
            info = ErrorInfo()
            if detail.Unpack(info):
                return ErrorCode(int(info.metadata["code"]))
    return ErrorCode.unknown_server_error


class _Details:
    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


class _Handlers:
    """In the place of a gRPC server: keeps what a door registers."""

    def __init__(self) -> None:
        self.generic: list[Any] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        self.generic += handlers

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Health and reflection are of no interest here."""


def _handlers(door: GrpcDoor) -> _Handlers:
    found = _Handlers()
    door.register(found)  # type: ignore[arg-type]
    return found


class GrpcClient:
    """Makes unary calls of a node's services; requests and answers may get lost. `GrpcStream` makes the others."""

    def __init__(self, node: Node, random: Random) -> None:
        self._node = node
        self._random = random
        self._door: GrpcDoor | None = None
        self._methods: dict[str, Any] = {}

    async def call(self, method: str, request: Any, answer: Any) -> Any:
        """Calls a method.

        Args:
            method: such as "/logserver.v1.Log/Produce".
            answer: class of the answer.

        Raises:
            Lost: there was no answer.
            CallFailed: it ended with a status.
        """
        weather = self._node.network.weather
        handler, process = await self.reach(method)
        result: asyncio.Future[bytes | Exception] = asyncio.get_running_loop().create_future()

        async def serve() -> None:
            try:
                message = handler.request_deserializer(request.SerializeToString())
                data = handler.response_serializer(await handler.unary_unary(message, Context()))
            except Aborted as error:
                data = CallFailed(error)
            # What is left of a process that was killed tells nobody anything.
            if not process.is_dead and not result.done():
                result.set_result(data)

        process.start(serve())
        try:
            async with asyncio.timeout(8):
                found_answer = await result
        except TimeoutError:
            raise Lost("no answer in time") from None
        await self._delay()
        if isinstance(found_answer, Exception):
            raise found_answer
        if self._random.random() < weather.reset_chance:
            raise Lost("the answer was lost")
        return answer.FromString(found_answer)

    async def reach(self, method: str) -> tuple[Any, Process]:
        """Returns what handles a method, and the process in which it does, once a request has got there.

        Raises:
            Lost: there is no server, or the request was lost.
        """
        node = self._node
        await self._delay()
        process = node.process
        door: GrpcDoor | None = getattr(node.daemon, "grpc_door", None)
        if process is None or door is None or process.is_dead:
            raise Lost("nobody there")
        if self._random.random() < node.network.weather.reset_chance:
            raise Lost("the request was lost")
        if door is not self._door:
            self._door, self._methods = door, {}
        handler = self._methods.get(method)
        if handler is None:
            details = _Details(method)
            found = (generic.service(details) for generic in _handlers(door).generic)
            handler = self._methods[method] = next(one for one in found if one is not None)
        return handler, process

    async def _delay(self) -> None:
        weather = self._node.network.weather
        await asyncio.sleep(self._random.uniform(weather.least_delay_s, weather.most_delay_s))
