"""Kafka's messages written and read by kio, as plain dicts: a codec that shares no code with the server's.

Fields have the names of Kafka's schemas in snake case; times in milliseconds end in `_ms`, topic ids are Kafka's 22
characters.
"""

import base64
import dataclasses
import datetime
import importlib
import io
import types
import typing
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Union

from kio.schema import index as kio_index
from kio.serial import entity_reader, entity_writer
from kio.static.constants import EntityType
from kio.static.primitive import i64

_TIMES: Final = ("timedelta_i32", "timedelta_i64", "datetime_i64")
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ZERO_ID: Final = uuid.UUID(int=0)


def versions(api_key: int) -> range:
    """Returns the versions of an API that have a schema."""
    known = kio_index.schema_name_map[kio_index.api_key_map[api_key]]
    return range(min(known), max(known) + 1)


def api_name(api_key: int) -> str:
    """Returns Kafka's name of an API, such as CreateTopics."""
    return "".join(part.capitalize() for part in kio_index.api_key_map[api_key].split("_"))


@cache
def entity(api_key: int, version: int, direction: str) -> Any:
    """Returns kio's class of a message; `direction` is "request" or "response"."""
    module = importlib.import_module(f"kio.schema.{kio_index.api_key_map[api_key]}.v{version}.{direction}")
    kind = EntityType[direction]
    return next(found for found in vars(module).values() if getattr(found, "__type__", None) is kind)


@cache
def _without_dates(found: Any) -> Any:
    """Returns the class with times as integers where kio's type has no room for the -1 that Apache Kafka sends."""
    fields: list[Any] = []
    for field in dataclasses.fields(found):
        kind, is_array, may_be_none = _element(field.type)
        hint, metadata = field.type, dict(field.metadata)
        if metadata.get("kafka_type") == "datetime_i64" and not may_be_none:
            hint, metadata = i64, {**metadata, "kafka_type": "int64"}
        elif dataclasses.is_dataclass(kind) and is_array and not may_be_none:
            element: Any = kind
            hint = tuple[_without_dates(element), ...]  # type: ignore[misc]  # a class that is made here
        fields.append((field.name, hint, dataclasses.field(default=field.default, metadata=metadata)))
    if all(made[1] == field.type for made, field in zip(fields, dataclasses.fields(found), strict=True)):
        return found
    constants = {name: getattr(found, name) for name in ("__type__", "__version__", "__flexible__", "__api_key__")}
    return dataclasses.make_dataclass(found.__name__, fields, kw_only=True, frozen=True, namespace=constants)


def write_request(api_key: int, version: int, message: Mapping[str, Any]) -> bytes:
    """Returns the bytes of a request without header. Fields that the version lacks are left out, those that are not
    named are empty, or as the schema says.

    Raises:
        KeyError: a field that no version of the request has.
    """
    known = [entity(api_key, each, "request") for each in versions(api_key)]
    _check_names(known, message)
    found = entity(api_key, version, "request")
    buffer = io.BytesIO()
    entity_writer(found)(buffer, _made(found, message))
    return buffer.getvalue()


def read_response(api_key: int, version: int, data: bytes) -> dict[str, Any]:
    """Returns a response behind its header.

    Raises:
        ValueError: bytes are left behind it.
    """
    found, size = entity_reader(_without_dates(entity(api_key, version, "response")))(data, 0)
    if size != len(data):
        raise ValueError(f"{len(data) - size} bytes are left behind the response")
    plain = _plain(found)
    assert isinstance(plain, dict)
    return plain


def has_tags(api_key: int, version: int, direction: str) -> bool:
    """Returns whether the header of such a message ends in tagged fields."""
    return bool(entity(api_key, version, direction).__header_schema__.__flexible__)


def _name(field: "dataclasses.Field[Any]") -> str:
    return f"{field.name}_ms" if field.metadata.get("kafka_type") in _TIMES else field.name


def _element(hint: Any) -> tuple[Any, bool, bool]:
    """Returns a field's type without array and None, and whether it is an array and whether it may be None."""
    may_be_none = False
    if typing.get_origin(hint) in (Union, types.UnionType):
        arguments = typing.get_args(hint)
        may_be_none = types.NoneType in arguments
        hint = next(argument for argument in arguments if argument is not types.NoneType)
    is_array = typing.get_origin(hint) is tuple
    if is_array:
        inner, _, inner_none = _element(typing.get_args(hint)[0])
        return inner, True, may_be_none or inner_none
    return hint, False, may_be_none


def _check_names(known: list[Any], message: Mapping[str, Any]) -> None:
    fields = [field for each in known for field in dataclasses.fields(each)]
    for name, value in message.items():
        named = [field for field in fields if _name(field) == name]
        if not named:
            raise KeyError(f"no version of {known[-1].__name__} has a field {name!r}")
        parts = [
            kind for kind, _, _ in map(_element, (field.type for field in named)) if dataclasses.is_dataclass(kind)
        ]
        for part in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(part, Mapping):
                _check_names(parts, part)


def _made(found: Any, message: Mapping[str, Any]) -> Any:
    values = {}
    for field in dataclasses.fields(found):
        kind, is_array, may_be_none = _element(field.type)
        name = _name(field)
        if name in message:
            values[field.name] = _converted(field, kind, is_array, message[name])
        elif field.default is dataclasses.MISSING:
            values[field.name] = () if is_array else _empty(field, kind, may_be_none)
    return found(**values)


def _converted(field: "dataclasses.Field[Any]", kind: Any, is_array: bool, value: Any) -> Any:
    if value is None:
        return None
    if is_array:
        return tuple(_converted(field, kind, False, part) for part in value)
    if dataclasses.is_dataclass(kind):
        return _made(kind, value)
    match field.metadata["kafka_type"]:
        case "timedelta_i32" | "timedelta_i64":
            return datetime.timedelta(milliseconds=value)
        case "datetime_i64":
            return _EPOCH + datetime.timedelta(milliseconds=value)
        case "uuid":
            return uuid.UUID(bytes=base64.urlsafe_b64decode(f"{value}=="))
    return value


def _empty(field: "dataclasses.Field[Any]", kind: Any, may_be_none: bool) -> Any:
    if dataclasses.is_dataclass(kind):
        return None if may_be_none else _made(kind, {})
    kafka_type = field.metadata["kafka_type"]
    if kafka_type == "uuid":
        return _ZERO_ID
    if may_be_none:
        return None
    empty = {"string": "", "bytes": b"", "records": b"", "bool": False, "float64": 0.0}
    return _converted(field, kind, False, empty.get(kafka_type, 0))


def _plain(value: Any, kafka_type: str = "") -> Any:
    if dataclasses.is_dataclass(value):
        return {
            _name(field): _plain(getattr(value, field.name), field.metadata.get("kafka_type", ""))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple):
        return [_plain(part, kafka_type) for part in value]
    if kafka_type == "uuid":
        return base64.urlsafe_b64encode((value or _ZERO_ID).bytes).decode().rstrip("=")
    if kafka_type == "error_code":
        return value.name.upper()
    if isinstance(value, datetime.timedelta):
        return value // datetime.timedelta(milliseconds=1)
    if isinstance(value, datetime.datetime):
        return (value - _EPOCH) // datetime.timedelta(milliseconds=1)
    if value is None and kafka_type in _TIMES:
        return -1
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else value
