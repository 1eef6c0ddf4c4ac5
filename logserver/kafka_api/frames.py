"""Frames: what stands at the beginning of a request, and what it looks like where it is none."""

from struct import Struct as Packed
from typing import Final, NamedTuple

from logserver.kafka_api.codec import MalformedMessage, header_is_flexible, versions_of
from logserver.kafka_api.codec.reading import read_tags

SIZE: Final = Packed(">i")
_HEADER: Final = Packed(">hhih")
_TLS: Final = (b"\x16\x03", b"\x80\x2e")
_VERBS: Final = (b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC", b"PRI ")
_SHOWN: Final = 16


class RequestHeader(NamedTuple):
    """The header of a request."""

    api_key: int
    version: int
    correlation_id: int
    client_id: str
    body: int
    """Position of the request behind it."""


class UnknownApi(MalformedMessage):
    """An API key or version that no Kafka of our time has; the header is as far as it could be read."""

    def __init__(self, message: str, api_key: int, version: int, correlation_id: int) -> None:
        super().__init__(message)
        self.api_key = api_key
        self.version = version
        self.correlation_id = correlation_id


def read_header(frame: memoryview) -> RequestHeader:
    """Reads the header of a request (versions 1 and 2).

    Raises:
        UnknownApi: the API or this version of it is not known.
        MalformedMessage: it is no header.
    """
    end = len(frame)
    if end < _HEADER.size:
        raise MalformedMessage(f"a request of {end} bytes has no header")
    api_key, version, correlation_id, length = _HEADER.unpack_from(frame)
    try:
        lowest, highest = versions_of(api_key)
    except KeyError:
        raise UnknownApi(f"API key {api_key} is not known", api_key, version, correlation_id) from None
    if not lowest <= version <= highest:
        raise UnknownApi(f"version {version} of API key {api_key} is not known", api_key, version, correlation_id)
    position = _HEADER.size
    client_id = ""
    if length >= 0:
        if position + length > end:
            raise MalformedMessage(f"the client id claims {length} bytes, {end - position} are left")
        client_id = str(frame[position : position + length], "utf-8", "replace")
        position += length
    elif length != -1:
        raise MalformedMessage(f"the client id has the length {length}")
    if header_is_flexible(api_key, version):
        if position < end and not frame[position]:
            position += 1
        else:
            position = read_tags(frame, position, end, {}, {})
    return RequestHeader(api_key, version, correlation_id, client_id, position)


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
