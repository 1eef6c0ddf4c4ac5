"""Kafka's messages: read with every length checked against the bytes that are left, and written, at every version."""

from logserver.kafka_api.codec.errors import MalformedMessage
from logserver.kafka_api.codec.messages import (
    header_is_flexible,
    read_request,
    read_response,
    read_within,
    response_header_is_flexible,
    versions_of,
    write_request,
    write_response,
)
from logserver.kafka_api.codec.reading import Budget
from logserver.kafka_api.codec.struct import Struct

__all__ = [
    "Budget",
    "MalformedMessage",
    "Struct",
    "header_is_flexible",
    "read_request",
    "read_response",
    "read_within",
    "response_header_is_flexible",
    "versions_of",
    "write_request",
    "write_response",
]
