"""Records from text: lines, JSON values line by line, rows of CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, NamedTuple, NoReturn, TypeAlias

import msgspec

LONGEST_LINE_BYTES: Final = 64 * 1024 * 1024
"""A longer line (or CSV field) is refused; it bounds what is held in memory."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class InputRecord(NamedTuple):
    """A record to produce, and the line of its source on which it stands (the last one, if it has several)."""

    line: int
    key: bytes | None
    value: bytes


Reject: TypeAlias = Callable[[int, str], None]
"""Takes a line number and a sentence: this line is no record. The reader then goes on with the next one."""

Reader: TypeAlias = Callable[[BinaryIO, Reject], Iterator[InputRecord]]


class InputError(Exception):
    """The source as a whole can't be read as what it should be; the message is a sentence."""


def lines_reader(key_separator: str | None = None) -> Reader:
    """Each line without its line end is a value; with a separator, what stands before its first place is the key."""
    separator = None if key_separator is None else key_separator.encode()

    def read(stream: BinaryIO, reject: Reject) -> Iterator[InputRecord]:
        for number, line in _lines(stream, reject):
            if separator is None:
                yield InputRecord(number, None, line)
                continue
            key, found, value = line.partition(separator)
            if found:
                yield InputRecord(number, key, value)
            else:
                reject(number, f"there is no key separator {key_separator!r}")

    return read


def json_reader(key_field: str | None = None) -> Reader:
    """Each line is one JSON value (RFC 8259), stored as its bytes without the space around it; empty lines are skipped.

    With a key field each value is an object, and that member is the key: a string's text, another scalar's JSON text,
    no key for null.
    """

    def read(stream: BinaryIO, reject: Reject) -> Iterator[InputRecord]:
        for number, line in _lines(stream, reject):
            value = line.removeprefix(_BYTE_ORDER_MARK).strip() if number == 1 else line.strip()
            if not value:
                continue
            try:
                _check_json(value)
                key = None if key_field is None else _json_key(value, key_field)
            except ValueError as error:
                reject(number, str(error))
                continue
            yield InputRecord(number, key, value)

    return read


def csv_reader(key_field: str | None = None) -> Reader:
    """The first row names the columns; every other becomes a JSON object of the file's strings, in the file's order.

    The reader raises InputError for a header that can't name the members of an object or lacks the key field, and for
    text that isn't UTF-8.
    """

    def read(stream: BinaryIO, reject: Reject) -> Iterator[InputRecord]:
        csv.field_size_limit(LONGEST_LINE_BYTES)
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        try:
            yield from _csv_records(text, key_field, reject)
        except UnicodeDecodeError as error:
            raise InputError(f"it is not UTF-8 text ({error.reason})") from error
        finally:
            # The stream is whoever's who opened it, and a collected wrapper would close it.
            text.detach()

    return read


def _csv_records(text: io.TextIOWrapper, key_field: str | None, reject: Reject) -> Iterator[InputRecord]:
    rows = csv.reader(text, strict=True)
    try:
        header = next(rows, None)
    except csv.Error as error:
        raise InputError(f"its first row is not CSV: {error}") from error
    if header is None:
        return
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(f"its header names {', '.join(map(repr, repeated))} more than once")
    if key_field is not None and key_field not in header:
        raise InputError(f"it has no column {key_field!r}; its columns are {', '.join(header)}")
    key_column = None if key_field is None else header.index(key_field)
    encode = msgspec.json.encode
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            reject(rows.line_num, f"the row is not CSV: {error}")
            continue
        if row is None:
            return
        if len(row) != len(header):
            if row:
                reject(rows.line_num, f"the row has {len(row)} values, the header names {len(header)}")
            continue
        key = None if key_column is None else row[key_column].encode()
        yield InputRecord(rows.line_num, key, encode(dict(zip(header, row, strict=True))))


def _lines(stream: BinaryIO, reject: Reject) -> Iterator[tuple[int, bytes]]:
    """Lines without their ends (LF or CR LF), numbered from 1; those that are too long are rejected."""
    number = 0
    while line := stream.readline(LONGEST_LINE_BYTES):
        number += 1
        if line.endswith(b"\n"):
            yield number, line[:-2] if line.endswith(b"\r\n") else line[:-1]
        elif len(line) < LONGEST_LINE_BYTES:
            yield number, line
        else:
            while (rest := stream.readline(LONGEST_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            reject(number, f"the line is longer than {LONGEST_LINE_BYTES} bytes")


def _check_json(value: bytes) -> None:
    """Raises ValueError unless the bytes are one JSON value in UTF-8."""
    try:
        value.decode()
        msgspec.json.decode(value, type=msgspec.Raw)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text ({error.reason})") from None
    except msgspec.DecodeError as error:
        _second_opinion(value, error)
    except RecursionError:
        raise ValueError("the JSON value is nested too deeply") from None


def _second_opinion(value: bytes, error: msgspec.DecodeError) -> None:
    # msgspec refuses half a surrogate pair in an escape, which RFC 8259 allows.
    def no_constant(name: str) -> NoReturn:
        raise ValueError(name)

    try:
        json.loads(value, parse_constant=no_constant)
    except ValueError:
        raise ValueError(f"it is not JSON: {error}") from None


def _json_key(value: bytes, field: str) -> bytes | None:
    """The key that the member of a JSON object stands for; raises ValueError if the value has none."""
    try:
        members = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        raise ValueError(f"it is no JSON object, so it has no member {field!r} for the key") from None
    raw = members.get(field)
    if raw is None:
        raise ValueError(f"the object has no member {field!r} for the key")
    text = bytes(raw).strip()
    if text == b"null":
        return None
    if text.startswith(b'"'):
        try:
            return msgspec.json.decode(text, type=str).encode()
        except msgspec.DecodeError as error:
            raise ValueError(f"the member {field!r} is no text that a key can be: {error}") from None
    if text.startswith((b"{", b"[")):
        raise ValueError(f"the member {field!r} is no string, number or boolean, so it can't be the key")
    return text
