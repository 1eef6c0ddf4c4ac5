"""One channel to one node."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from logserverpb.v1.admin_pb2_grpc import AdminStub
from logserverpb.v1.groups_pb2_grpc import GroupsStub
from logserverpb.v1.log_pb2_grpc import LogStub
from logserverpb.v1.queues_pb2_grpc import QueuesStub
from logserverpb.v1.transactions_pb2_grpc import TransactionsStub

from logserver_client._transport.options import CHANNEL_OPTIONS
from logserver_client._transport.status import error_from_call
from logserver_client.errors import ConnectionFailed, connection_failed

T = TypeVar("T")


class Connection:
    """A channel with the stubs of the services; it belongs to the event loop it was made in."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self.log: Any = LogStub(self.channel)  # type: ignore[no-untyped-call]
        self.admin: Any = AdminStub(self.channel)  # type: ignore[no-untyped-call]
        self.groups: Any = GroupsStub(self.channel)  # type: ignore[no-untyped-call]
        self.queues: Any = QueuesStub(self.channel)  # type: ignore[no-untyped-call]
        self.transactions: Any = TransactionsStub(self.channel)  # type: ignore[no-untyped-call]

    async def call(self, method: Callable[..., Any], request: Any, timeout_s: float, *, repeatable: bool = True) -> Any:
        """Makes a unary call, waiting for the server to be there within the same deadline.

        Args:
            repeatable: the call may be made again when the connection breaks under it, because making it twice
                equals making it once.

        Raises:
            ConnectionFailed: no server was there, or it went away.
            RequestTimedOut: it was there and did not answer.
            LogServerError: it refused.
        """
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        while True:
            left_s = deadline_s - asyncio.get_running_loop().time()
            try:
                return await method(request, timeout=max(left_s, 0.001), wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                code = error.code()
                if code is grpc.StatusCode.DEADLINE_EXCEEDED and not self._is_ready():
                    raise connection_failed(
                        f"no log server answers at {self.address}: tried for {timeout_s:.1f} s"
                    ) from error
                failure = error_from_call(error, self.address)
                # Without a word of the server's the connection broke. The channel paces the next attempt.
                if isinstance(failure, ConnectionFailed) and repeatable and left_s > 0:
                    continue
                raise failure from error

    def _is_ready(self) -> bool:
        return self.channel.get_state() is grpc.ChannelConnectivity.READY

    async def close(self) -> None:
        await self.channel.close(None)
