"""Records on standard output: their values, or JSON objects."""

from __future__ import annotations

import base64
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from logserver.cli.failures import CommandFailed, silence_standard_output

if TYPE_CHECKING:
    from logserver_client import BytesRecord

_BUFFER_BYTES: Final = 256 * 1024


def value_line(record: BytesRecord) -> bytes:
    """The value's bytes and a line end; nothing but the line end for a null value."""
    return (record.value or b"") + b"\n"


def json_line(record: BytesRecord) -> bytes:
    """The record as a JSON object in one line."""
    return msgspec.json.encode(record_document(record)) + b"\n"


def record_document(record: BytesRecord) -> dict[str, Any]:
    """The record as a JSON object: bytes are text where they are UTF-8, otherwise base64 and marked as such."""
    document: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
    }
    put_bytes(document, "key", record.key)
    put_bytes(document, "value", record.value)
    headers = []
    for name, value in record.headers:
        header: dict[str, Any] = {"key": name}
        put_bytes(header, "value", value)
        headers.append(header)
    document["headers"] = headers
    return document


def put_bytes(document: dict[str, Any], name: str, data: bytes | None) -> None:
    """Puts bytes into a document: as text where they are UTF-8, otherwise as base64 and marked as such."""
    if data is None:
        document[name] = None
        return
    try:
        document[name] = data.decode()
    except UnicodeDecodeError:
        document[name] = base64.b64encode(data).decode("ascii")
        document[f"{name}_encoding"] = "base64"


LINE_OF: Final[dict[str, Callable[[BytesRecord], bytes]]] = {"value": value_line, "json": json_line}
"""The line of a record by the name of its format."""


class RecordWriter:
    """Writes records to standard output in large pieces; counts them and the bytes of their keys and values.

    With `as_array` the records become one JSON array, opened and closed by the context manager.
    """

    def __init__(self, form: str, *, as_array: bool = False, stream: BinaryIO | None = None) -> None:
        self.records = 0
        self.bytes = 0
        self._line = LINE_OF["json" if as_array else form]
        self._as_array = as_array
        self._stream = sys.stdout.buffer if stream is None else stream
        self._parts: list[bytes] = []
        self._waiting_bytes = 0

    def __enter__(self) -> RecordWriter:
        if self._as_array:
            self._parts.append(b"[")
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if error_type is not None and not self.records and not issubclass(error_type, KeyboardInterrupt):
            # A command that failed at once prints its sentence only.
            return
        if error_type is not None and issubclass(error_type, BrokenPipeError):
            return
        if self._as_array:
            self._parts.append(b"\n]\n" if self.records else b"]\n")
        self.flush()

    def write(self, records: Iterable[BytesRecord]) -> None:
        """Takes records; they are on standard output after the next `flush`, or when enough have come together."""
        for record in records:
            line = self._line(record)
            if self._as_array:
                line = (b",\n" if self.records else b"\n") + line[:-1]
            self._parts.append(line)
            self.records += 1
            self.bytes += len(record.key or b"") + len(record.value or b"")
            self._waiting_bytes += len(line)
            if self._waiting_bytes >= _BUFFER_BYTES:
                self._pass_on()

    def flush(self) -> None:
        """Makes everything taken so far visible to the reader of standard output."""
        self._pass_on()
        with _writable():
            self._stream.flush()

    def _pass_on(self) -> None:
        parts, self._parts, self._waiting_bytes = self._parts, [], 0
        left = memoryview(b"".join(parts))
        with _writable():
            while left:
                # With PYTHONUNBUFFERED it is the file itself, which takes a part only when a signal comes.
                taken = self._stream.write(left)
                if taken is None:
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                left = left[taken:]


@contextmanager
def _writable() -> Iterator[None]:
    """Makes a full disk behind standard output a failed command; a closed pipe stays what it is."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        silence_standard_output()
        raise CommandFailed(f"Standard output can't be written: {error.strerror or error}.") from error
