"""What commands about queues print for people and for scripts."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from logserver.cli.output import NOTHING
from logserver.cli.records_out import put_bytes

if TYPE_CHECKING:
    from logserver_client import LogServerError
    from logserver_client.types import Headers

_MS: Final = 1000


def age_text(at_ms: int | None) -> str:
    """How long ago a time is."""
    if at_ms is None:
        return NOTHING
    seconds = max(time.time() - at_ms / _MS, 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit} ago"
    return f"{seconds:.1f} s ago"


def time_text(at_ms: int | None) -> str:
    """A time to the millisecond, UTC."""
    if at_ms is None:
        return NOTHING
    return datetime.fromtimestamp(at_ms / _MS, UTC).isoformat(timespec="milliseconds")


def value_text(value: bytes | None) -> str:
    """A value in a table."""
    if value is None:
        return NOTHING
    try:
        return value.decode()
    except UnicodeDecodeError:
        return repr(value)[2:-1]


def error_document(error: LogServerError | None) -> dict[str, Any] | None:
    """An error for scripts."""
    return None if error is None else {"code": error.code, "name": error.name, "message": error.message}


def message_document(
    partition: int, offset: int, timestamp_ms: int, key: bytes | None, value: bytes | None, headers: Headers
) -> dict[str, Any]:
    """What a message carries, for scripts; bytes as `put_bytes` has them."""
    document: dict[str, Any] = {"partition": partition, "offset": offset, "timestamp": timestamp_ms}
    put_bytes(document, "key", key)
    put_bytes(document, "value", value)
    document["headers"] = []
    for name, data in headers:
        header: dict[str, Any] = {"key": name}
        put_bytes(header, "value", data)
        document["headers"].append(header)
    return document
