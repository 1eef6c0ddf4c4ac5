"""Requests and responses by API key and version."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from logserver.kafka_api.codec.errors import MalformedMessage
from logserver.kafka_api.codec.reading import Budget, Reader, struct_reader
from logserver.kafka_api.codec.schema import StructSchema, message_schema
from logserver.kafka_api.codec.schema import header_is_flexible as _header_is_flexible
from logserver.kafka_api.codec.schema import versions as versions_of
from logserver.kafka_api.codec.struct import Struct
from logserver.kafka_api.codec.writing import Writer, struct_writer

__all__ = [
    "header_is_flexible",
    "read_request",
    "read_response",
    "read_within",
    "response_header_is_flexible",
    "versions_of",
    "write_request",
    "write_response",
]


def header_is_flexible(api_key: int, version: int) -> bool:
    """Returns whether a request's header ends in tagged fields (header version 2)."""
    return _header_is_flexible(api_key, version, "request")


def response_header_is_flexible(api_key: int, version: int) -> bool:
    """Returns whether a response's header ends in tagged fields (header version 1)."""
    return _header_is_flexible(api_key, version, "response")


def read_request(api_key: int, version: int, data: memoryview, most_elements: int) -> Struct:
    """Reads a request behind its header. Bytes behind the request are ignored, as Kafka does: librdkafka 2 sends three
    where it asks for the metadata of all topics.

    Args:
        most_elements: how many elements all its arrays may have together (request.max.elements).

    Raises:
        MalformedMessage: the bytes do not begin with such a request.
    """
    return read_within(api_key, version, data, Budget(most_elements))


def read_within(api_key: int, version: int, data: memoryview, budget: Budget) -> Struct:
    """As `read_request`, for who wants to know what it took of the budget."""
    message: Struct = _reader(api_key, version, "request")(data, 0, len(data), budget)[0]
    return message


def read_response(api_key: int, version: int, data: memoryview) -> Struct:
    """Reads a response behind its header.

    Raises:
        MalformedMessage: the bytes are not one such response.
    """
    # An answer is as large as the server that was asked makes it.
    found, position = _reader(api_key, version, "response")(data, 0, len(data), Budget(len(data)))
    if position != len(data):
        raise MalformedMessage(f"{len(data) - position} bytes are left behind the message")
    message: Struct = found
    return message


def write_request(api_key: int, version: int, message: Mapping[str, Any] | Struct) -> bytes:
    """Returns the bytes of a request without its header."""
    return _written(_writer(api_key, version, "request"), message)


def write_response(api_key: int, version: int, message: Mapping[str, Any] | Struct) -> bytes:
    """Returns the bytes of a response without its header."""
    return _written(_writer(api_key, version, "response"), message)


def _written(writer: Writer, message: Mapping[str, Any] | Struct) -> bytes:
    out: list[bytes] = []
    writer(out, message)
    return b"".join(out)


@cache
def _reader(api_key: int, version: int, direction: str) -> Reader:
    def absent(path: str, name: str) -> Any:
        return _default(api_key, direction, path, name)

    return struct_reader(message_schema(api_key, version, direction), absent, "")


@cache
def _writer(api_key: int, version: int, direction: str) -> Writer:
    return struct_writer(message_schema(api_key, version, direction))


@cache
def _default(api_key: int, direction: str, path: str, name: str) -> Any:
    """Returns the default of a field, as of the highest version that has it."""
    lowest, highest = versions_of(api_key)
    for version in range(highest, lowest - 1, -1):
        struct: StructSchema | None = message_schema(api_key, version, direction)
        for part in path.split(".")[1:]:
            if struct is not None:
                struct = next((field.struct for field in struct.fields if field.name == part), None)
        for field in struct.fields if struct is not None else ():
            if field.name == name:
                return field.default
    raise AttributeError(f"no version of {direction} {api_key} has a field {name!r} in {path or 'itself'}")
