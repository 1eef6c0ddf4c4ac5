"""The gRPC door as a whole: its services, health and reflection, ready to be put on a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from logserver_segments.seams import Clock
from logserverpb.v1 import admin_pb2, groups_pb2, log_pb2, queues_pb2, transactions_pb2

from logserver.broker import Broker
from logserver.broker.peers import Peers
from logserver.coordinator import GroupCoordinator
from logserver.coordinator.delivery.coordinator import QueueCoordinator
from logserver.coordinator.transactions.coordinator import TransactionCoordinator
from logserver.errors import ErrorCode, LogServerError
from logserver.faults import Faults
from logserver.grpc_api.admin_service import AdminService, ServerStatus
from logserver.grpc_api.calls import Calls
from logserver.grpc_api.errors import Malformed
from logserver.grpc_api.groups_service import GroupsService
from logserver.grpc_api.log_service import LogService
from logserver.grpc_api.produce_request import read_produce_request, read_produce_stream_request
from logserver.grpc_api.queues_service import QueuesService
from logserver.grpc_api.transactions_service import TransactionsService
from logserver.grpc_api.wire import serialize

_Read = Callable[[bytes], object]

_READ_BY_HAND: Mapping[str, _Read] = {
    "logserver.v1.ProduceRequest": read_produce_request,
    "logserver.v1.ProduceStreamRequest": read_produce_stream_request,
}
"""What reads messages of these types; all others are read by generated code."""


class GrpcDoor:
    """Services that translate between the wire and a broker.

    Args:
        status: tells what the daemon knows of itself.
        faults: what is to fail, in tests of programs.
    """

    def __init__(
        self,
        broker: Broker,
        groups: GroupCoordinator,
        transactions: TransactionCoordinator,
        queues: QueueCoordinator,
        peers: Peers,
        clock: Clock,
        status: Callable[[], ServerStatus],
        faults: Faults | None = None,
    ) -> None:
        self._faults = faults
        self._calls = Calls()
        self._services: tuple[tuple[ServiceDescriptor, object], ...] = (
            (log_pb2.DESCRIPTOR.services_by_name["Log"], LogService(broker, transactions, clock, self._calls)),
            (
                groups_pb2.DESCRIPTOR.services_by_name["Groups"],
                GroupsService(broker, groups, peers, self._calls),
            ),
            (
                transactions_pb2.DESCRIPTOR.services_by_name["Transactions"],
                TransactionsService(broker, groups, transactions),
            ),
            (queues_pb2.DESCRIPTOR.services_by_name["Queues"], QueuesService(broker, queues, clock, self._calls)),
            (admin_pb2.DESCRIPTOR.services_by_name["Admin"], AdminService(broker, status)),
        )
        self._health = health.aio.HealthServicer()

    def register(self, server: grpc.aio.Server) -> None:
        """Puts all services on a server that has not been started."""
        for descriptor, servicer in self._services:
            handlers = {method.name: _handler(method, servicer, self._faults) for method in descriptor.methods}
            generic = grpc.method_handlers_generic_handler(descriptor.full_name, handlers)
            server.add_generic_rpc_handlers((generic,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*self._names(), reflection.SERVICE_NAME, health.SERVICE_NAME), server)

    def _names(self) -> Iterable[str]:
        return (descriptor.full_name for descriptor, _ in self._services)

    async def open(self) -> None:
        """Tells health checks that the door serves."""
        for name in ("", *self._names()):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """Tells health checks that it does not, and ends streams and long polls once they have answered."""
        await self._health.enter_graceful_shutdown()
        self._calls.close()


def _handler(method: MethodDescriptor, servicer: object, faults: Faults | None) -> grpc.RpcMethodHandler[Any, Any]:
    make, reader = {
        (False, False): (grpc.unary_unary_rpc_method_handler, _read_unary),
        (False, True): (grpc.unary_stream_rpc_method_handler, _read_unary),
        (True, True): (grpc.stream_stream_rpc_method_handler, _read_streamed),
    }[method.client_streaming, method.server_streaming]
    name = method.input_type.full_name
    decode = _READ_BY_HAND.get(name) or message_factory.GetMessageClass(method.input_type).FromString
    if faults is not None:
        decode = _failing(faults, f"{method.containing_service.name}.{method.name}", decode)
    read = partial(reader, name, decode)
    handler: grpc.RpcMethodHandler[Any, Any] = make(getattr(servicer, method.name), read, serialize)
    return handler


def _failing(faults: Faults, api: str, decode: _Read) -> _Read:
    """Has calls fail as those whose message can't be read; a stream, at the next message that comes."""
    faults.serves(api)

    def read(data: bytes) -> object:
        error = faults.take(api)
        if error is not None:
            raise error
        return decode(data)

    return read


def _read_streamed(name: str, decode: _Read, data: bytes) -> object:
    """Reads a message of a stream, inside of the servicer's own wait for it.

    Raises:
        LogServerError: INVALID_REQUEST.
    """
    try:
        return decode(data)
    except DecodeError as error:
        raise LogServerError(
            ErrorCode.invalid_request, f"a message of {len(data)} bytes is not a {name}: {error}"
        ) from None


def _read_unary(name: str, decode: _Read, data: bytes) -> object:
    """Reads the message of a call; Malformed in place of one that can't be read, because what is raised here gRPC
    turns into a status of its own."""
    try:
        return _read_streamed(name, decode, data)
    except LogServerError as error:
        return Malformed(error)
