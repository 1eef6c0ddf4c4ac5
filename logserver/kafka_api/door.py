"""The Kafka door as a whole: its listeners, and the sockets behind the connections."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from logserver_segments.logs import get_logger

from logserver.kafka_api.abandoned import Abandoned
from logserver.kafka_api.connection import Connection
from logserver.kafka_api.listener import Listener
from logserver.kafka_api.services import Services
from logserver.settings import Address

_log = get_logger("logserver.kafka")

_PLAINTEXT: Final = "PLAINTEXT"
_BACKLOG: Final = 1024
_IDLE_CHECKS: Final = 10
"""How many looks for idle connections there are in the time that one may be idle."""
_CLOSED_AT_ONCE: Final = 50
"""After so many closings others have their turn: they take 15 us each."""
_WRITE_BUFFER_BYTES: Final = 1 << 20
"""Unsent bytes of responses above which a connection serves no further requests."""


class _Socket(asyncio.BufferedProtocol):
    """A connection on a socket."""

    __slots__ = ("_connections", "_listener", "connection")

    def __init__(self, listener: Listener, connections: "dict[_Socket, None]") -> None:
        self._listener = listener
        self._connections = connections
        self.connection: Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        limit = self._listener.services.broker.settings.max_connections
        if len(self._connections) >= limit:
            _log.warning("connection refused", listener=self._listener.name, reason=f"max.connections={limit} are open")
            stream.abort()
            return
        stream.set_write_buffer_limits(_WRITE_BUFFER_BYTES)
        peer, local = (_address(stream.get_extra_info(end)) for end in ("peername", "sockname"))
        self.connection = Connection(self._listener, stream, peer, local)
        self._connections[self] = None

    def get_buffer(self, sizehint: int) -> memoryview:
        # A socket that was refused is not read from any more, but one read may be under way.
        return self.connection.get_buffer() if self.connection is not None else memoryview(bytearray(1))

    def buffer_updated(self, nbytes: int) -> None:
        if self.connection is not None:
            self.connection.received(nbytes)

    def pause_writing(self) -> None:
        if self.connection is not None:
            self.connection.pause_writing()

    def resume_writing(self) -> None:
        if self.connection is not None:
            self.connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.connection is not None:
            self.connection.closed()
        self._connections.pop(self, None)


def _address(name: Any) -> str:
    if not name:
        return "unknown:0"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{host}:{name[1]}"


class _Accepting:
    """Makes the protocol of each new socket of a listener."""

    def __init__(self, connections: dict[_Socket, None]) -> None:
        self._connections = connections
        self.listener: Listener | None = None

    def __call__(self) -> _Socket:
        assert self.listener is not None
        return _Socket(self.listener, self._connections)


class KafkaDoor:
    """Listeners of Kafka clients, on the running event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._servers: list[asyncio.Server] = []
        self._connections: dict[_Socket, None] = {}
        self._abandoned = Abandoned(services.settings.connection_max_inflight_bytes)
        self._idle: asyncio.Task[None] | None = None
        self.addresses: list[Address] = []
        """Where it listens, with real ports."""

    async def open(self, addresses: Iterable[Address], advertised: Sequence[Address]) -> None:
        """Listens.

        Args:
            advertised: what clients of each address are told instead, one each or one for all; empty to tell them the
                address itself.

        Raises:
            OSError: an address can't be listened on.
        """
        settings = self._services.settings
        loop = asyncio.get_running_loop()
        for number, address in enumerate(addresses):
            told = advertised[min(number, len(advertised) - 1)] if advertised else None
            # Made first, so that the port is known before anybody connects.
            accepting = _Accepting(self._connections)
            server = await loop.create_server(
                accepting, address.host, address.port, backlog=_BACKLOG, start_serving=False
            )
            self._servers.append(server)
            found = address._replace(port=server.sockets[0].getsockname()[1])
            self.addresses.append(found)
            accepting.listener = Listener(
                self._services,
                _PLAINTEXT,
                found,
                told,
                settings.socket_request_max_bytes,
                settings.connection_max_inflight_bytes,
                self._abandoned,
            )
            await server.start_serving()
        self._idle = asyncio.create_task(self._close_idle(), name="kafka-idle")

    async def _close_idle(self) -> None:
        """Closes connections that nothing has come or gone on for connections.max.idle.ms."""
        most_ms = self._services.settings.connections_max_idle_ms
        while True:
            await asyncio.sleep(most_ms / _IDLE_CHECKS / 1000)
            since_ms = self._services.socket_clock.monotonic_ms() - most_ms
            closed = 0
            for socket in list(self._connections):
                connection = socket.connection
                if connection is not None and connection.is_idle and connection.last_used_ms <= since_ms:
                    connection.close()
                    closed += 1
                    if closed % _CLOSED_AT_ONCE == 0:
                        await asyncio.sleep(0)

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def close(self) -> None:
        """Listens no more, and closes all connections; what has been answered is still sent."""
        if self._idle is not None:
            self._idle.cancel()
        for server in self._servers:
            server.close()
        for socket in list(self._connections):
            if socket.connection is not None:
                socket.connection.close()
        self._abandoned.cancel()
