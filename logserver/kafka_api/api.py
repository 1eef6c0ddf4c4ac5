"""How an API is served: each has a file in `apis/` that ends in its `Api`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from logserver_records.batch import Buffer

from logserver.kafka_api.codec import Struct

if TYPE_CHECKING:
    from logserver.errors import LogServerError
    from logserver.kafka_api.connection import Connection
    from logserver.kafka_api.services import Services

Response: TypeAlias = Mapping[str, Any]
"""A response's fields by name; see `codec.writing`."""

Handler: TypeAlias = "Callable[[Call, Struct], Response | Awaitable[Response]]"
"""Answers a request, at once or later. A LogServerError that it raises becomes the response's `error_code`."""

Answer: TypeAlias = Callable[[Sequence[Buffer] | None], None]
"""Gets the response's chunks behind its header, or None where none is due; to be called once."""

Cancel: TypeAlias = Callable[[], None]
"""Called when the connection has gone before the answer; there is to be none any more."""

RawHandler: TypeAlias = "Callable[[Call, memoryview, Answer], Cancel | None]"
"""Takes a request as bytes, which are gone when it returns. May raise `CloseConnection`."""


class Place(Protocol):
    """A request that is not answered yet, in the order of the requests of its connection."""

    size_bytes: int
    """Of the request."""
    chunks: Sequence[Buffer] | None
    """The response, header included, once it is there; empty where none is due."""
    cancel: Cancel | None

    def late(self, now_s: float) -> float:
        """Ends its waiting if that has been too long, by the event loop's clock.

        Returns:
            When it will have been too long; infinity if it never will.
        """
        ...


class Quick(Protocol):
    """A short way for requests that are simple: see `produce_quick`."""

    def __call__(
        self, connection: Connection, correlation_id: int, data: bytearray, begin: int, end: int, /
    ) -> bytes | Place | None:
        """Serves a request, `data[begin:end]` behind its header.

        Returns:
            The whole response, or what it will be; None, and nothing done, for a request that has to go the long way.
        """
        ...


class CloseConnection(Exception):
    """Nothing but the end of the connection can tell the client what happened; the message is for the log."""


@dataclass(slots=True)
class Client:
    """Where requests come from: what all those of a connection have in common."""

    services: Services
    client_host: str
    """As Kafka shows it, with a slash before it."""
    host: str
    """By which the client is told to reach this server."""
    port: int
    listener: str
    """Kafka's name of the listener that the connection came through."""
    client_port: int = 0
    software_name: str = "unknown"
    """As the client's ApiVersions has said, and so the version (KIP-511)."""
    software_version: str = "unknown"
    preparing: asyncio.Task[None] | None = None
    """The last produce request whose records are prepared by another thread; those behind it wait for it."""
    when_gone: dict[object, Callable[[], None]] = field(default_factory=dict)
    """What to do when the connection is gone, by who wants it done."""
    produce_tail: asyncio.Task[None] | None = None
    """The last request of a transaction that waits for its coordinator; those that come behind it wait for it."""


class Call:
    """One request, apart from its message."""

    __slots__ = ("api_key", "client", "client_id", "version")

    def __init__(self, client: Client, api_key: int, version: int, client_id: str) -> None:
        self.client = client
        self.api_key = api_key
        self.version = version
        self.client_id = client_id

    def close(self, reason: str) -> None:
        """Closes the connection: as raising `CloseConnection`, for those who answer later."""
        raise NotImplementedError

    def weigh(self, elements: int) -> None:
        """Counts what the request holds until it is answered, besides its bytes: so many topics, partitions and the
        like. A connection has a limit on both."""
        raise NotImplementedError

    def carry_out(self, task: asyncio.Task[None]) -> None:
        """Keeps a task of the request, also when the client has gone (within limits, see `abandoned`)."""
        raise NotImplementedError

    @property
    def services(self) -> Services:
        """The server behind the door."""
        return self.client.services

    @property
    def client_host(self) -> str:
        """As Kafka shows it, with a slash before it."""
        return self.client.client_host

    @property
    def host(self) -> str:
        """By which the client is told to reach this server."""
        return self.client.host

    @property
    def port(self) -> int:
        """By which the client is told to reach this server."""
        return self.client.port

    @property
    def listener(self) -> str:
        """Kafka's name of the listener that the connection came through."""
        return self.client.listener


@dataclass(frozen=True, slots=True)
class Api:
    """One API key.

    Args:
        lowest, highest: versions served, both inclusive.
        advertised_lowest: what ApiVersions says instead of `lowest`.
        raw: in place of `handle`, for what is read and written by hand.
        quick: makes the short way for a version, if there is one; what that does not take goes to `raw` or `handle`.
        failed: makes the response for an error of the whole request; without it that is one whose `error_code` and
            `error_message` say so.
        refuse: in place of `failed` where there is a `raw`: makes what answers with one error for every partition.
    """

    key: int
    name: str
    lowest: int
    highest: int
    handle: Handler | None = None
    raw: RawHandler | None = None
    quick: Callable[[int], Quick | None] | None = None
    advertised_lowest: int | None = None
    failed: Callable[[Struct, int, str], Response] | None = None
    refuse: Callable[[LogServerError], RawHandler] | None = None
