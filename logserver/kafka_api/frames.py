"""Frames: what stands at the beginning of a request, and what it looks like where it is none."""

from struct import Struct as Packed
from typing import Final, NamedTuple

from logserver.kafka_api.codec import MalformedMessage
from logserver.kafka_api.codec.reading import Budget, read_tags
from logserver.kafka_api.routes import Route, route

SIZE: Final = Packed(">i")
_HEADER: Final = Packed(">hhih")
_TLS: Final = (b"\x16\x03", b"\x80\x2e")
_VERBS: Final = (b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC", b"PRI ")
_SHOWN: Final = 16
_MOST_TAGS: Final = 100
"""Tagged fields that a header may have; Kafka knows of none."""


class RequestHeader(NamedTuple):
    """The header of a request."""

    route: Route
    version: int
    correlation_id: int
    client_id: bytes
    """As it was sent; empty for null."""
    body: int
    """Position of the request behind it."""


class UnknownApi(MalformedMessage):
    """An API key or version that is not served; the header is as far as it could be read."""

    def __init__(self, api_key: int, version: int, correlation_id: int) -> None:
        super().__init__(f"version {version} of API key {api_key} is not served")
        self.api_key = api_key
        self.version = version
        self.correlation_id = correlation_id


def read_header(data: bytearray, position: int, end: int) -> RequestHeader:
    """Reads the header of a request (versions 1 and 2).

    Args:
        position: where the frame begins, behind its length.
        end: where it ends.

    Raises:
        UnknownApi: this version of the API is not served.
        MalformedMessage: it is no header.
    """
    if end - position < _HEADER.size:
        raise MalformedMessage(f"a request of {end - position} bytes has no header")
    api_key, version, correlation_id, length = _HEADER.unpack_from(data, position)
    found = route(api_key, version)
    if found is None:
        raise UnknownApi(api_key, version, correlation_id)
    position += _HEADER.size
    client_id = b""
    if length > 0:
        behind = position + length
        if behind > end:
            raise MalformedMessage(f"the client id claims {length} bytes, {end - position} are left")
        client_id = bytes(data[position:behind])
        position = behind
    elif length < -1:
        raise MalformedMessage(f"the client id has the length {length}")
    if found.has_tags:
        if position < end and not data[position]:
            position += 1
        else:
            with memoryview(data) as view:
                position = read_tags(view, position, end, {}, {}, Budget(_MOST_TAGS))
    return RequestHeader(found, version, correlation_id, client_id, position)


def looks_like(start: bytes) -> str:
    """Returns what the first bytes of a connection look like, if they are no request's."""
    if start.startswith(_TLS):
        return "a TLS handshake; this port speaks plaintext (set security.protocol=PLAINTEXT in the client)"
    if start.startswith(_VERBS):
        return "an HTTP request; this port speaks Kafka's protocol"
    if start.startswith(b"AMQP"):
        return "an AMQP client; this port speaks Kafka's protocol"
    if start.startswith((b"*", b"PING")):
        return "a Redis client; this port speaks Kafka's protocol"
    return f"no Kafka client: it begins with {start[:_SHOWN].hex(' ')}"
